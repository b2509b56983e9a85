"""The runs of a paper's plan on the workers of a cluster: the same as one after the other."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edge.bundle.strictjson import read_json
from tests.support.clusters import DaskCluster, dask_cluster
from tests.train.command_line import edge_train
from tests.train.commands.test_paper import plan_file
from tests.train.tones import write_collection


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("collection"))


def paper(plan: Path, collection: Path, out: Path, *more: Any) -> Any:
    return edge_train("paper", plan, "--data", collection, "--out", out, *more)


def results(out: Path) -> dict[str, Any]:
    """The results of all runs, without how long they took."""
    found = {file.parent.name: read_json(file) for file in out.glob("*/row.json")}
    return {name: {**row, "train_s": None} for name, row in found.items()}


def kill_a_worker_in_a_run(cluster: DaskCluster, out: Path) -> None:
    """Kill a worker once a run has a checkpoint and no result."""
    ends_s = time.monotonic() + 60
    while not list(out.glob("*/run/member-0/checkpoint.pt")) and time.monotonic() < ends_s:
        time.sleep(0.01)
    os.kill(cluster.worker_pids()[0], signal.SIGKILL)


def test_on_workers_that_die_the_results_are_those_of_one_after_the_other(
    root: Path, collection: Path, tmp_path: Path
) -> None:
    plan = plan_file(tmp_path, root)
    assert paper(plan, collection, tmp_path / "here", "--jobs", 1).exit_code == 0
    out = tmp_path / "there"
    with dask_cluster(tmp_path / "cluster", workers=2) as cluster:
        killer = threading.Thread(target=kill_a_worker_in_a_run, args=(cluster, out))
        killer.start()
        done = paper(plan, collection, out, "--scheduler", cluster.address)
        killer.join()
    assert done.exit_code == 0, done.output
    assert len(results(out)) == 2
    assert results(out) == results(tmp_path / "here")


def test_a_worker_of_another_version_is_refused_in_one_line(
    root: Path, collection: Path, tmp_path: Path
) -> None:
    plan = plan_file(tmp_path, root)
    shutil.copytree(root / "train", tmp_path / "other" / "train")
    (tmp_path / "other" / "train" / "later.py").write_text('"""A later file."""\n')
    with dask_cluster(tmp_path / "cluster", workers=0) as cluster:
        cluster.start_worker(code=tmp_path / "other")
        refused = paper(plan, collection, tmp_path / "out", "--scheduler", cluster.address)
    assert refused.exit_code == 1
    assert "runs another version of this program (code " in refused.output.splitlines()[-1]
    assert not results(tmp_path / "out")
