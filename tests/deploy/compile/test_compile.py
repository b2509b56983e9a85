"""`edge-deploy compile` on fakes of NVIDIA's software, and on this machine as it is."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from edge.bundle import Bundle, load_bundles
from edge.detect.engines import load_model, load_models
from edge.detect.model import EngineChoice
from edge.types import Window
from tests.support.bundles import LABELS, choir_bundle, tiny_bundle, tone
from tests.support.fake_cuda import Device
from tests.support.fake_tensorrt import VERSIONS, Behaviour
from tests.support.heads import tiny_head
from tests.support.nvidia import Nvidia, for_children, on_a_machine, tensorrt_missing

On = Callable[[Nvidia], AbstractContextManager[None]]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    return tmp_path / "engines"


@pytest.fixture
def on(root: Path, monkeypatch: pytest.MonkeyPatch) -> On:
    """A machine for this process and those it starts."""

    @contextmanager
    def machine(nvidia: Nvidia) -> Iterator[None]:
        with on_a_machine(nvidia), monkeypatch.context() as patch:
            for name, value in for_children(nvidia, root).items():
                patch.setenv(name, value)
            yield

    return machine


def compiled(bundle: Bundle, engines: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        main, ["compile", str(bundle.path), "--engines", str(engines), *arguments]
    )


def whole(engines: Path) -> list[Path]:
    return sorted(path.parent for path in engines.glob("[0-9a-f]*/engine.json"))


def test_without_a_driver_it_is_one_line_and_exit_code_2(bundle: Bundle, engines: Path) -> None:
    if tensorrt_missing() is None:
        pytest.skip("this machine has a driver")
    result = compiled(bundle, engines)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("edge-deploy: ")
    assert result.stderr.count("\n") == 1
    assert "NVIDIA" in result.stderr
    assert not engines.exists()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_is_built_proved_and_taken(
    bundle: Bundle, engines: Path, on: On, version: str
) -> None:
    with on(Nvidia(version=version)):
        result = compiled(bundle, engines)
        assert result.exit_code == 0, result.output
        model = load_model(bundle, folder=engines)
    assert (model.engine.backend, model.network.name, model.engine.passed_over) == (
        "tensorrt",
        "fp32",
        0,
    )
    (folder,) = whole(engines)
    parity = json.loads((folder / "parity.json").read_text())
    assert parity["passed"]
    assert parity["repeats_itself"]
    assert parity["bundle"] == bundle.digest
    key = json.loads((folder / "engine.json").read_text())["key"]
    is_for_rtx = version.startswith("RTX")
    assert key["machine"]["tensorrt"].startswith(f"for {version}" if is_for_rtx else version)
    assert ("trtexec" in result.stderr) is not is_for_rtx
    assert "fp32: built in" in result.stdout
    kept = [folder.name] if is_for_rtx else [folder.name, "timing.cache"]
    assert sorted(path.name for path in engines.iterdir()) == sorted(kept)


def test_what_is_there_is_proved_again_and_kept(bundle: Bundle, engines: Path, on: On) -> None:
    with on(Nvidia()):
        compiled(bundle, engines)
        (first,) = whole(engines)
        written = (first / "engine.plan").stat().st_mtime_ns
        again = compiled(bundle, engines)
    assert "fp32: is already there" in again.stdout
    assert (first / "engine.plan").stat().st_mtime_ns == written


def test_an_engine_that_answers_wrongly_is_set_aside_with_its_report(
    bundle: Bundle, engines: Path, on: On
) -> None:
    with on(Nvidia(behaviour=Behaviour(answers_off_by=0.01))):
        result = compiled(bundle, engines)
    assert result.exit_code == 1
    assert "differs by 0.01" in result.stderr
    assert not whole(engines)
    assert not json.loads((engines / "set-aside.1" / "parity.json").read_text())["passed"]


def test_what_a_network_answers_further_is_proved_and_used(
    tmp_path: Path, engines: Path, on: On
) -> None:
    framed = choir_bundle(tmp_path / "framed", frame_threshold=0.5, attention=True)
    off = choir_bundle(
        tmp_path / "off", frame_threshold=0.4, attention=True, golden_errors={"attention": 0.1}
    )
    with on(Nvidia()):
        assert compiled(framed, engines).exit_code == 0
        model, plain = (
            load_model(framed, folder=engines),
            load_model(framed, folder=engines, backend="cpu"),
        )
        sound = tone(1000.0, 1.0)
        window = Window(
            start_sample=0,
            end_sample=len(sound),
            samples=sound,
            sample_rate_hz=plain.bundle.frontend.sample_rate_hz,
        )
        features = plain.features(window)[0]
        frames, ours = (m.judgement([m.answer(features)]).frames(0) for m in (plain, model))
        (looked,), (expected,) = (m.outputs(features, ("attention",)) for m in (model, plain))
        refused = compiled(off, engines, "--force")
    assert model.engine.backend == "tensorrt"
    assert frames is not None
    assert ours is not None
    np.testing.assert_array_equal(ours.active, frames.active)
    assert ours.active[1:-1, 1].all()
    np.testing.assert_allclose(looked, expected, rtol=1e-5)
    assert refused.exit_code == 1
    assert "differs by 0.1" in refused.stderr


def test_a_truncated_plan_is_set_aside_and_built_again(
    bundle: Bundle, engines: Path, on: On
) -> None:
    with on(Nvidia()):
        compiled(bundle, engines)
        (folder,) = whole(engines)
        plan = folder / "engine.plan"
        plan.write_bytes(plan.read_bytes()[:-10])
        model = load_model(bundle, folder=engines)
        assert (model.engine.backend, model.engine.passed_over) == ("onnxruntime-cpu", 1)
        assert "truncated" in model.engine.why_not[0]
        assert not whole(engines)
        assert compiled(bundle, engines).exit_code == 0
        assert load_model(bundle, folder=engines).engine.backend == "tensorrt"


def test_after_an_upgrade_the_reason_is_given_and_an_engine_is_built_beside(
    bundle: Bundle, engines: Path, on: On
) -> None:
    with on(Nvidia(version="10.3")):
        compiled(bundle, engines)
    with on(Nvidia(version="11.4")):
        model = load_model(bundle, folder=engines)
        assert (model.engine.backend, model.engine.passed_over) == ("onnxruntime-cpu", 1)
        assert "one was built for TensorRT 10.3.0, this is 11.4.0.106" in model.engine.why_not[0]
        assert compiled(bundle, engines).exit_code == 0
        assert load_model(bundle, folder=engines).engine.backend == "tensorrt"
    assert len(whole(engines)) == 2


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (
            Behaviour(signal_at_step=signal.SIGSEGV),
            "the builder crashed with SIGSEGV while it was at 'Tactics'",
        ),
        (
            Behaviour(signal_at_step=signal.SIGKILL),
            "the builder was killed while it was at 'Tactics', most likely for want of memory",
        ),
        (
            Behaviour(build_says="Error Code 2: OutOfMemory (Requested size was 536870912 bytes.)"),
            "GPU's memory was not enough",
        ),
        (
            Behaviour(build_says="Could not find any implementation for node conv1"),
            "could not build the engine (Could not find any",
        ),
        (Behaviour(no_context=True), "has not the memory to run the engine"),
        (Behaviour(deserialize_says="magicTagRead == kMAGIC_TAG failed"), "truncated, damaged"),
    ],
)
def test_a_build_that_fails_is_one_line_with_its_reason(
    bundle: Bundle, engines: Path, on: On, behaviour: Behaviour, said: str
) -> None:
    with on(Nvidia(behaviour=behaviour)):
        result = compiled(bundle, engines)
    assert result.exit_code == 1
    (failed,) = [line for line in result.stderr.splitlines() if "FAILED" in line]
    assert said in failed
    assert not whole(engines)
    assert not list(engines.glob(".new.*"))


def test_a_build_that_hangs_is_ended(bundle: Bundle, engines: Path, on: On) -> None:
    with on(Nvidia(behaviour=Behaviour(sleeps_s=600.0))):
        result = compiled(bundle, engines, "--timeout-s", "5")
    assert result.exit_code == 1
    assert "the builder was ended after 5 s while it was at " in result.stderr


def test_a_limit_that_is_not_taken_is_reported(bundle: Bundle, engines: Path, on: On) -> None:
    with on(Nvidia(behaviour=Behaviour(deaf_pools=("TACTIC_DRAM",)))):
        result = compiled(bundle, engines)
    assert result.exit_code == 0
    assert "warning: TensorRT limits TACTIC_DRAM to 65536 MiB, not to the 512 MiB" in result.stderr


def test_a_timing_cache_of_another_version_is_begun_anew(
    bundle: Bundle, engines: Path, on: On
) -> None:
    engines.mkdir()
    (engines / "timing.cache").write_bytes(b"tactics of 9.9")
    with on(Nvidia()):
        result = compiled(bundle, engines)
    assert result.exit_code == 0
    assert "timing.cache is of another TensorRT" in result.stderr
    assert (engines / "timing.cache").read_bytes() == b"tactics of 10.3.0"


def test_the_fastest_that_gives_the_right_answers_is_enough(
    tmp_path: Path, engines: Path, on: On
) -> None:
    bundle = tiny_bundle(tmp_path / "variants", variant_errors={"int8": 0.5})
    with on(Nvidia()):
        result = compiled(bundle, engines)
        assert result.exit_code == 0
        assert "int8: FAILED" in result.stderr
        model = load_model(bundle, folder=engines)
    assert (model.engine.backend, model.network.name) == ("tensorrt", "fp32")


def test_the_configuration_says_what_is_compiled_and_where(
    bundle: Bundle, tmp_path: Path, on: On
) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(f"model:\n  bundle: {bundle.path}\n  engines: {tmp_path / 'there'}\n")
    with on(Nvidia()):
        result = CliRunner().invoke(main, ["compile", "--config", str(file)])
    assert result.exit_code == 0, result.output
    assert whole(tmp_path / "there")
    head = tiny_head(tmp_path / "study", bundle, {LABELS[0]: 0})
    words = json.dumps([str(bundle.path), f"{bundle.path}+{head.path}"])
    file.write_text(f"model:\n  bundles: {words}\n  engines: {tmp_path / 'heads'}\n")
    with on(Nvidia()):
        result = CliRunner().invoke(main, ["compile", "--config", str(file)])
        assert result.exit_code == 0, result.output
        assert len(whole(tmp_path / "heads")) == 1  # of the network that both have
        both = load_models(load_bundles(json.loads(words)), folder=tmp_path / "heads")
        assert both.engine == EngineChoice(backend="tensorrt", variant="fp32")
    file.write_text("model:\n  backend: cpu\n")
    result = CliRunner().invoke(main, ["compile", "--config", str(file)])
    assert (result.exit_code, result.stdout) == (0, "nothing to compile: model.backend is cpu\n")


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (Nvidia(version="8.6.2"), "TensorRT 8.6.2 is too old"),
        (Nvidia(version="12.0.1"), "TensorRT 12.0.1 is newer than this program"),
        (
            Nvidia(import_errors={"tensorrt": "No module named 'tensorrt'"}),
            "--system-site-packages",
        ),
        (
            Nvidia(
                import_errors={
                    "tensorrt": (
                        "libnvdla_compiler.so: cannot open shared object file: No such "
                        "file or directory"
                    )
                }
            ),
            (
                "libnvdla_compiler.so: cannot open shared object file: No such file or directory "
                "(install nvidia-l4t-dla-compiler"
            ),
        ),
        (
            Nvidia(device=Device(failing={"cuInit": "CUDA_ERROR_NO_DEVICE"})),
            "no NVIDIA GPU: CUDA: cuInit: CUDA_ERROR_NO_DEVICE",
        ),
        (
            Nvidia(device=Device(failing={"cuInit": "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"})),
            "DRIVER_MISMATCH",
        ),
        (
            Nvidia(device=Device(failing={"cuDevicePrimaryCtxRetain": "CUDA_ERROR_OUT_OF_MEMORY"})),
            "OUT_OF_MEMORY",
        ),
    ],
)
def test_a_machine_that_cannot_compile_says_why_in_one_line(
    bundle: Bundle, engines: Path, on: On, machine: Nvidia, said: str
) -> None:
    with on(replace(machine)):
        result = compiled(bundle, engines)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_a_network_that_the_bundle_has_not_is_named(bundle: Bundle, engines: Path, on: On) -> None:
    with on(Nvidia()):
        result = compiled(bundle, engines, "--network", "int4")
    assert result.exit_code == 2
    assert "--network int4" in result.stderr
