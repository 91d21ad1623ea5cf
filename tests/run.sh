#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: tests/run.sh [PRESET]
#
# Installs what is missing (Debian and Ubuntu), then configures, builds and tests one preset of CMakePresets.json,
# `release` unless named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/install-deps.sh

preset=${1:-release}
case "$preset" in
  -h | --help)
    sed -n '3,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

fedagg_need g++ make cmake ninja-build python3 catch2 libeigen3-dev nlohmann-json3-dev libcli11-dev libbenchmark-dev
fedagg_want libxtensor-dev libasio-dev libsodium-dev libssl-dev valgrind ccache python3-venv
case "$preset" in
  release) fedagg_want clang && fedagg_want libclang-rt-dev ;; # for its MemorySanitizer
  clang) fedagg_need clang && fedagg_want libomp-dev && fedagg_want libclang-rt-dev ;;
  libtorch) fedagg_need libtorch-dev ;;
  aarch64) fedagg_need g++-aarch64-linux-gnu qemu-user ;;
esac

# Every checkout shares what the cache holds.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc 2>/dev/null || echo 2)}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# In a log, a build that works is not worth reading; one that fails is.
quietly() {
  echo "$*"
  [ ! -t 1 ] || { "$@" </dev/null; return; }
  "$@" >"$log" 2>&1 </dev/null || {
    tail -n 200 "$log" >&2
    exit 1
  }
}
settings=()
if [ "$preset" = release ]; then
  # The files are tested against the real package; without it (no network, say) that one test is skipped.
  python=$PWD/build/python
  if "$python/bin/python" -c 'import numpy, safetensors' 2>/dev/null || {
    echo "installing numpy and safetensors (PyPI) into build/python" &&
      python3 -m venv "$python" && "$python/bin/pip" install -q numpy safetensors
  } >&2; then
    settings+=("-DFEDAGG_SAFETENSORS_PYTHON=$python/bin/python")
  else
    echo "numpy and safetensors could not be installed: the test formats.interop is skipped" >&2
  fi
fi
quietly cmake --preset "$preset" ${settings[@]+"${settings[@]}"}
quietly cmake --build --preset "$preset" -j "$jobs"
echo "ctest --preset $preset -j $jobs"
ctest --preset "$preset" -j "$jobs" </dev/null
