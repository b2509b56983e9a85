"""Bundles that are well sealed and ill meant: what is wrong with each is told before it is used."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge.bundle import Bundle, load_bundle
from edge.errors import BundleError
from tests.support.bundles import tiny_bundle
from tests.support.strangers import LONGEST_S, Taker, npz, resealed


@pytest.fixture(scope="module")
def taker() -> Iterator[Taker]:
    with Taker() as taker:
        yield taker


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny", variant_errors={"half": 0.0})


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["../../../etc/cron.d/x", "/etc/x", "a/b", "\0", "MODEL.onnx", "manifest.json", "a" * 99],
)
def test_a_manifest_lists_the_files_of_the_format_and_no_others(bundle: Bundle, name: str) -> None:
    said = refusal(resealed(bundle.path, lambda m: m["files"].update({name: "0" * 64})))
    assert f"lists {name!r}"[:60] in said


@pytest.mark.parametrize("name", ["engine.plan", ".hidden", "weights.bin", "\x1b[2J"])
def test_a_folder_holds_the_files_of_the_format_and_no_others(bundle: Bundle, name: str) -> None:
    (bundle.path / name).write_bytes(b"")
    assert f"holds {name!r}, which is no file of this bundle" in refusal(bundle.path)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "head.npz", "MODEL_CARD.md"])
def test_a_link_is_no_file_of_a_bundle(bundle: Bundle, name: str, tmp_path: Path) -> None:
    (bundle.path / name).rename(tmp_path / name)
    (bundle.path / name).symlink_to(tmp_path / name)
    assert f"{name}: is a link" in refusal(bundle.path)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden.npz", "manifest.sig"])
def test_a_pipe_is_not_waited_for(bundle: Bundle, name: str) -> None:
    (bundle.path / name).unlink(missing_ok=True)
    os.mkfifo(bundle.path / name)
    assert f"{name}: is no file" in refusal(bundle.path)


@pytest.mark.parametrize("name", ["manifest.json", "head.npz", "model.onnx", "MODEL_CARD.md"])
def test_a_file_that_is_too_large_is_not_read(bundle: Bundle, name: str) -> None:
    with (bundle.path / name).open("r+b") as file:
        file.truncate(1 << 40)
    assert f"{name}: is larger than" in refusal(bundle.path)


def bomb(arrays: int, zeros: int) -> bytes:
    """Return an archive of arrays of zeros, all of them packed once."""
    return npz({f"a{i}": np.zeros(zeros) for i in range(arrays)})


def lying(shape: str, content: bytes = b"") -> bytes:
    """Return an archive with one array whose header claims a shape that its content has not."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    return file.getvalue()


def many(count: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(count):
            archive.writestr(f"rules.0.rules.{i}.kind.npy", b"")
    return file.getvalue()


def packed_otherwise() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("kind.npy", b"x" * 1000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bomb(1, 40_000_000), "more than 64000000"),
        (bomb(200, 1), "200 arrays, more than 128"),
        (many(20_000), "the names in it"),
        (lying("(2000000000,)"), "its header says"),
        (lying("(0, 10000000000)"), "has shape"),
        (lying("(1, 1, 1, 1, 1, 1)"), "has shape"),
        (lying("(" + "-" * 9999 + "1,)"), "Header"),
        (packed_otherwise(), "compression"),
        (npz({"kind": np.array("energy"), "more": np.ones(1)}), "'more' belongs to no rule"),
        (npz({"kind": np.array("x" * 100)}), "not of numbers or short words"),
        (npz({"kind": np.array([b"energy"])}), "not of numbers or short words"),
        (npz({"kind": np.array(3)}), "'kind' is not a word"),
        (
            npz({"kind": np.array("knn"), "points": np.array("a"), "k": 5}),
            "'points' is not numbers",
        ),
        (npz({"kind": np.array("knn"), "points": np.ones((9, 12)), "k": 0}), "'k' is 0"),
        (npz({"kind": np.array("knn"), "points": np.ones((9, 12)), "k": 1.5}), "'k' is 1.5"),
        (npz({"kind": np.array("knn"), "points": np.ones((9, 11)), "k": 1}), "not (N, 12)"),
        (npz({"kind": np.array("knn"), "points": np.full((9, 12), np.nan), "k": 1}), "not finite"),
        (npz({"kind": np.array("knn"), "points": np.full((9, 12), 1e30), "k": 1}), "above 1e+09"),
        (npz({"kind": np.array("energy")}), "its rule is energy"),
    ],
)
def test_a_strange_rule_is_refused_before_it_is_unpacked(
    bundle: Bundle, content: bytes, reason: str
) -> None:
    said = refusal(resealed(bundle.path, files={"head.npz": content}))
    assert f"{bundle.path / 'head.npz'}: " in said
    assert reason in said


