"""One small cluster for all tests that do not kill it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clusters import dask_cluster


@pytest.fixture(scope="session")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with one worker."""
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.address
