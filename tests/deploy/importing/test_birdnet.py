"""BirdNET V2.4 as a bundle gives what its own program gives."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import soundfile
import soxr
from click.testing import CliRunner

from deploy.cli import main as deploy_main
from deploy.importing.birdnet import LABELS, MODEL, import_birdnet, installed_birdnet
from deploy.importing.birdnet_labels import slug
from deploy.quantize.convert import KINDS, Kind, convert
from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, load_bundle
from edge.bundle.spec import PowerLawLevel
from edge.cli import main
from edge.errors import BundleError
from edge.types import Array
from tests.support.real_tensorrt import built

pytestmark = pytest.mark.birdnet

WINDOWS = 500
WINDOW, RATE_HZ = 144_000, 48_000


@pytest.fixture(scope="module")
def birdnet(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return import_birdnet(installed_birdnet(), tmp_path_factory.mktemp("birdnet") / "bundle")


def windows(folder: Path) -> Iterator[Array]:
    """Yield windows of many recordings, at most three of each."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        paths = [folder / row["path"] for row in csv.DictReader(file)]
    count = 0
    for path in paths[:: max(1, len(paths) // WINDOWS)]:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        mono = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
        for start in range(0, min(len(mono) - WINDOW, 3 * WINDOW), WINDOW):
            yield mono[start : start + WINDOW].astype(np.float32)
            count += 1
            if count == WINDOWS:
                return


def exact(bundle: Bundle, samples: Array) -> Array:
    """Return the features in double precision, as BirdNET's graph describes them."""
    precise = samples.astype(np.float64)
    scaled = 2 * ((precise - precise.min()) / (np.ptp(precise) + 1e-6) - 0.5)
    features = []
    for channel in bundle.frontend.channels:
        assert channel.n_fft is not None
        assert channel.bands is not None
        assert isinstance(channel.level, PowerLawLevel)
        frames = np.lib.stride_tricks.sliding_window_view(scaled, channel.n_fft)
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(channel.n_fft) / channel.n_fft)
        spectrum = scipy.fft.rfft(frames[:: channel.hop_length] * taper).real
        bands = spectrum @ bundle.bands[channel.bands].astype(np.float64).T
        features.append((np.square(bands) ** channel.level.exponent).T[::-1])
    return np.stack(features).astype(np.float32)


@pytest.mark.data
def test_it_gives_what_its_own_program_gives(birdnet: Bundle, recordings: Path) -> None:
    """On 500 windows of recordings: the same best label, and logits that are as near to the exact.

    LiteRT's own rounding shows where a window is partly silent: the features are roots of what is
    nearly nothing. There the exact answer decides.
    """
    from ai_edge_litert.interpreter import Interpreter

    reference = Interpreter(model_path=str(installed_birdnet() / MODEL), num_threads=1)
    reference.allocate_tensors()
    (output,) = reference.get_output_details()
    frontend, network = birdnet.new_frontend(), OnnxBackend(birdnet.model_path)
    from_reference, from_exact, agreed = [], [], 0
    for samples in windows(recordings):
        _, (logits,) = network.infer(frontend(samples)[np.newaxis])
        _, (ideal,) = network.infer(exact(birdnet, samples)[np.newaxis])
        reference.set_tensor(0, samples[np.newaxis])
        reference.invoke()
        (theirs,) = reference.get_tensor(output["index"])
        from_reference.append(float(np.abs(logits - theirs).max()))
        from_exact.append(float(np.abs(logits - ideal).max()))
        agreed += int(logits.argmax()) == int(theirs.argmax())
    assert len(from_exact) == agreed == WINDOWS
    assert max(from_exact) < 1e-2
    assert np.median(from_reference) < 1e-3
    assert np.mean(np.array(from_reference) < 1e-2) > 0.94


@pytest.mark.rtx
def test_the_real_tensorrt_builds_it(birdnet: Bundle) -> None:
    plan = built(birdnet.model_path, birdnet.frontend.shape)
    assert len(plan) > birdnet.model_path.stat().st_size / 2


@pytest.mark.rtx
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if "tensorrt" in kind.runs_on], ids=lambda kind: kind.name
)
def test_the_real_tensorrt_builds_it_in_every_precision(birdnet: Bundle, kind: Kind) -> None:
    model, shape = birdnet.model_path.read_bytes(), birdnet.frontend.shape
    windows = np.random.default_rng(1).random((2, *shape), np.float32)
    assert built(convert(model, kind, windows, ()).model, shape)


