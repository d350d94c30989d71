#!/usr/bin/env bash
# Everything that must hold. `npm test -- unit kernel` runs only those stages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

all=(lint types api docs native unit prebuild package kernel)
stages=("$@")
[ "${#stages[@]}" -gt 0 ] || stages=("${all[@]}")
for stage in "${stages[@]}"; do
  case " ${all[*]} " in
    *" $stage "*) ;;
    *)
      printf 'test: no stage %s: use %s\n' "$stage" "${all[*]}" >&2
      exit 2
      ;;
  esac
done

bash scripts/setup.sh
results=build/test-results
rm -rf "$results"
mkdir -p "$results"

jest() { # NAME ARGUMENTS...
  local name=$1
  shift
  node_modules/.bin/jest --ci --json --outputFile="$results/$name.json" "$@"
}

lint() {
  node_modules/.bin/eslint --max-warnings 0 .
  node_modules/.bin/prettier --check --log-level warn .
  node scripts/clang-format.mjs
}
types() { node_modules/.bin/tsc --noEmit -p test; }
api() { npm run --silent api; }
docs() { node_modules/.bin/typedoc --treatWarningsAsErrors --logLevel Warn; }
native() { bash scripts/test-native.sh; }
unit() { jest unit --selectProjects unit; }
# Again with the addon that would be published, so that a local build cannot hide a broken one.
prebuild() {
  node scripts/prebuild.mjs
  PREBUILDS_ONLY=1 jest prebuild --selectProjects unit --testPathPatterns 'test/records\.test\.ts'
  PREBUILDS_ONLY=1 in_kernel prebuild-kernel --testPathPatterns 'test/kernel/transcripts\.test\.ts'
}
package() { bash scripts/test-package.sh; }
# In the lab, or on this machine's own kernel where that has IPVS; either way in network namespaces of their own.
in_kernel() { # NAME ARGUMENTS...
  local name=$1
  shift
  node dist/cli/main.js lab --where-possible --mem 4G -- node_modules/.bin/jest --ci --json \
    --outputFile="$results/$name.json" --selectProjects kernel --runInBand --testTimeout=180000 "$@"
}
# On two processors half of the tests each, in kernels of their own. What the second says is shown when it is done.
kernel() {
  if [ "$(nproc)" -eq 1 ]; then
    in_kernel kernel
    return
  fi
  local second status=0
  in_kernel kernel-2 --shard=2/2 >"$results/kernel-2.log" 2>&1 &
  second=$!
  in_kernel kernel-1 --shard=1/2 || status=1
  wait "$second" || status=1
  cat "$results/kernel-2.log"
  return "$status"
}

count() {
  node -e '
    const fs = require("node:fs");
    let passed = 0, failed = 0, skipped = 0;
    for (const file of fs.readdirSync(process.argv[1])) {
      const text = fs.readFileSync(process.argv[1] + "/" + file, "utf8");
      if (file.endsWith(".json")) {
        const result = JSON.parse(text);
        passed += result.numPassedTests;
        failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
        skipped += result.numPendingTests + result.numTodoTests;
      }
    }
    if (skipped > 0) {
      console.error(`${skipped} tests were skipped: a skipped test hides what it should show`);
      failed += skipped;
    }
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed > 0 ? 1 : 0);
  ' "$results"
}

began=$SECONDS
for stage in "${stages[@]}"; do
  printf '\n== %s\n' "$stage"
  start=$SECONDS
  # Not as a condition: bash would then go on after the first command that fails.
  set +e
  (
    set -e
    "$stage"
  )
  status=$?
  set -e
  if [ "$status" -ne 0 ]; then
    printf '== %s failed after %d s\n' "$stage" $((SECONDS - start)) >&2
    count || true
    exit 1
  fi
  printf '== %s: %d s\n' "$stage" $((SECONDS - start))
done
printf '\nAll of %s in %d s\n' "${stages[*]}" $((SECONDS - began))
count
