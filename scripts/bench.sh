#!/usr/bin/env bash
# The benchmarks: sets up what is missing; the programs boot the lab's kernels themselves. The first argument may name one of
# build/programs/bench.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
program=main
case "${1:-}" in
  */*)
    program=$1
    shift
    ;;
esac
exec node "build/programs/bench/$program.js" "$@"
