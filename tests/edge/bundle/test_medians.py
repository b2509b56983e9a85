"""Running medians are scipy's, bit for bit, for every odd kernel and every length."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.bundle.medians import running_median

kernels = st.integers(0, 20).map(lambda n: 2 * n + 1)
# Few distinct values, so that ties are common.
spectrograms = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=40),
    elements=st.integers(0, 9).map(np.float32),
)


@given(rows=spectrograms, kernel=kernels)
def test_is_the_median_of_each_mirrored_neighbourhood(rows: np.ndarray, kernel: int) -> None:
    mirrored = np.pad(rows, ((kernel // 2, kernel // 2), (0, 0)), mode="symmetric")
    expected = np.stack([np.median(mirrored[i : i + kernel], axis=0) for i in range(len(rows))])
    np.testing.assert_array_equal(running_median(rows, kernel), expected)


@pytest.mark.parametrize("kernel", [1, 3, 5, 17, 31])
@pytest.mark.parametrize("frames", [32, 216, 431])
def test_is_identical_to_scipy(kernel: int, frames: int) -> None:
    rows = np.abs(np.random.default_rng(kernel).standard_normal((frames, 65))).astype(np.float32)
    expected = scipy.ndimage.median_filter(rows, size=(kernel, 1), mode="reflect")
    np.testing.assert_array_equal(running_median(rows, kernel), expected)


def test_leaves_its_input_alone() -> None:
    rows = np.random.default_rng(0).random((50, 8), dtype=np.float32)
    before = rows.copy()
    running_median(rows, 31)[:] = 0
    np.testing.assert_array_equal(rows, before)
