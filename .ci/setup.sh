#!/usr/bin/env bash
# Make a virtual environment with this project in it: .ci/setup.sh VENV [EXTRAS], e.g. .ci/setup.sh .venv-dev dev,train
# TORCH=cuda takes the PyTorch with CUDA, whatever else is to be had.
# Safe to run again, and at once in several terminals: a stamp says that nothing has to be done, a lock lets one work at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$1
extras=${2:-}
started=$SECONDS

say() { printf 'set-up: %s\n' "$*" >&2; }

# A virtual environment holds absolute paths, so the place is part of what it was made for.
wanted=$({ cat pyproject.toml .ci/setup.sh config/lock/*.txt; printf '%s\n' "$extras" "$PWD" ${TORCH:+"$TORCH"}; } | sha256sum)
ready() { [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$wanted" ] && [ -x "$venv/bin/python" ]; }

if ready; then exit 0; fi
if command -v flock >/dev/null; then
    exec 9>"$venv.lock"
    flock -n 9 || { say "waiting for another set-up of $venv"; flock 9; }
    if ready; then exit 0; fi
fi

usable() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }
find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
        if usable "$name"; then command -v "$name"; return; fi
    done
    return 1
}

if ! python=$(find_python); then
    .ci/apt.sh python3 python3-venv
    python=$(find_python) || { say "no Python >= 3.10 with the module venv here; name one with PYTHON=/path/to/python3"; exit 1; }
fi

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "creating $venv with $("$python" --version) ($python)"
    "$python" -m venv --clear "$venv"
fi
rm -f "$venv/.stamp"
say "installing the project ${extras:+with $extras }into $venv (a minute or two, once)"
# Everything comes from config/lock/, where its hash is, and nothing is built with anything else.
pip() { "$venv/bin/python" -m pip "$@" --disable-pip-version-check; }
locked() { pip install -qq --no-compile --no-build-isolation --require-hashes "$@"; }
locks=(-r config/lock/base.txt)
for extra in ${extras//,/ }; do locks+=(-r "config/lock/$extra.txt"); done
locked -r config/lock/build.txt
if [[ ",$extras," == *,train,* ]]; then
    # PyTorch without CUDA where there is one to be had here: it is a tenth as large, and nothing here needs the other.
    torch=config/lock/torch-cpu.txt
    if [ "${TORCH:-}" = cuda ]; then
        torch=config/lock/torch.txt
    elif ! pip download -qq --no-deps --dest "$venv/torch" --require-hashes -r "$torch" 2>/dev/null; then
        say "there is no PyTorch without CUDA here; taking the one with it (3 GB)"
        torch=config/lock/torch.txt
    fi
    locks+=(-r "$torch" --find-links "$venv/torch")
fi
locked "${locks[@]}"
rm -rf "$venv/torch"
pip install -qq --no-compile --no-build-isolation --no-deps --editable .

# The wheels of soundfile carry libsndfile on common machines; elsewhere it is a system package.
"$venv/bin/python" -c 'import soundfile' 2>/dev/null || .ci/apt.sh libsndfile1

printf '%s\n' "$wanted" >"$venv/.stamp"
say "$venv is ready after $((SECONDS - started)) s"
