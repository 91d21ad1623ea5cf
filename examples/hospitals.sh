#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: examples/hospitals.sh [OPTION...]
#
# Installs what is missing (Debian and Ubuntu), builds the examples and runs the hospitals demo; options go to it
# (--help lists them).
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$top/cmake/install-deps.sh"

fedagg_need g++ make cmake ninja-build libeigen3-dev nlohmann-json3-dev libcli11-dev

build="$top/build/examples"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
  [ ! -t 1 ] || { "$@" </dev/null; return; }
  "$@" >"$log" 2>&1 </dev/null || {
    tail -n 200 "$log" >&2
    exit 1
  }
}
echo "building the demo in build/examples"
quietly cmake -S "$top" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="-O2 -DNDEBUG" \
  -DFEDAGG_BUILD_EXAMPLES=ON -DFEDAGG_BUILD_TESTS=OFF -DFEDAGG_BUILD_BENCHMARKS=OFF
jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc 2>/dev/null || echo 2)}
quietly cmake --build "$build" -j "$jobs" --target hospitals

cd "$top"
program=$(find "$build" -type f -name hospitals -perm -u+x | head -n 1)
"$program" "$@"
case " $* " in *" --help "* | *" -h "*) exit ;; esac
printf '\nbuilding the command line for that, in build/examples\n'
quietly cmake --build "$build" -j "$jobs" --target fedagg_cli
