"""What a teacher says in PyTorch is what its bundle says, and a stranger's bundle is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soxr
import torch

from edge.bundle import Bundle, Frontend, FrontendSpec
from edge.bundle.spec import ChannelSpec, FixedLevel, MaxLevel
from edge.errors import SpecError, UserError
from tests.support.bundles import tiny_bundle
from tests.support.teachers import body, teacher_bundle
from train.learning.distilling.graph import GraphModule
from train.learning.distilling.spectra import MelSpectra
from train.learning.distilling.teacher import Teacher

RATE_HZ = 16_000
LABELS = ("hummer", "peeper", "triller")
MEL = FrontendSpec(
    sample_rate_hz=RATE_HZ,
    window_s=2.0,
    n_fft=512,
    hop_length=250,
    n_mels=32,
    fmin_hz=50.0,
    fmax_hz=7_000.0,
    channels=(ChannelSpec(component="mel", level=FixedLevel(floor_db=-90, ceiling_db=40)),),
    centred=False,
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return teacher_bundle(tmp_path_factory.mktemp("t") / "teacher", LABELS, rate_hz=RATE_HZ)


def test_every_kind_of_layer_gives_what_onnx_runtime_gives(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(body(5))
    features = np.random.default_rng(1).random((3, 2, 16, 61), np.float32)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    expected = session.run(["embedding", "logits"], {"features": features})
    with torch.no_grad():
        answers = GraphModule(file)(torch.from_numpy(features))
    for name, wanted in zip(("embedding", "logits"), expected, strict=True):
        np.testing.assert_allclose(answers[name].numpy(), wanted, atol=1e-5)


def test_a_teacher_says_of_sound_what_its_bundle_says(bundle: Bundle) -> None:
    rng = np.random.default_rng(2)
    sound = (0.2 * rng.standard_normal((4, bundle.frontend.window_samples))).astype(np.float32)
    frontend = bundle.new_frontend()
    features = np.stack([frontend(samples) for samples in sound])
    session = onnxruntime.InferenceSession(
        str(bundle.path / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    expected = session.run(["embedding", "logits"], {"features": features})
    for got, wanted in zip(Teacher(bundle)(torch.from_numpy(sound)), expected, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 48_000])
def test_mel_bands_are_the_frontends_at_its_own_rate_and_at_higher_ones(rate_hz: int) -> None:
    rng = np.random.default_rng(3)
    # Nothing above 5 kHz, where resampling and leaving out differ.
    narrow = soxr.resample(rng.standard_normal(2 * 10_000), 10_000, RATE_HZ, "VHQ")
    samples = (0.1 * narrow).astype(np.float32)[: MEL.window_samples]
    sound = soxr.resample(samples, RATE_HZ, rate_hz, "VHQ").astype(np.float32)
    spectra = MelSpectra(MEL, rate_hz=rate_hz)
    got = spectra.levels(spectra(torch.from_numpy(sound)[None]))[0].numpy()
    wanted = Frontend(MEL)(samples)
    heard = wanted > 0.5  # what is audible at all
    assert got.shape == wanted.shape
    assert heard.mean() > 0.3
    assert np.abs(got - wanted)[heard].mean() * 130 < 0.05  # dB


def test_what_cannot_be_a_teacher_or_a_pupil_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be a teacher: it has layers of the kind Div"):
        GraphModule(tiny_bundle(tmp_path / "tiny").path / "model.onnx")
    with pytest.raises(SpecError, match="cannot be a teacher"):
        Teacher(tiny_bundle(tmp_path / "other"))
    loud = (ChannelSpec(component="mel", level=MaxLevel()),)
    with pytest.raises(SpecError, match="one channel of mel bands with a fixed level"):
        MelSpectra(FrontendSpec(channels=loud, centred=False), rate_hz=RATE_HZ)
    with pytest.raises(SpecError, match="no whole samples at the teacher's 17000 Hz"):
        MelSpectra(MEL, rate_hz=17_000)
