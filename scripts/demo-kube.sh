#!/usr/bin/env bash
# The Kubernetes demo: sets up what is missing, then plays in the lab, or on this machine's own kernel where that has IPVS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec node dist/cli/main.js lab --where-possible -- node build/programs/examples/demo-kube/main.js "$@"
