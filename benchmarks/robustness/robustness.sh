#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: benchmarks/robustness/robustness.sh [CONFIGURATION] [OPTION of robustness]...
#
# Installs what is missing (Debian and Ubuntu), builds the study, runs it and draws its pictures into its folder,
# build/robustness/<name of the configuration>. What was run before is not run again. Another compiler: CXX=clang++.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cmake/install-deps.sh

case "${1:-}" in
  -h | --help)
    sed -n '3,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
configuration=benchmarks/robustness/defaults.json
case "${1:-}" in
  "" | -*) ;;
  *)
    configuration=$1
    shift
    ;;
esac
out=build/robustness/$(basename "$configuration" .json)

fedagg_need g++ libeigen3-dev nlohmann-json3-dev python3 python3-venv
mkdir -p "$out"
program=build/robustness/robustness
echo "building $program"
"${CXX:-g++}" -std=c++20 -O2 -DNDEBUG -Iinclude -Ibenchmarks -isystem /usr/include/eigen3 -pthread \
  -DROBUSTNESS_FOLDER="\"benchmarks/robustness\"" benchmarks/robustness/*.cpp -o "$program"
"$program" "$configuration" --out "$out" "$@"

venv=build/python
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c "import matplotlib" 2>/dev/null || {
  echo "installing from PyPI: matplotlib"
  "$venv/bin/pip" install -q matplotlib
}
"$venv/bin/python" benchmarks/robustness/draw.py "$out"