GAUSSIANS = {
    "kind": np.array("gaussian_tail"),
    "means": np.ones((3, 12)),
    "mu": np.ones(3),
    "sigma": np.ones(3),
}


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("means", np.ones((2, 12))),
        ("means", np.ones((4, 12))),
        ("means", np.ones((3, 13))),
        ("mu", np.ones(1)),
        ("mu", np.full(3, np.nan)),
        ("sigma", np.zeros(3)),
        ("sigma", -np.ones(3)),
    ],
)
def test_a_rule_of_other_labels_or_without_sense_is_refused_at_once(
    bundle: Bundle, name: str, array: Any
) -> None:
    """It could judge the golden window, perhaps, and would fail at a later one."""

    def rule(manifest: dict[str, Any]) -> None:
        manifest["rule"] = "gaussian_tail"

    for arrays, sound in ((GAUSSIANS, True), ({**GAUSSIANS, name: array}, False)):
        resealed(bundle.path, files={"head.npz": npz(arrays)})
        resealed(bundle.path, rule)
        if sound:
            load_bundle(bundle.path)
        else:
            assert f"array '{name}'" in refusal(bundle.path)


def test_a_blend_of_blends_is_refused(bundle: Bundle) -> None:
    nested: dict[str, Any] = {}
    for prefix in ("rules.0." * depth for depth in range(50)):
        nested |= {f"{prefix}kind": np.array("blend"), f"{prefix}weights": np.ones(1)}
    said = refusal(resealed(bundle.path, files={"head.npz": npz(nested)}))
    assert "one of its rules is a blend itself" in said


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("embedding", np.full(12, np.nan), "'embedding' is not of finite numbers"),
        ("logits", np.zeros(3, np.int64), "'logits' is not of finite numbers"),
        ("logits", np.zeros((3, 1)), "cannot be right"),
        ("tolerance", np.ones(2), "cannot be right"),
        ("tolerance", np.float64(1e9), "not in 0..100"),
        ("tolerance", np.float64(-1), "not in 0..100"),
        ("samples", np.zeros(7), "7 samples"),
        ("more", np.zeros(1), "'more' belongs to no network"),
    ],
)
def test_a_strange_golden_window_is_refused(
    bundle: Bundle, name: str, array: Any, reason: str
) -> None:
    with np.load(bundle.path / "golden.npz") as file:
        arrays = {**file, name: array}
    said = refusal(resealed(bundle.path, files={"golden.npz": npz(arrays)}))
    assert "golden.npz: " in said
    assert reason in said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("window_s", 1e9),
        ("window_s", float("inf")),
        ("window_s", float("nan")),
        ("n_mels", 10**9),
        ("n_mels", True),
        ("n_fft", 1 << 40),
        ("hpss_kernel", 10**9 + 1),
        ("frames", 10**9),
        ("resized_bands", 10**9),
        ("stack", 10**9),
        ("channels", 17 * [{"component": "mel", "level": {"kind": "max"}}]),
        ("window_function", "exponential"),
        ("window_function", ["kaiser", 8]),
        ("fmax_hz", 10**400),
    ],
)
def test_a_frontend_that_asks_for_too_much_is_refused(bundle: Bundle, key: str, value: Any) -> None:
    said = refusal(resealed(bundle.path, lambda m: m["frontend"].update({key: value})))
    assert "manifest.json: " in said
    assert key in said or "one frame of" in said


def test_work_is_bounded_where_every_number_is_within_bounds(bundle: Bundle) -> None:
    sizes = [{"component": "mel", "level": {"kind": "max"}, "n_fft": 256 - i} for i in range(16)]

    def more(manifest: dict[str, Any]) -> None:
        manifest["frontend"].update(channels=sizes, window_s=115.0)

    assert "spectrogram: " in refusal(resealed(bundle.path, more))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ' * 500 + "1" + "}" * 500,
        '{"a": [' + ",".join(["[]"] * 1_000_000) + "]}",
        "{" + ",".join(f'"{i}": 0' for i in range(200_000)) + ', "199999": 1}',
        '{"format_version": 1, "a": ' + "9" * 4000 + "}",
        '{"format_version": 1, "a": 1e999}',
        '{"format_version": 1, "a": NaN}',
        '{"format_version": true}',
        '{"format_version": -1}',
    ],
)
def test_a_strange_manifest_is_one_line_and_soon(bundle: Bundle, taker: Taker, text: str) -> None:
    (bundle.path / "manifest.json").write_text(text, encoding="utf-8")
    answer = taker.takes(bundle.path)
    assert answer["refused"].startswith(f"{bundle.path / 'manifest.json'}: ")
    assert len(answer["refused"]) < 600
    assert answer["seconds"] < LONGEST_S


def test_weights_in_another_file_are_refused(bundle: Bundle) -> None:
    sound = bundle.model_path.read_bytes()
    for where in ("initializer", "attribute"):
        model = onnx.load_model_from_string(sound)
        tensor = model.graph.initializer[0]
        if where == "attribute":
            node = model.graph.node.add(op_type="Constant", output=["more"])
            tensor = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/shadow")
        content = model.SerializeToString()
        said = refusal(resealed(bundle.path, files={"model.onnx": content}))
        assert "model.onnx: its weights are in another file" in said
