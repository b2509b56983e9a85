#!/usr/bin/env bash
# Install what the tests run against and is missing here: a broker, Prometheus' checker, a sound server, a browser, what PyAudio is
# built from, and a systemd that can be booted in a container.
# Where that is not possible it says so and goes on: the tests in question are then listed as not run, and in CI they fail.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'set-up: %s\n' "$*" >&2; }
PATH=$PATH:/usr/sbin:/usr/local/sbin

missing=()
program() { command -v "$1" >/dev/null || missing+=("$2"); }
file() { compgen -G "$1" >/dev/null || missing+=("$2"); }

program mosquitto mosquitto
program mosquitto_sub mosquitto-clients
program promtool prometheus
program openssl openssl
program pulseaudio pulseaudio
program paplay pulseaudio-utils
program systemd-analyze systemd
program systemd-nspawn systemd-container
file '/usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so' libasound2-plugins
file '/usr/include/portaudio.h' portaudio19-dev
program ffmpeg ffmpeg
program flac flac
program chromium chromium
program chromedriver chromium-driver
program gcc gcc
file '/usr/include/*/sys/types.h' libc6-dev
file '/usr/include/python3*/Python.h' python3-dev

if [ ${#missing[@]} -gt 0 ]; then
    say "the tests need ${missing[*]}"
    # Debian starts a server that it installs; the tests start their own on ports of their own and need no other.
    .ci/apt.sh "${missing[@]}" || say "going on without; what could not be run is listed at the end"
fi