def test_it_says_what_it_is(birdnet: Bundle) -> None:
    assert len(birdnet.labels) == 6_522
    kinds = {label.label: label.kind for label in birdnet.labels}
    assert kinds["eurasian_blackbird"] == kinds["dog"] == "animal"
    assert (kinds["human_vocal"], kinds["engine"]) == ("human", "machine")
    assert (kinds["environmental"], kinds["noise"]) == ("weather", "other")
    names = {label.label: label.scientific_name for label in birdnet.labels}
    assert names["eurasian_blackbird"] == "Turdus merula"
    assert names["engine"] == ""
    result = CliRunner().invoke(main, ["info", "--bundle", str(birdnet.path)])
    assert "licence    CC BY-NC-SA 4.0" in result.output
    assert "source     BirdNET V2.4" in result.output
    assert "CC BY-NC-SA 4.0" in (birdnet.path / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_a_replay_by_its_name_ends_with_its_licence(
    birdnet: Bundle, tmp_path: Path, recording_of_a_toad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "edge-monitor" / "bundles"
    folder.mkdir(parents=True)
    (folder / "birdnet").symlink_to(birdnet.path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    options = ["replay", "--bundle", "birdnet", str(recording_of_a_toad)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0
    assert "detection" in result.stdout
    assert result.stderr.splitlines()[-1] == (
        "birdnet_v2.4: licence CC BY-NC-SA 4.0 (not for commercial use)"
    )


@pytest.fixture
def recording_of_a_toad(tmp_path: Path) -> Path:
    from edge.demo import SAMPLE_RATE_HZ, soundscape

    path = tmp_path / "toad.wav"
    call = soundscape()[20 * SAMPLE_RATE_HZ : 32 * SAMPLE_RATE_HZ]
    soundfile.write(path, call, SAMPLE_RATE_HZ)
    return path


def imported(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(deploy_main, ["import", "birdnet", *args])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stderr


def test_what_is_not_birdnet_is_one_line(tmp_path: Path) -> None:
    folder = installed_birdnet()
    labels = (folder / LABELS).read_bytes()
    model = (folder / MODEL).read_bytes()
    range_model = next(folder.glob("*MData*.tflite")).read_bytes()
    cases = {
        "no_file": (None, labels, "cannot be read"),
        "empty": (b"", labels, "is no TensorFlow Lite file"),
        "text": (b"Dear diary, " * 100, labels, "is no TensorFlow Lite file"),
        "cut": (model[:1_000_000], labels, "model.tflite: is"),
        "another": (range_model, labels, "is not BirdNET V2.4, the only version that is known"),
        "no_labels": (model, None, f"{LABELS}: cannot be read"),
        "few_labels": (model, labels[:2000], "labels, and the model has 6522 outputs"),
        "strange_labels": (model, labels.replace(b"_", b" "), "is not 'Scientific name_English"),
        "binary_labels": (model, b"\xff" * 100, "its text is not UTF-8"),
    }
    for name, (content, listed, message) in cases.items():
        case = tmp_path / name
        case.mkdir()
        if content is not None:
            (case / "model.tflite").write_bytes(content)
        if listed is not None:
            (case / LABELS).write_bytes(listed)
        source = case / "model.tflite"
        status, said = imported("--from", str(source), "--out", str(case / "out"))
        assert (status, said.count("\n")) == (2, 1), (name, said)
        assert message in said, (name, said)
        assert not (case / "out").exists()


def test_a_bundle_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    result = CliRunner().invoke(main, ["info", "--bundle", "birdnet"])
    assert result.exit_code == 1
    assert f"no bundle of this name in {tmp_path}/edge-monitor/bundles" in result.stderr
    assert "edge-deploy import birdnet" in result.stderr


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Eurasian Blackbird", "eurasian_blackbird"),
        ("Cassin's Kingbird", "cassins_kingbird"),
        ("Rüppell's Warbler", "ruppells_warbler"),
        ("Black-and-white  Warbler", "black_and_white_warbler"),
    ],
)
def test_names_become_labels(name: str, label: str) -> None:
    assert slug(name) == label


def test_it_is_told_what_its_species_are_called(tmp_path: Path) -> None:
    table, out = tmp_path / "names.csv", tmp_path / "bundle"
    table.write_text("scientific_name,de\nTurdus merula,Amsel\n", encoding="utf-8")
    arguments = ["import", "birdnet", "--out", str(out), "--names", str(table)]
    done = CliRunner().invoke(deploy_main, arguments)
    assert done.exit_code == 0, done.stderr
    bundle = load_bundle(out)
    named = {label.label: label.names for label in bundle.labels if label.names}
    assert named == {"eurasian_blackbird": {"de": "Amsel"}}


def test_it_is_the_same_bundle_each_time(birdnet: Bundle, tmp_path: Path) -> None:
    again = import_birdnet(installed_birdnet(), tmp_path / "again")
    assert again.digest == birdnet.digest == load_bundle(birdnet.path).digest


def test_a_damaged_bundle_of_it_is_refused(birdnet: Bundle, tmp_path: Path) -> None:
    copy = import_birdnet(installed_birdnet(), tmp_path / "copy").path
    bands = copy / "frontend.npz"
    os.truncate(bands, bands.stat().st_size - 1)
    with pytest.raises(BundleError, match=r"frontend\.npz: is damaged"):
        load_bundle(copy)
