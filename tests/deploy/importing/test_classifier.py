"""A classifier trained with BirdNET's own tool, as a bundle on BirdNET's trunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from click.testing import CliRunner, Result

from deploy.cli import main as deploy_main
from deploy.importing.birdnet import LABELS, MODEL, import_birdnet, installed_birdnet
from edge.bundle import Bundle, load_bundle
from edge.cli import main
from edge.detect.engines import load_model
from tests.support.tflite_files import DENSE, classifier_on, dense_classifier, run

pytestmark = pytest.mark.birdnet

CLASSES = "Turdus merula_Eurasian Blackbird\nmy_owl\nHuman vocal_Human vocal\n"


@pytest.fixture(scope="module")
def birdnet(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return import_birdnet(installed_birdnet(), tmp_path_factory.mktemp("birdnet") / "bundle")


def written(folder: Path, content: bytes, classes: str | bytes | None = CLASSES) -> Path:
    file = folder / "My owls.tflite"
    file.write_bytes(content)
    if classes is not None:
        text = classes.encode() if isinstance(classes, str) else classes
        (folder / "My owls_Labels.txt").write_bytes(text)
    return file


def imported(classifier: Path, *options: str) -> Result:
    arguments = ["import", "birdnet", "--classifier", str(classifier), *options]
    return CliRunner().invoke(deploy_main, arguments)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("layers", "tail"), [("one", ""), ("hidden", "LOGISTIC")])
def test_its_scores_are_litert_s(
    birdnet: Bundle, tmp_path: Path, whole: bool, layers: str, tail: str
) -> None:
    content = dense_classifier(DENSE[layers], tail=tail)
    if whole:
        content = classifier_on(installed_birdnet() / MODEL, DENSE[layers], tail=tail)
    result = imported(written(tmp_path, content), "--out", str(tmp_path / "owls"))
    assert result.exit_code == 0, result.output
    assert "CC BY-NC-SA 4.0" in result.stderr
    bundle = load_bundle(tmp_path / "owls")
    assert bundle.frontend == birdnet.frontend
    golden = bundle.golden
    np.testing.assert_array_equal(golden.embedding, birdnet.golden.embedding)
    given = golden.samples if whole else golden.embedding
    (theirs,) = run(content, given[np.newaxis])
    ours = 1 / (1 + np.exp(-golden.logits)) if tail else golden.logits
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    load_model(bundle)  # it proves itself on the golden window
    stored = {t.name for t in onnx.load(bundle.model_path).graph.initializer}
    trunk = {t.name for t in onnx.load(birdnet.model_path).graph.initializer}
    assert len(stored - trunk) == 2 * len(DENSE[layers])
    assert len(trunk - stored) == 2, "BirdNET's own last layer"


def test_labels_in_addition_to_birdnet_s_own(birdnet: Bundle, tmp_path: Path) -> None:
    folder = installed_birdnet()
    content = classifier_on(folder / MODEL, DENSE["one"], append=True)
    own = (folder / LABELS).read_text(encoding="utf-8").rstrip("\n")
    classes = f"{own}\nStrix aluco_My owl\nmy_frog\nmy_other_frog\n"
    result = imported(written(tmp_path, content, classes), "--out", str(tmp_path / "owls"))
    assert result.exit_code == 0, result.output
    bundle = load_bundle(tmp_path / "owls")
    assert bundle.labels[:6_522] == birdnet.labels
    assert [label.label for label in bundle.labels[6_522:]] == [
        "my_owl",
        "my_frog",
        "my_other_frog",
    ]
    np.testing.assert_allclose(bundle.golden.logits[:6_522], birdnet.golden.logits, atol=1e-4)
    (theirs,) = run(content, bundle.golden.samples[np.newaxis])
    np.testing.assert_allclose(bundle.golden.logits, theirs, atol=1e-3)


def test_it_is_called_by_its_name_and_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    file = written(tmp_path, dense_classifier(DENSE["one"]))
    names = tmp_path / "names.csv"
    names.write_text("scientific_name,de\nTurdus merula,Amsel\n", encoding="utf-8")
    assert imported(file, "--names", str(names)).exit_code == 0
    told = CliRunner().invoke(main, ["info", "--bundle", "my_owls"]).stdout
    assert "licence    CC BY-NC-SA 4.0" in told
    assert "source     My owls, sha256 " in told
    assert ", on BirdNET V2.4, sha256 " in told
    recording = tmp_path / "20240501_053000.wav"
    sound = 0.1 * np.random.default_rng(0).standard_normal(48_000 * 4)
    soundfile.write(recording, sound, 48_000)
    options = ["replay", "--bundle", "my_owls", "--language", "de", str(recording)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1].startswith("My owls: licence CC BY-NC-SA 4.0")


def test_it_is_the_same_bundle_each_time(tmp_path: Path) -> None:
    file = written(tmp_path, dense_classifier(DENSE["hidden"]))
    for name in ("one", "two"):
        assert imported(file, "--out", str(tmp_path / name)).exit_code == 0
    assert load_bundle(tmp_path / "one").digest == load_bundle(tmp_path / "two").digest


def test_what_is_no_classifier_for_it_is_one_line(tmp_path: Path) -> None:
    model = installed_birdnet() / MODEL
    dense = dense_classifier(DENSE["one"])
    older = [(weights[:, :420], biases) for weights, biases in DENSE["one"]]
    moved = classifier_on(model, DENSE["one"], nudge=0.1)
    cases: dict[str, tuple[bytes | None, str | bytes | None, str]] = {
        "no_file": (None, CLASSES, "My owls.tflite: cannot be read"),
        "text": (b"Dear diary, " * 100, CLASSES, "is no TensorFlow Lite file"),
        "cut": (dense[:2_000], CLASSES, "My owls.tflite: is damaged or cut off"),
        "older": (
            dense_classifier(older, takes=420),
            CLASSES,
            "takes (1, 420), and a classifier for BirdNET V2.4 takes its embedding, (1, 1024)",
        ),
        "another_trunk": (moved, CLASSES, "before its embedding are not those of BirdNET V2.4"),
        "softmax": (
            dense_classifier(DENSE["one"], tail="SOFTMAX"),
            CLASSES,
            "it has the operator SOFTMAX behind the embedding; dense layers behind BirdNET's",
        ),
        "no_labels": (dense, None, "My owls_Labels.txt: cannot be read"),
        "few_labels": (dense, "one\ntwo\n", "has 2 labels, and the model has 3 outputs"),
        "twice": (dense, "one\ntwo\nOne\n", "line 3: one is there twice"),
        "binary": (dense, b"\xff\n\n\n", "its text is not UTF-8"),
    }
    for name, (content, classes, reason) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        file = written(folder, content or b"", classes)
        if content is None:
            file.unlink()
        before = sorted(folder.iterdir())
        result = imported(file, "--out", str(folder / "out"))
        assert result.exception is None or isinstance(result.exception, SystemExit), name
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), (name, result.stderr)
        assert reason in result.stderr, (name, result.stderr)
        assert sorted(folder.iterdir()) == before
