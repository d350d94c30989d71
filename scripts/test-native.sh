#!/usr/bin/env bash
# Builds the native half with sanitizers, runs its tests, and fuzzes it for FUZZ_SECONDS a fuzzer.
set -euo pipefail
cd "$(dirname "$0")/.."

build=native/build-asan
seconds=${FUZZ_SECONDS:-5}

quietly() {
  local log
  if ! log=$("$@" 2>&1); then
    printf '%s\n' "$log"
    echo "failed: $*" >&2
    exit 1
  fi
}

quietly cmake -S native -B "$build" -G Ninja -DSANITIZE=ON
quietly cmake --build "$build"
ctest --test-dir "$build" --output-on-failure --progress 2>&1 | tail -n 4

rm -rf "$build/corpus"
"$build/seed_corpus" "$build/corpus"
for fuzzer in service destination daemon config conntable replies flows sets rules; do
  "$build/fuzz_$fuzzer" "$seconds" "$build/corpus/$fuzzer"
done
echo "Native tests and fuzzers passed."
