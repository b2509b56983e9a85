"""Headers that are false, cut off or changed: one clear line or a right result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.bundle import Bundle
from edge.cli import main
from edge.errors import AudioError
from edge.replay.formats.base import ReplayResult
from edge.replay.recordings import Recording
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.support.audio import add_chunk, soundscape, write_audio
from tests.support.bundles import tiny_bundle, tone
from tests.support.fuzz_recordings import fuzz

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "config" / "detection.v1.schema.json").read_text(encoding="utf-8"))
HEADER = 200  # bytes in which the changes are: all of a WAV's header, and of a FLAC's
SECONDS = 1.5
SMALL = [0, 1, 2, 3, 7, 8, 0x7F, 0xFF]
LARGE = [0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
NUMBERS = st.sampled_from(SMALL + LARGE)
CHANGES = st.one_of(
    st.tuples(st.just("bytes"), st.integers(0, HEADER), st.binary(min_size=1, max_size=4)),
    st.tuples(
        st.just("number"),
        st.integers(0, HEADER // 2).map(lambda n: 2 * n),
        NUMBERS.map(lambda n: n.to_bytes(4, "little")),
    ),
    st.tuples(st.just("insert"), st.integers(0, HEADER), st.binary(min_size=1, max_size=9)),
    st.tuples(st.just("remove"), st.integers(0, HEADER), st.binary(min_size=1, max_size=9)),
    st.tuples(st.just("cut"), st.integers(0, 12_000), st.just(b"")),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return tiny_bundle(folder / "bundle")


@pytest.fixture(scope="module")
def replayer(bundle: Bundle) -> Replayer:
    return Replayer(ReplaySettings(bundle=bundle.path, hop_s=0.5))


class Originals(dict[str, bytes]):
    """Files by name."""

    def __repr__(self) -> str:
        # A failure shows how a file was changed, not all of its bytes.
        return f"Originals({', '.join(self)})"


@pytest.fixture(scope="module")
def originals(folder: Path) -> Originals:
    """Return files of the kinds that recorders write, by name."""
    kinds = {
        "pcm.wav": "PCM_16",
        "float.wav": "FLOAT",
        "small.wav": "MS_ADPCM",
        "pcm.flac": "PCM_16",
        "pcm.rf64": "PCM_24",
    }
    whole = Originals()
    for name, subtype in kinds.items():
        path = folder / f"original-{name}"
        write_audio(path, tone(300.0, SECONDS), subtype=subtype)
        if name == "pcm.wav":
            add_chunk(path, b"guan", b"GUANO|Version: 1.0\nTimestamp: 2024-05-01T05:30:00Z\n")
        whole[name] = path.read_bytes()
    return whole


NAMES = st.sampled_from(["pcm.wav", "float.wav", "small.wav", "pcm.flac", "pcm.rf64"])


def changed(content: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for how, at, what in changes:
        match how:
            case "bytes" | "number":
                content = content[:at] + what + content[at + len(what) :]
            case "insert":
                content = content[:at] + what + content[at:]
            case "remove":
                content = content[:at] + content[at + len(what) :]
            case "cut":
                content = content[:at]
    return content


@settings(max_examples=200)
@example(name="pcm.rf64", changes=[("bytes", 34, b"\0\x80")])  # 2^63 bytes of sound
@given(NAMES, st.lists(CHANGES, min_size=1, max_size=3))
def test_a_changed_header_gives_a_result_or_one_line(
    folder: Path,
    replayer: Replayer,
    originals: Originals,
    name: str,
    changes: list[tuple[str, int, bytes]],
) -> None:
    path = folder / f"changed-{name}"
    path.write_bytes(changed(originals[name], changes))
    outcome = replayer.outcome(Recording(file=str(path), name=str(path)))
    if isinstance(outcome, AudioError):
        assert str(outcome).startswith(f"{path}: ")
        assert len(str(outcome).splitlines()) == 1
        return
    assert isinstance(outcome, ReplayResult)
    # Whatever the header says, there cannot be more sound than there are bytes: ADPCM has two
    # samples in each, at 2 kHz or more.
    assert 0 < outcome.effort.audio_s <= 2 * path.stat().st_size / 2_000
    assert all(0 <= d.start_sample < d.end_sample for d in outcome.detections)


@settings(max_examples=40)
@given(NAMES, st.lists(CHANGES, min_size=1, max_size=2))
def test_the_command_writes_all_or_nothing(
    folder: Path,
    bundle: Bundle,
    originals: Originals,
    name: str,
    changes: list[tuple[str, int, bytes]],
) -> None:
    path = folder / f"written-{name}"
    path.write_bytes(changed(originals[name], changes))
    results = folder / "results"
    results.mkdir(exist_ok=True)
    out = results / "out.jsonl"
    options = ["--hop-s", "0.5", "--format", "jsonl", "--bundle", str(bundle.path)]
    result = CliRunner().invoke(main, ["replay", *options, "--out", str(out), str(path)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    remarks = result.stderr.splitlines()
    if out.exists():
        assert all(line.startswith(f"warning: {path}: ") for line in remarks)
        # What is missing is a failure, although the rest is written.
        assert result.exit_code == 0 or remarks
        for line in out.read_text(encoding="utf-8").splitlines():
            jsonschema.validate(json.loads(line), SCHEMA)
        out.unlink()
    else:
        assert result.exit_code == 1
        (line,) = remarks
        assert line.startswith(f"error: {path}: ")
    assert not list(results.iterdir())


def test_a_process_of_its_own_goes_on_after_each_bad_file(
    bundle: Bundle, tmp_path: Path, originals: Originals
) -> None:
    """Nothing that the decoders' C code prints is on the terminal either."""
    half = {
        "j.wav": changed(originals["pcm.wav"], [("number", 40, b"\xff\xff\xff\x0f")]),
        "k.flac": originals["pcm.flac"][: len(originals["pcm.flac"]) // 2],
    }
    bad = {
        "a.wav": originals["pcm.wav"][:30],
        "c.wav": changed(originals["pcm.wav"], [("number", 24, b"\0\0\0\0")]),
        "d.flac": changed(originals["pcm.flac"], [("bytes", 18, b"\xff\xff\xff")]),
        "f.wav": b"RIFF" + bytes(100),
        "g.mp3": b"\xff\xfb" * 400,
        "h.ogg": b"OggS" + bytes(200),
        "i.wav": b"",
    }
    for name, content in (bad | half).items():
        (tmp_path / name).write_bytes(content)
    good = write_audio(tmp_path / "z.wav", soundscape()[: 10 * 8000])  # without its silence
    replay = [sys.executable, "-m", "edge.cli", "replay", "--bundle", str(bundle.path)]
    command = [*replay, "--format", "jsonl", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    named = [
        (kind, rest.partition(":")[0].rpartition("/")[2])
        for kind, _, rest in (line.partition(": ") for line in done.stderr.splitlines())
    ]
    assert [name for kind, name in named if kind == "error"] == sorted(bad)
    assert {name for kind, name in named if kind == "warning"} >= set(half)
    heard = {json.loads(line)["source"] for line in done.stdout.splitlines()}
    assert heard == {good, *(str(tmp_path / name) for name in half)}


@pytest.mark.ffmpeg
def test_nothing_of_a_mutated_recording_is_lost_in_silence(tmp_path: Path) -> None:
    """The same with 5,000 of them: `make fuzz`."""
    report = fuzz(range(120), tmp_path)
    assert report.faults == []
    assert report.outcomes["the same"] > 40
