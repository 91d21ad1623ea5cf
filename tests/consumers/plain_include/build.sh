#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: build.sh CHECKOUT OUTPUT, with the compiler in CXX
set -eu
"${CXX:-c++}" -std=c++20 -I "$1/include" "$(dirname "$0")/../main.cpp" -o "$2"
