"""TensorRT for RTX on the card of this machine: it runs an engine, or says why it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.backends.cuda import open_gpu
from tests.support.bundles import tiny_bundle
from tests.support.real_tensorrt import RTX_TARGETS

# In a process of its own, which may end by a signal.
TRIAL = """
import json, sys
from pathlib import Path
import numpy as np
from edge.backends.cuda import open_gpu
from edge.backends.onnx import OnnxBackend
from edge.backends.tensorrt import TensorRtBackend
from edge.errors import BackendError
from tests.support.bundles import SPEC
from tests.support.real_tensorrt import built

model, gpu = Path(sys.argv[1]), open_gpu()
features = np.random.default_rng(0).random((5, *SPEC.shape), np.float32)
try:
    backend = TensorRtBackend(built(model, SPEC.shape), gpu=gpu)
    answers = backend.infer(features)
except BackendError as exc:
    print(json.dumps({"kind": type(exc).__name__, "reason": str(exc)}))
else:
    expected = OnnxBackend(model).infer(features)
    off = max(float(np.abs(a - b).max()) for a, b in zip(answers, expected, strict=True))
    print(json.dumps({"off": off}))
"""


@pytest.mark.gpu
@pytest.mark.rtx
def test_it_runs_on_a_card_that_it_is_for_and_says_why_on_another(
    root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("cuda.bindings.driver", reason="no cuda-bindings on this machine")
    model = tiny_bundle(tmp_path / "tiny").model_path
    command = [sys.executable, "-c", TRIAL, str(model)]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-2000:]}"
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    gpu = open_gpu()
    if "off" in answer:
        assert answer["off"] < 1e-4
        return
    assert gpu.compute_capability not in RTX_TARGETS, answer
    assert "\n" not in answer["reason"]
    pytest.skip(
        f"TensorRT for RTX does not run on {gpu.name} ({gpu.compute_capability}); it says: "
        f"{answer['kind']}: {answer['reason']}"
    )
