"""A bundle comes back as it was written, or there is one error that names file and reason."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import Bundle, FrontendSpec, Golden, Label, Manifest, load_bundle, write_bundle
from edge.bundle.heads import Energy, GaussianTail, Rule
from edge.bundle.manifest import FORMAT_VERSION
from edge.errors import BundleError

FILES = ("manifest.json", "model.onnx", "head.npz", "golden.npz", "MODEL_CARD.md")
GRAPH = b"\x08\x08" * 99  # the version of the format, again and again
SPEC = FrontendSpec(window_s=0.1)
LABELS = (
    Label(
        label="spring_peeper", common_name="Spring Peeper", scientific_name="Pseudacris crucifer"
    ),
    Label(
        label="american_toad", common_name="American Toad", scientific_name="Anaxyrus americanus"
    ),
)
RULE = GaussianTail(
    means=np.eye(2, 4, dtype=np.float32), mu=np.ones(2, np.float32), sigma=np.ones(2, np.float32)
)


def _manifest(**changes: Any) -> Manifest:
    manifest = Manifest(
        name="two frogs",
        labels=LABELS,
        frontend=SPEC,
        activation="sigmoid",
        rule=RULE.kind,
        threshold=1.5,
        scale=0.25,
        training_data="0" * 64,
        code="0.1.0",
        metrics={"macro_f1": 0.5},
    )
    return dataclasses.replace(manifest, **changes)


def _golden(outputs: int = 2, samples: int = SPEC.window_samples) -> Golden:
    return Golden(
        samples=np.linspace(-1, 1, samples, dtype=np.float32),
        embedding=np.array([0, 1, 0, 0], np.float32),
        logits=np.arange(outputs, dtype=np.float32),
        tolerance=1e-3,
    )


def _write(
    path: Path,
    *,
    manifest: Manifest | None = None,
    golden: Golden | None = None,
    rule: Rule = RULE,
    model: bytes = GRAPH,
) -> Bundle:
    return write_bundle(
        path,
        manifest or _manifest(),
        model=model,
        rule=rule,
        golden=golden or _golden(),
        card="# Two frogs\n",
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return _write(tmp_path / "frogs").path


def _contents(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_a_bundle_comes_back_as_it_was_written(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert loaded.labels == LABELS
    assert loaded.frontend == SPEC
    assert loaded.model_path.read_bytes() == GRAPH
    assert loaded.head.activation == "sigmoid"
    assert (loaded.head.threshold, loaded.head.scale) == (1.5, 0.25)
    assert loaded.golden.tolerance == 1e-3
    np.testing.assert_array_equal(loaded.golden.samples, _golden().samples)
    np.testing.assert_array_equal(loaded.golden.logits, _golden().logits)
    embedding, logits = np.eye(4, dtype=np.float32), np.eye(4, 2, dtype=np.float32)
    np.testing.assert_array_equal(
        loaded.head.rule.novelty(embedding, logits), RULE.novelty(embedding, logits)
    )
    assert dataclasses.replace(loaded.manifest, files={}) == _manifest()


def test_the_digest_is_of_the_contents_not_of_the_place(bundle: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(bundle, tmp_path / "elsewhere"))
    assert load_bundle(copied).digest == load_bundle(bundle).digest
    other = _write(tmp_path / "other", manifest=_manifest(threshold=1.6))
    assert other.digest != load_bundle(bundle).digest


def test_nothing_but_the_bundle_is_left(bundle: Path, tmp_path: Path) -> None:
    assert [p.name for p in tmp_path.iterdir()] == ["frogs"]
    assert set(_contents(bundle)) == set(FILES)


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Return a change to the manifest, as a person with an editor would make it."""

    def damage(bundle: Path) -> object:
        mapping = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        change(mapping)
        return (bundle / "manifest.json").write_text(json.dumps(mapping), encoding="utf-8")

    return damage


