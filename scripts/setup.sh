#!/usr/bin/env bash
# Makes a fresh Debian machine ready: system packages, npm packages, the addon, the library and the programs. Does only
# what is missing or out of date, so a second run costs a moment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# A package and a file that only it brings.
packages=(
  'g++ /usr/bin/g++'
  'make /usr/bin/make'
  'python3 /usr/bin/python3'
  'perl /usr/bin/perl'
  'pkg-config /usr/bin/pkg-config'
  'libnl-3-dev /usr/include/libnl3/netlink/netlink.h'
  'cmake /usr/bin/cmake'
  'ninja-build /usr/bin/ninja'
  'libgtest-dev /usr/include/gtest/gtest.h'
  'clang-format /usr/bin/clang-format'
  'user-mode-linux /usr/bin/linux.uml'
  'kmod /sbin/modprobe'
  'iproute2 /sbin/ip'
  'ipvsadm /sbin/ipvsadm'
  'iptables /usr/sbin/iptables'
  'ipset /usr/sbin/ipset'
  'strace /usr/bin/strace'
  'util-linux /usr/bin/flock'
)

check_node() {
  command -v node >/dev/null || die 'Node.js 20.20 or later is not installed: install it first'
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 20) ? 0 : 1)' ||
    die "Node.js $(node --version) is too old: install 20.20 or later"
}

install_packages() {
  local missing=() entry
  for entry in "${packages[@]}"; do
    [ -e "${entry#* }" ] || missing+=("${entry%% *}")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    cat >&2 <<END
setup: missing here: ${missing[*]}
setup: this is not Debian, so install what brings them, then run this again:
  Fedora, RHEL: dnf install gcc-c++ make python3 perl pkgconf libnl3-devel cmake ninja-build gtest-devel clang-tools-extra kmod iproute ipvsadm iptables ipset strace
  Alpine:       apk add build-base python3 perl pkgconf libnl3-dev cmake ninja gtest-dev clang-extra-tools kmod iproute2 ipvsadm iptables ipset strace
  Arch:         pacman -S base-devel python perl libnl cmake ninja gtest clang kmod iproute2 ipvsadm iptables ipset strace
setup: user-mode-linux is Debian's; elsewhere the tests want a kernel with IPVS, and root.
END
    exit 1
  fi
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing: ${missing[*]}: install them as root with: apt-get install ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing ${missing[*]}"
  local log
  log=$(mktemp)
  # The lists of a new machine are old or empty.
  if ! { "${sudo[@]}" apt-get update -q &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "apt-get could not install ${missing[*]}"
  fi
  rm -f "$log"
}

# Whether anything under the paths given is newer than the stamp.
stale() {
  local stamp=$1
  shift
  [ ! -e "$stamp" ] || [ -n "$(find "$@" -newer "$stamp" -print -quit 2>/dev/null)" ]
}

install_modules() {
  stale node_modules/.setup-stamp package-lock.json || return 0
  say 'installing npm packages'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  touch node_modules/.setup-stamp
}

build() {
  mkdir -p build
  if stale build/Release/ipvs.node native/src binding.gyp scripts/build-addon.mjs package-lock.json; then
    say 'building the addon'
    node scripts/build-addon.mjs
    touch build/Release/ipvs.node
  fi
  if stale build/.lib-stamp lib tsconfig.json package-lock.json || [ ! -e dist/cli/main.js ]; then
    say 'building the library'
    node_modules/.bin/tsc -p .
    chmod +x dist/cli/main.js
    touch build/.lib-stamp
  fi
  if stale build/.programs-stamp bench examples tsconfig.programs.json build/.lib-stamp || [ ! -d build/programs ]; then
    say 'building the demo, examples and benchmarks'
    node_modules/.bin/tsc -p tsconfig.programs.json
    touch build/.programs-stamp
  fi
}

check_node
install_packages
# Two set-ups at once would build over each other.
{ exec 9>.git/setup.lock; } 2>/dev/null || exec 9>/dev/null
flock 9 2>/dev/null || true
install_modules
build
