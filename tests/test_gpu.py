"""`make gpu` on a machine without a card: all that can run there does, the rest says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from tests.support.gpu.__main__ import main
from tests.support.gpu.inference import Row
from tests.support.gpu.marked import run_marked


def test_everything_is_in_one_document_and_what_is_missing_is_a_line(tmp_path: Path) -> None:
    out = tmp_path / "new" / "gpu.md"
    result = CliRunner().invoke(
        main, ["--device", "cpu", "--tiny", "--no-tests", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    text = out.read_text(encoding="utf-8")
    for row in (
        "| PyTorch, eager | fp32 | 1 |",
        "| PyTorch, eager | fp32 | 2 |",
        "| ONNX Runtime, one CPU thread | fp32 | 1 |",
        "| ONNX Runtime, CUDA | fp32 | all | not run: ",
        "| TensorRT | fp32 | all | not run: ",
        "| S1 MS-CNN, dynamic triplet loss | fp32 |",
        "| S4 Soundception | fp32 |",
    ):
        assert text.count(row) == 1, row
    assert "WRONG" not in text
    assert "FAILED" not in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_card_it_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--out", str(tmp_path / "gpu.md")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: device cuda: no GPU")
    assert result.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_tests_that_were_not_run_are_counted_with_their_reason(root: Path) -> None:
    rows = run_marked(root, "tests/contracts/test_cuda_driver.py")
    assert len(rows) > 5
    assert {(row.outcome, row.reason) for row in rows} == {
        ("not run", "no CUDA device on this machine")
    }


@pytest.mark.parametrize(
    ("off", "wrong"), [(0.0, False), (1e-4, False), (0.01, True), (float("nan"), True)]
)
def test_an_answer_that_is_off_or_no_number_is_wrong(off: float, wrong: bool) -> None:
    assert Row(way="any", difference=off).is_wrong is wrong
