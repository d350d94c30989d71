#!/usr/bin/env bash
# Packs what would be published, installs it in an empty folder and uses it there: from CommonJS, from a module, from
# TypeScript, by its command, and built from source. Wants prebuilds/ (npm run prebuild) and node_modules/.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
bin=$root/node_modules/.bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { printf '\n== %s\n' "$*"; }
fail() {
  printf 'test-package: %s\n' "$*" >&2
  exit 1
}
# Runs a command and fails on what it says wrong of ours: warnings, even where it ends well.
quietly() {
  "$@" >"$work/log" 2>&1 || { cat "$work/log" && fail "failed: $*"; }
  # A warning about npm's own settings is the business of whoever set them.
  ! grep -iE '\bwarn(ing)?\b' "$work/log" | grep -vE 'Unknown (user|project|env|cli) config' ||
    fail "warned: $*"
}

step 'Stage: the checkout without what was built in it before'
[ -n "$(find prebuilds -name '*.node' 2>/dev/null)" ] || node scripts/prebuild.mjs
mkdir "$work/stage"
git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null |
  tar cf - --files-from=- prebuilds | tar xf - -C "$work/stage"
ln -s "$root/node_modules" "$work/stage/node_modules"
"$bin/tsc" -p "$work/stage"
rm "$work/stage/node_modules"

step 'Shape: publint and attw'
(cd "$work/stage" && "$bin/publint" --strict --pack npm)
# Node 10 knew no exports, and no Node that we support resolves like it.
(cd "$work/stage" && "$bin/attw" --pack . --profile node16 --no-color --no-emoji)

step 'Tarball'
(cd "$work/stage" && npm pack --silent --pack-destination "$work" >/dev/null)
tarball=$(ls "$work"/*.tgz)
tar tzf "$tarball" | sort >"$work/list"
mkdir "$work/unpacked"
tar xzf "$tarball" -C "$work/unpacked"
for wanted in README.md LICENSE CHANGELOG.md binding.gyp native/src/addon.cc dist/index.d.ts dist/cli/main.js; do
  grep -qx "package/$wanted" "$work/list" || fail "the tarball lacks $wanted"
done
grep -qE '^package/prebuilds/linux-[a-z0-9]+/.*\.node$' "$work/list" || fail 'the tarball has no prebuild'
! grep -E '/(test|tests|bench|examples|etc|build|node_modules|\.[^/]+)/|\.test\.|/jest|/eslint' "$work/list" ||
  fail 'the tarball holds what nobody needs there'
# In the checkout, in the stage, or in someone's home: a path of the machine that packed.
! grep -rlF -e "$root/" -e "$work/" -e "$HOME/" "$work/unpacked" || fail 'the tarball tells paths of this machine'
[ -x "$work/unpacked/package/dist/cli/main.js" ] || head -1 "$work/unpacked/package/dist/cli/main.js" |
  grep -q '^#!/usr/bin/env node' || fail 'the command is not executable'
printf '%s files, %s bytes packed, %s unpacked\n' "$(wc -l <"$work/list")" \
  "$(stat -c %s "$tarball")" "$(du -sb "$work/unpacked" | cut -f1)"

step 'Install, without running any script of it'
mkdir "$work/app"
cp "$root"/test/package/* "$work/app"
cd "$work/app"
echo '{ "name": "app", "version": "1.0.0", "private": true }' >package.json
quietly npm install --ignore-scripts --no-audit --no-fund --prefer-offline "$tarball"
! find node_modules -name '*.node' -path '*/build/*' | grep . || fail 'something was built'
export PREBUILDS_ONLY=1

step 'CommonJS'
node commonjs.js
step 'Module'
node module.mjs
step 'Command'
[ "$(node_modules/.bin/ipvs --version)" = "$(node -p 'require("ipvs/package.json").version')" ] ||
  fail 'ipvs --version'
node_modules/.bin/ipvs --version

step 'TypeScript: CommonJS, module, bundler'
mkdir node_modules/@types
ln -s "$root/node_modules/@types/node" node_modules/@types/node
ln -s "$root/node_modules/undici-types" node_modules/undici-types
strict=(--strict --exactOptionalPropertyTypes --target es2022 --lib es2023,esnext.disposable --types node)
"$bin/tsc" typed.ts "${strict[@]}" --module node16 --moduleResolution node16 --outDir commonjs
node commonjs/typed.js
cp typed.ts typed.mts
"$bin/tsc" typed.mts "${strict[@]}" --module node16 --moduleResolution node16 --outDir module
node module/typed.mjs
"$bin/tsc" typed.ts "${strict[@]}" --module esnext --moduleResolution bundler --noEmit

step 'From source, when there is no prebuild for a machine'
unset PREBUILDS_ONLY
rm -r node_modules/ipvs/prebuilds
node -e 'require("ipvs").openSync()' >"$work/log" 2>&1 || true
grep -q 'there is no addon for this machine' "$work/log" ||
  { cat "$work/log" && fail 'the loader does not say what is missing'; }
headers=$(node -p 'require("node:path").dirname(require("node:path").dirname(process.execPath))')
# With the headers that came with Node, where they did, nothing is downloaded.
[ ! -e "$headers/include/node/node_api.h" ] || export npm_config_nodedir=$headers
npm explore ipvs -- node-gyp rebuild >"$work/log" 2>&1 || { cat "$work/log" && fail 'it does not build'; }
node commonjs.js

step 'The package is good'
