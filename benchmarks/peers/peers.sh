#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: benchmarks/peers/peers.sh [--no-byzfl] [OPTION of compare.py]...
#        benchmarks/peers/peers.sh --secure [OPTION of secure.py]...
#
# Installs NumPy, Flower and ByzFL from PyPI into build/peers/venv, compiles our side with -O2, and times them side by
# side. ByzFL brings torch, some gigabytes; --no-byzfl does without. --secure: secure aggregation beside Flower's SecAgg+
# instead of the rules. Another compiler: CXX=clang++; Eigen elsewhere: EIGEN=DIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. cmake/install-deps.sh

byzfl=yes
secure=no
case "${1:-}" in
  -h | --help)
    sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  --no-byzfl)
    byzfl=no
    shift
    ;;
  --secure)
    byzfl=no
    secure=yes
    shift
    ;;
esac

fedagg_need g++ python3 python3-venv libeigen3-dev
venv=build/peers/venv
mkdir -p build/peers
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"

install() { # MODULE PACKAGE: what cannot be had is left out of the comparison, which says so
  "$venv/bin/python" -c "import $1" 2>/dev/null && return
  echo "installing from PyPI: $2"
  "$venv/bin/pip" install -q "$2" || echo "going on without: $2"
}
install numpy numpy
install flwr flwr
[ "$byzfl" = no ] || install byzfl byzfl

if [ "$secure" = yes ]; then
  fedagg_need libsodium-dev
  "${CXX:-g++}" -std=c++20 -O2 -DNDEBUG -Iinclude -Ibenchmarks benchmarks/secure.cpp -o build/peers/secure -lsodium
  exec "$venv/bin/python" benchmarks/peers/secure.py --program build/peers/secure "$@"
fi
library=$PWD/build/peers/libfedagg_peer.so
"${CXX:-g++}" -std=c++20 -O2 -DNDEBUG -shared -fPIC -Iinclude -isystem "${EIGEN:-/usr/include/eigen3}" \
  benchmarks/peers/native.cpp -o "$library"
exec "$venv/bin/python" benchmarks/peers/compare.py --library "$library" "$@"
