#!/usr/bin/env bash
# The benchmarks: sets up what is missing; bench/main.ts boots the lab's kernels itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec node build/programs/bench/main.js "$@"
