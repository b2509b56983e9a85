"""TensorRT as a recorder meets it: each failure is one clear line and the next best engine."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from deploy.compile.build_engine import BuildRequest, build
from edge.backends.cuda import open_gpu
from edge.backends.enginecache import EngineCache
from edge.backends.enginekey import BuildOptions, EngineKey, machine_of
from edge.backends.onnx import OnnxBackend
from edge.backends.tensorrt import TensorRtBackend
from edge.backends.tensorrt_library import import_tensorrt, library_version
from edge.bundle import Bundle
from edge.detect.engines import candidates, load_model
from edge.errors import BackendError, ConfigError, EngineError, NoGpuError
from edge.types import Array
from tests.support.bundles import SPEC, tiny_bundle
from tests.support.fake_cuda import Device
from tests.support.fake_tensorrt import VERSIONS, Behaviour
from tests.support.nvidia import Nvidia, on_a_machine

OLD_PLAN = (
    "The engine plan file is not compatible with this version of TensorRT, expecting "
    "library version 10.3.0 got 10.0.1"
)
REFUSALS = {
    OLD_PLAN: "built by another version",
    (
        "The engine plan file is generated on an incompatible device, expecting compute 8.7 got "
        "compute 7.2"
    ): "another kind of GPU",
    "Error Code 1: Serialization (Platform specific tag mismatch detected.)": "another platform",
    "Serialization assertion magicTagRead == kMAGIC_TAG failed.": (
        "truncated, damaged, or of a newer layout"
    ),
    "": "TensorRT refuses it",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny")


def plan_of(bundle: Bundle, folder: Path) -> bytes:
    file = folder / "engine.plan"
    options = BuildOptions(largest_batch=4)
    request = BuildRequest(
        onnx=bundle.model_path,
        plan=file,
        shape=SPEC.shape,
        timing_cache=folder / "timing",
        options=options,
    )
    build(request, lambda what: None)
    return file.read_bytes()


def kept(bundle: Bundle, folder: Path) -> EngineCache:
    """Return a cache with an engine for this machine."""
    cache = EngineCache(folder)
    machine = machine_of(open_gpu(), library_version(import_tensorrt()))
    options = BuildOptions(largest_batch=4)
    with cache.staging() as staging:
        staged = Path(staging, "engine")
        staged.mkdir()
        plan_of(bundle, staged)
        (staged / "timing").unlink(missing_ok=True)
        onnx = bundle.manifest.files["model.onnx"]
        key = EngineKey(
            onnx_sha256=onnx,
            profile=options.profile(SPEC.shape),
            options=options.names,
            machine=machine,
        )
        cache.keep(staged, key, build_s=1.0, parity={"passed": True})
    return cache


def features(batch: int) -> Array:
    return np.random.default_rng(0).random((batch, *SPEC.shape), np.float32)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("graph", [False, True])
def test_it_answers_as_onnx_runtime_does(
    bundle: Bundle, tmp_path: Path, version: str, graph: bool
) -> None:
    expected = OnnxBackend(bundle.model_path).infer(features(7))
    with on_a_machine(Nvidia(version=version)):
        backend = TensorRtBackend(plan_of(bundle, tmp_path), gpu=open_gpu(), cuda_graph=graph)
        for batch in (7, 1, 3, 7):
            for got, wanted in zip(backend.infer(features(7)[:batch]), expected, strict=True):
                np.testing.assert_allclose(got, wanted[:batch], rtol=1e-5, atol=1e-6)


def test_another_thread_may_use_it(bundle: Bundle, tmp_path: Path) -> None:
    answers: list[object] = []
    with on_a_machine(Nvidia()):
        backend = TensorRtBackend(plan_of(bundle, tmp_path), gpu=open_gpu())
        thread = threading.Thread(target=lambda: answers.append(backend.infer(features(1))))
        thread.start()
        thread.join()
    assert len(answers) == 1


def test_all_memory_of_the_device_is_released(bundle: Bundle, tmp_path: Path) -> None:
    machine = Nvidia()
    with on_a_machine(machine):
        plan, gpu = plan_of(bundle, tmp_path), open_gpu()
        backend = TensorRtBackend(plan, gpu=gpu, cuda_graph=True)
        backend.infer(features(1))
        device = machine.device
        assert (len(device.memory), len(device.queues), len(device.graphs)) == (6, 1, 1)
        del backend
        gc.collect()
        assert (device.memory, device.queues, device.graphs) == ({}, {}, {})


def test_a_card_that_it_is_not_for_is_told_from_a_plan_that_is_spoilt(
    bundle: Bundle, tmp_path: Path
) -> None:
    """What TensorRT for RTX said on an H100; building again would not help."""
    says = (
        "IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine cannot run on "
        "this GPU, which has compute capability 9.0. TensorRT-RTX does not support this compute "
        "capability, so the engine cannot be rebuilt for it.)"
    )
    folder = tmp_path / "engines"
    with on_a_machine(Nvidia(version="RTX 1.7")):
        kept(bundle, folder)
    (engine,) = folder.iterdir()
    refusing = Nvidia(version="RTX 1.7", behaviour=Behaviour(deserialize_says=says))
    with on_a_machine(refusing):
        model = load_model(bundle, folder=folder)
    assert (model.engine.backend, model.engine.passed_over) == ("onnxruntime-cpu", 1)
    assert "makes no engines for the GPU of this machine" in model.engine.why_not[0]
    assert [path.name for path in folder.iterdir()] == [engine.name]


@pytest.mark.parametrize(("says", "reason"), REFUSALS.items())
def test_a_plan_that_is_not_taken_is_set_aside_and_the_next_engine_serves(
    bundle: Bundle, tmp_path: Path, says: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "engines"
    with on_a_machine(Nvidia()):
        kept(bundle, folder)
    with (
        on_a_machine(Nvidia(behaviour=Behaviour(deserialize_says=says))),
        caplog.at_level(logging.WARNING),
    ):
        model = load_model(bundle, folder=folder)
        assert (model.engine.backend, model.engine.passed_over) == ("onnxruntime-cpu", 1)
        why_not = model.engine.why_not[0]
        assert reason in why_not
        assert "\n" not in why_not
        assert [path.name for path in folder.iterdir()] == ["set-aside.1"]
        assert [r.message for r in caplog.records if "passed over" in r.message] == [
            f"tensorrt/fp32 is passed over: {why_not[15:]}"
        ]


def test_a_lack_of_memory_sets_nothing_aside(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    says = "Error Code 2: OutOfMemory (no further information)"
    with on_a_machine(Nvidia()):
        kept(bundle, folder)
    with on_a_machine(Nvidia(behaviour=Behaviour(deserialize_says=says))):
        model = load_model(bundle, folder=folder)
        assert "has not enough memory" in model.engine.why_not[0]
    with on_a_machine(Nvidia(device=Device(failing={"cuMemAlloc": "CUDA_ERROR_OUT_OF_MEMORY"}))):
        assert "CUDA_ERROR_OUT_OF_MEMORY" in load_model(bundle, folder=folder).engine.why_not[0]
    with on_a_machine(Nvidia()):
        assert load_model(bundle, folder=folder).engine.backend == "tensorrt"


def test_an_engine_that_answers_wrongly_is_passed_over(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    with on_a_machine(Nvidia()):
        kept(bundle, folder)
    with on_a_machine(Nvidia(behaviour=Behaviour(answers_off_by=0.01))):
        model = load_model(bundle, folder=folder)
        assert (model.engine.backend, model.engine.passed_over) == ("onnxruntime-cpu", 1)
        assert "golden window" in model.engine.why_not[0]


def test_a_run_that_fails_is_a_backend_error_with_what_tensorrt_said(
    bundle: Bundle, tmp_path: Path
) -> None:
    behaviour = Behaviour()
    with on_a_machine(Nvidia(behaviour=behaviour)):
        backend = TensorRtBackend(plan_of(bundle, tmp_path), gpu=open_gpu())
        behaviour.execute_fails = True
        with pytest.raises(
            BackendError, match=r"could not run the engine \(.*illegal memory access"
        ):
            backend.infer(features(1))
        behaviour.execute_fails = False
        backend.infer(features(1))


def test_a_device_that_falls_off_the_bus_is_a_backend_error(bundle: Bundle, tmp_path: Path) -> None:
    machine = Nvidia()
    with on_a_machine(machine):
        backend = TensorRtBackend(plan_of(bundle, tmp_path), gpu=open_gpu())
        machine.device.failing["cuStreamSynchronize"] = "CUDA_ERROR_ILLEGAL_ADDRESS"
        with pytest.raises(BackendError, match="cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS"):
            backend.infer(features(1))


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (Nvidia(device=Device(failing={"cuInit": "CUDA_ERROR_NO_DEVICE"})), "CUDA_ERROR_NO_DEVICE"),
        (
            Nvidia(import_errors={"cuda.bindings.driver": "libcuda.so.1 is not here"}),
            "no NVIDIA GPU|cuda-bindings cannot be used",
        ),
    ],
)
def test_where_there_is_no_gpu_tensorrt_is_never_touched(
    bundle: Bundle, tmp_path: Path, machine: Nvidia, reason: str
) -> None:
    with on_a_machine(machine):
        offered = [engine.name for engine in candidates(bundle, folder=tmp_path / "engines")]
        assert "tensorrt" not in sys.modules
        with pytest.raises(BackendError, match=reason):
            open_gpu()
    assert offered[-1] == "onnxruntime-cpu/fp32"


def test_a_machine_without_a_gpu_has_fallen_back_from_nothing(
    bundle: Bundle, tmp_path: Path
) -> None:
    with on_a_machine(Nvidia(device=Device(failing={"cuInit": "CUDA_ERROR_NO_DEVICE"}))):
        with pytest.raises(NoGpuError):
            open_gpu()
        model = load_model(bundle, folder=tmp_path / "engines")
    assert (model.engine.backend, model.engine.passed_over) == ("onnxruntime-cpu", 0)
    assert model.engine.why_not[0].startswith("tensorrt: no NVIDIA GPU")


def test_a_gpu_without_an_engine_is_reported_and_counted(bundle: Bundle, tmp_path: Path) -> None:
    with on_a_machine(Nvidia()):
        model = load_model(bundle, folder=tmp_path / "engines")
    assert (model.engine.backend, model.engine.passed_over) == ("onnxruntime-cpu", 1)
    assert "run `edge-deploy compile`" in model.engine.why_not[0]


def test_a_backend_that_was_chosen_and_cannot_run_is_an_error_with_the_reason(
    bundle: Bundle, tmp_path: Path
) -> None:
    with (
        on_a_machine(Nvidia()),
        pytest.raises(
            ConfigError, match=r"backend = tensorrt: cannot run here: .*edge-deploy compile"
        ),
    ):
        load_model(bundle, backend="tensorrt", folder=tmp_path / "engines")
    with on_a_machine(Nvidia(behaviour=Behaviour(answers_off_by=0.01))):
        kept(bundle, tmp_path / "engines")
        with pytest.raises(
            ConfigError, match=r"backend = tensorrt: cannot run here: .*golden window"
        ):
            load_model(bundle, backend="tensorrt", folder=tmp_path / "engines")
        assert (
            load_model(bundle, backend="cpu", folder=tmp_path / "engines").engine.passed_over == 0
        )


def test_a_key_that_was_edited_is_not_believed(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    with on_a_machine(Nvidia()):
        cache = kept(bundle, folder)
        (file,) = folder.glob("*/engine.json")
        file.write_text(file.read_text().replace("Orin (fake)", "Thor (fake)"))
        with pytest.raises(EngineError, match="its key was edited"):
            cache.find(bundle.model_path, machine_of(open_gpu(), "10.3.0"))


@pytest.mark.parametrize("value", ["1" + "0" * 400, "[]", "null", '"long"'])
def test_a_strange_engine_is_set_aside_beside_strange_names(
    bundle: Bundle, tmp_path: Path, value: str
) -> None:
    folder = tmp_path / "engines"
    with on_a_machine(Nvidia()):
        cache = kept(bundle, folder)
        (folder / "set-aside.²").mkdir()
        (file,) = folder.glob("*/engine.json")
        text = file.read_text()
        assert '"build_s": 1.0' in text
        file.write_text(text.replace('"build_s": 1.0', f'"build_s": {value}'))
        with pytest.raises(EngineError, match="set aside"):
            cache.find(bundle.model_path, machine_of(open_gpu(), "10.3.0"))
    assert (folder / "set-aside.1").is_dir()


def test_engines_set_aside_do_not_fill_the_disk(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    with on_a_machine(Nvidia()):
        for _ in range(5):
            cache = kept(bundle, folder)
            (engine,) = folder.glob("[0-9a-f]*/engine.json")
            cache.set_aside(engine.parent)
    assert sorted(path.name for path in folder.iterdir()) == ["set-aside.4", "set-aside.5"]


@pytest.mark.parametrize(
    ("release", "l4t"),
    [
        (
            "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
            "R36 (release), REVISION: 4.3",
        ),
        (None, ""),
    ],
)
def test_jetsons_linux_is_a_part_of_the_key(tmp_path: Path, release: str | None, l4t: str) -> None:
    if release is not None:
        (tmp_path / "release").write_text(release)
    with on_a_machine(Nvidia()):
        machine = machine_of(open_gpu(), "10.3.0", l4t=tmp_path / "release")
    assert (machine.l4t, machine.device, machine.compute_capability) == (l4t, "Orin (fake)", "8.7")
