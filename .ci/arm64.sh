#!/usr/bin/env bash
# Replay a recording as a board would: .ci/arm64.sh RECORDING BUNDLE. A Debian tree for arm64 runs under emulation, with the same
# locked packages as a recorder, and its detections are compared with those of this machine. Emulation is 50 times slower.
set -euo pipefail
cd "$(dirname "$0")/.."

SUITE=bookworm PYTHON=3.11
FOLDER=build/arm64
TREE=$FOLDER/$SUITE
say() { printf 'set-up: %s\n' "$*" >&2; }
refuse() { say "$*"; exit 1; }

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
recording=$1 bundle=$2

make_tree() {
    say "fetching Debian $SUITE for arm64 into $TREE (100 MB, once)"
    rm -rf "$TREE.new"
    mkdir -p "$FOLDER"
    # Nothing of it is run by root: its packages are unpacked, not configured.
    "${as_root[@]}" debootstrap --foreign --arch=arm64 --variant=minbase --include=python3 "$SUITE" "$TREE.new" \
        > "$FOLDER/debootstrap.log" 2>&1 || refuse "Debian cannot be had here: $(tail -n 1 "$FOLDER/debootstrap.log")"
    "${as_root[@]}" chown -R "$(id -u)" "$TREE.new"
    for package in "$TREE.new"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$TREE.new"; done
    # ONNX Runtime asks what processor there is, and ends when it hears of another kind: this is a Raspberry Pi 4's.
    mkdir -p "$TREE.new/proc" "$TREE.new/sys/devices/system/cpu"
    printf '%s\n' 'processor : 0' 'Features : fp asimd evtstrm crc32 cpuid' 'CPU implementer : 0x41' 'CPU architecture: 8' \
        'CPU variant : 0x0' 'CPU part : 0xd08' 'CPU revision : 3' > "$TREE.new/proc/cpuinfo"
    for name in possible present; do echo 0 > "$TREE.new/sys/devices/system/cpu/$name"; done
    mv "$TREE.new" "$TREE"
}

add_packages() {
    local platforms=(--platform manylinux2014_aarch64)
    for glibc in 17 24 26 27 28 31 34 35 36; do platforms+=(--platform "manylinux_2_${glibc}_aarch64"); done
    say "fetching the packages of a recorder for arm64 (100 MB)"
    rm -rf "$FOLDER/packages" "$FOLDER/packages.lock"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-compile --only-binary=:all: --require-hashes \
        --python-version "$PYTHON" --implementation cp --abi "cp${PYTHON/./}" --abi abi3 --abi none "${platforms[@]}" \
        --target "$FOLDER/packages" -r config/lock/base.txt || refuse "the packages for arm64 cannot be had here"
    cp config/lock/base.txt "$FOLDER/packages.lock"
}

command -v qemu-aarch64-static >/dev/null && command -v debootstrap >/dev/null ||
    .ci/apt.sh qemu-user-static debootstrap debian-archive-keyring
[ -d "$TREE" ] || make_tree
cmp -s config/lock/base.txt "$FOLDER/packages.lock" || add_packages

say "replaying $recording here, and as on a board"
replay=(-m edge.cli replay --bundle "$bundle" --format csv "$recording")
.venv/bin/python "${replay[@]}" > "$FOLDER/here.csv"
began=$SECONDS
QEMU_CPU=cortex-a72 PYTHONPATH="$FOLDER/packages:." PYTHONDONTWRITEBYTECODE=1 \
    qemu-aarch64-static -L "$TREE" "$TREE/usr/bin/python$PYTHON" "${replay[@]}" > "$FOLDER/arm64.csv"
.venv/bin/python .ci/same_detections.py "$FOLDER/here.csv" "$FOLDER/arm64.csv"
say "the replay under emulation took $((SECONDS - began)) s"