def _truncate(name: str) -> Callable[[Path], object]:
    return lambda bundle: (bundle / name).write_bytes((bundle / name).read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "file", "reason"),
    [
        (_truncate("model.onnx"), "model.onnx", "damaged or was edited"),
        (_truncate("head.npz"), "head.npz", "damaged or was edited"),
        (_truncate("manifest.json"), "manifest.json", "cannot be read as JSON"),
        (
            lambda b: (b / "MODEL_CARD.md").write_text("better\n"),
            "MODEL_CARD.md",
            "damaged or was edited",
        ),
        (lambda b: (b / "model.onnx").unlink(), "model.onnx", "is missing"),
        (lambda b: (b / "golden.npz").unlink(), "golden.npz", "is missing"),
        (lambda b: [f.unlink() for f in b.iterdir()], "frogs", "not a bundle"),
        (
            lambda b: (b / "manifest.json").write_text("pickle"),
            "manifest.json",
            "cannot be read as JSON",
        ),
        (
            lambda b: (b / "manifest.json").write_bytes(b"\xff\xfe{}"),
            "manifest.json",
            "cannot be read as JSON",
        ),
        (lambda b: (b / "manifest.json").write_text("[]"), "manifest.json", "not a JSON object"),
        (lambda b: (b / "manifest.json").write_text("{}"), "manifest.json", "format version None"),
        (
            _edit(lambda m: m.update(format_version=FORMAT_VERSION + 1)),
            "manifest.json",
            "update the program",
        ),
        (_edit(lambda m: m.update(threshold=9.0)), "manifest.json", "edited after export"),
        (_edit(lambda m: m["labels"].reverse()), "manifest.json", "edited after export"),
        (_edit(lambda m: m.pop("digest")), "manifest.json", "edited after export"),
        (
            _edit(lambda m: m["metrics"].update(macro_f1=0.99)),
            "manifest.json",
            "edited after export",
        ),
        (_edit(lambda m: m.pop("threshold")), "manifest.json", "'threshold' is missing"),
        (_edit(lambda m: m.update(thresold=1)), "manifest.json", "unknown key 'thresold'"),
        (_edit(lambda m: m["labels"].clear()), "manifest.json", "labels must be present"),
        (_edit(lambda m: m["labels"].append(m["labels"][0])), "manifest.json", "distinct"),
        (_edit(lambda m: m["labels"].append("frog")), "manifest.json", "labels"),
        (_edit(lambda m: m.update(labels=None)), "manifest.json", "wrong type"),
        (_edit(lambda m: m["frontend"].update(n_mels="many")), "manifest.json", "frontend"),
        (
            _edit(lambda m: m["frontend"].update(colour="blue")),
            "manifest.json",
            "unknown key 'colour'",
        ),
        (_edit(lambda m: m.update(frontend=None)), "manifest.json", "wrong type"),
        (_edit(lambda m: m.update(files=None)), "manifest.json", "files|edited"),
    ],
)
def test_a_bad_bundle_is_one_error_that_names_the_file_and_the_reason(
    bundle: Path, damage: Callable[[Path], object], file: str, reason: str
) -> None:
    damage(bundle)
    with pytest.raises(BundleError, match=reason) as error:
        load_bundle(bundle)
    message = str(error.value)
    assert file in message
    assert "\n" not in message


def test_a_bundle_is_a_directory_with_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(b"PK")
    for path in (tmp_path / "nowhere", tmp_path / "model.zip"):
        with pytest.raises(BundleError, match=path.name):
            load_bundle(path)


def test_any_flipped_bit_of_any_file_is_noticed(bundle: Path) -> None:
    """Every byte of the manifest's ends, and a sample of the rest: a sha256 does not care which."""
    dice = random.Random(1)
    for name in FILES:
        sound = (bundle / name).read_bytes()
        for place in {0, len(sound) - 2, *dice.sample(range(len(sound)), min(40, len(sound)))}:
            flipped = bytearray(sound)
            flipped[place] ^= 1 << dice.randrange(8)
            (bundle / name).write_bytes(flipped)
            if name != "manifest.json" or _means_something_else(sound, bytes(flipped)):
                with pytest.raises(BundleError):
                    load_bundle(bundle)
        (bundle / name).write_bytes(sound)
    load_bundle(bundle)


