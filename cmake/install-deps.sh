# SPDX-License-Identifier: MIT
# Sourced by tests/run.sh, examples/hospitals.sh and .ci/run.
#
# fedagg_need PACKAGE...: the Debian/Ubuntu packages without which the caller cannot go on. Installs what is missing
# and says so; does nothing, and asks for no rights, if all is there; elsewhere names what is needed and stops.
# fedagg_want PACKAGE...: the same, but goes on without what cannot be had.

fedagg_installed() {
  dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

fedagg_install() {
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "missing: $*; neither root nor sudo to install them with" >&2
      return 1
    fi
    sudo=(sudo)
  fi
  echo "installing with apt: $*"
  local log
  log=$(mktemp)
  if ! { "${sudo[@]}" apt-get update -qq &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
    >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

fedagg_missing() {
  missing=()
  local package
  for package in "$@"; do
    fedagg_installed "$package" || missing+=("$package")
  done
}

fedagg_need() {
  local missing
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    [ "${FEDAGG_DEPENDENCIES:-}" = present ] && return 0
    echo "This script installs packages on Debian and Ubuntu only. Needed here, by their Debian names:" >&2
    printf '  %s\n' "$@" >&2
    echo "Once they are there, run it again with FEDAGG_DEPENDENCIES=present in the environment." >&2
    exit 1
  fi
  fedagg_missing "$@"
  [ "${#missing[@]}" -eq 0 ] || fedagg_install "${missing[@]}" || exit 1
}

fedagg_want() {
  local missing
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
  fedagg_missing "$@"
  [ "${#missing[@]}" -eq 0 ] || fedagg_install "${missing[@]}" || echo "going on without: ${missing[*]}"
}
