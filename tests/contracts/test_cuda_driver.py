"""What `edge.backends.cuda` asks of CUDA's driver: of the real one, and of the fake."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from edge.backends.cuda import Buffer, Gpu, Stream, open_gpu
from edge.errors import BackendError
from tests.support.nvidia import Nvidia, on_a_machine

VALUES = 1000


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[Gpu]:
    if request.param == "real":
        pytest.importorskip("cuda.bindings.driver", reason="no cuda-bindings on this machine")
        yield open_gpu()
        return
    with on_a_machine(Nvidia()):
        yield open_gpu()


def there_and_back(gpu: Gpu) -> bool:
    """Whether random values come back from the device as they were."""
    stream, buffer = Stream(gpu), Buffer(gpu, VALUES)
    given = np.random.default_rng(1).random(VALUES, np.float32)
    buffer.host[:] = given
    buffer.upload(VALUES, stream)
    stream.wait()
    buffer.host[:] = np.nan
    buffer.download(VALUES, stream)
    stream.wait()
    return np.array_equal(buffer.host, given)


def test_it_has_a_name_and_a_compute_capability(gpu: Gpu) -> None:
    assert gpu.name.isprintable()
    assert gpu.name
    major, minor = map(int, gpu.compute_capability.split("."))
    assert (major, minor) >= (5, 0)


def test_values_go_to_the_device_and_come_back(gpu: Gpu) -> None:
    assert there_and_back(gpu)


def test_another_thread_may_use_it(gpu: Gpu) -> None:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(there_and_back(gpu)))
    thread.start()
    thread.join()
    assert answers == [True]


def test_only_the_values_that_are_asked_for_are_copied(gpu: Gpu) -> None:
    stream, buffer = Stream(gpu), Buffer(gpu, VALUES)
    buffer.host[:] = 1
    buffer.upload(VALUES, stream)
    stream.wait()
    buffer.host[:] = 2
    buffer.download(10, stream)
    stream.wait()
    assert buffer.host[:10].tolist() == [1] * 10
    assert buffer.host[10:].tolist() == [2] * (VALUES - 10)


def test_a_recording_does_its_work_at_each_launch_and_not_before(gpu: Gpu) -> None:
    stream, buffer = Stream(gpu), Buffer(gpu, VALUES)

    def downloaded() -> set[float]:
        buffer.host[:] = 0
        buffer.download(VALUES, stream)
        stream.wait()
        return set(buffer.host.tolist())

    buffer.host[:] = 1
    buffer.upload(VALUES, stream)
    stream.wait()
    buffer.host[:] = 2
    launch = stream.recorded(lambda: buffer.upload(VALUES, stream))
    assert downloaded() == {1}, "recording has copied nothing"
    for number in (3, 4):
        buffer.host[:] = number
        launch()
        stream.wait()
        assert downloaded() == {number}


def test_a_recording_that_fails_leaves_the_stream_usable(gpu: Gpu) -> None:
    stream = Stream(gpu)

    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stream.recorded(fails)
    stream.wait()
    assert there_and_back(gpu)


def test_more_memory_than_it_has_is_an_error_with_its_name(gpu: Gpu) -> None:
    with pytest.raises(BackendError, match="cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"):
        Buffer(gpu, 1 << 40)
    assert there_and_back(gpu)


def test_memory_that_is_not_its_own_is_an_error_with_its_name(gpu: Gpu) -> None:
    with pytest.raises(BackendError, match="cuMemFree: CUDA_ERROR_INVALID_VALUE"):
        gpu.call("cuMemFree", 12345)
    assert there_and_back(gpu)


@pytest.mark.gpu
def test_the_device_gets_back_the_memory_of_what_is_forgotten() -> None:
    pytest.importorskip("cuda.bindings.driver", reason="no cuda-bindings on this machine")
    gpu = open_gpu()
    there_and_back(gpu)
    before, _ = gpu.call("cuMemGetInfo")
    for _ in range(10):
        Buffer(gpu, 1 << 24)  # 64 MiB
    gc.collect()
    after, _ = gpu.call("cuMemGetInfo")
    assert before - after < 128 << 20