def _means_something_else(one: bytes, other: bytes) -> bool:
    """Whether two JSON texts differ in more than white space."""
    try:
        return bool(json.loads(one) != json.loads(other))
    except ValueError:
        return True


def _signed_again(bundle: Path) -> Path:
    """Write the digests of what the files hold now, as a faulty exporter would; return the path."""
    mapping = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    mapping["files"] = {
        name: hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in FILES[1:]
    }
    mapping["digest"] = Manifest.parse(mapping, where="here").digest
    (bundle / "manifest.json").write_text(json.dumps(mapping), encoding="utf-8")
    return bundle


@pytest.mark.parametrize("name", ["head.npz", "golden.npz"])
@pytest.mark.parametrize("content", ["text", "pickle", "one array", "no array"])
def test_signed_files_that_hold_something_else_are_refused(
    bundle: Path, name: str, content: str
) -> None:
    file = bundle / name
    match content:
        case "text":
            file.write_text("text")
        case "pickle":
            np.savez(file, kind=np.array([{"a": 1}], dtype=object))
        case "one array":
            np.save(bundle / "one.npy", np.zeros(3))
            (bundle / "one.npy").rename(file)
        case _:
            np.savez(file)
    with pytest.raises(BundleError, match=name):
        load_bundle(_signed_again(bundle))


def test_a_mislabelled_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"names 2 labels, but model\.onnx has 3 outputs"):
        _write(tmp_path / "frogs", golden=_golden(outputs=3))


def test_a_golden_window_of_another_frontend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"golden\.npz"):
        _write(tmp_path / "frogs", golden=_golden(samples=100))


def test_a_rule_other_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"head\.npz.*energy.*gaussian_tail"):
        _write(tmp_path / "frogs", rule=Energy())


@pytest.mark.parametrize("golden", [_golden(outputs=3), None], ids=["inconsistent", "no room"])
def test_a_failing_write_leaves_the_old_bundle(bundle: Path, golden: Golden | None) -> None:
    before = _contents(bundle)
    if golden:
        with pytest.raises(BundleError):
            _write(bundle, golden=golden)
    else:
        # The model cannot be written, as on a full disk.
        with pytest.raises(TypeError):
            _write(bundle, model=None)  # type: ignore[arg-type]
    assert _contents(bundle) == before
    assert [p.name for p in bundle.parent.iterdir()] == ["frogs"]
    load_bundle(bundle)


@pytest.mark.parametrize("place", ["beside a bundle", "in a folder", "a file", "a lost link"])
def test_a_bundle_takes_the_place_of_nothing_else(bundle: Path, tmp_path: Path, place: str) -> None:
    """A folder of recordings that is given as --out would be gone with all that is in it."""
    out = bundle if place == "beside a bundle" else tmp_path / "mine"
    if place == "a lost link":
        out.symlink_to(tmp_path / "nowhere")
    elif place == "a file":
        out.write_text("my thesis")
    else:
        (out / "season").mkdir(parents=True)
        (out / "season" / "20240501_050000.wav").write_bytes(b"sound")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(BundleError, match="choose another --out") as caught:
        _write(out, manifest=_manifest())
    assert str(out) in str(caught.value)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert out.is_symlink() == (place == "a lost link")
    assert place != "a file" or out.read_text() == "my thesis"


def test_a_new_bundle_replaces_the_old_one_whole(bundle: Path) -> None:
    again = _write(bundle, manifest=_manifest(name="two other frogs"))
    assert again.manifest.name == "two other frogs"
    assert set(_contents(bundle)) == set(FILES)
    assert [p.name for p in bundle.parent.iterdir()] == ["frogs"]
