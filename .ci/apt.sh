#!/usr/bin/env bash
# Install Debian packages: .ci/apt.sh PACKAGE... Says what it does; never called when nothing is missing.
set -euo pipefail

say() { printf 'set-up: %s\n' "$*" >&2; }

command -v apt-get >/dev/null || { say "please install these by hand, this is no Debian or Ubuntu: $*"; exit 1; }
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "please run as root: apt-get install $*"; exit 1; }
    as_root=(sudo)
fi
say "installing system packages with apt: $*"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
