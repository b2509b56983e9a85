"""A real Prometheus scrapes a real recorder, and its queries have answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from edge.app import Daemon
from tests.support.broker import free_port
from tests.support.bundles import tiny_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config

PROMETHEUS = shutil.which("prometheus") or "prometheus"
CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: edge
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


@contextmanager
def prometheus(folder: Path, *, scrapes: int) -> Iterator[int]:
    """One that scrapes that port of this machine; the port it answers on."""
    folder.mkdir()
    port, file = free_port(), folder / "prometheus.yml"
    file.write_text(CONFIGURATION.format(port=scrapes))
    subprocess.run(["promtool", "check", "config", str(file)], check=True, capture_output=True)
    command = [
        PROMETHEUS,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            yield port
        finally:
            server.kill()


def asked(port: int, query: str) -> list[dict[str, Any]]:
    """The vector that a PromQL query gives, empty while there is no answer yet."""
    try:
        url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            content = json.load(answer)
    except URLError:
        return []
    assert content["status"] == "success"
    vector: list[dict[str, Any]] = content["data"]["result"]
    return vector


@pytest.mark.promtool
def test_prometheus_scrapes_a_recorder_and_answers(tmp_path: Path) -> None:
    bundle, port = tiny_bundle(tmp_path / "bundle"), free_port()
    config = write_config(tmp_path, bundle.path, metrics={"port": port})
    daemon = Daemon(config, audio=RealTimeAudio(tone(300, 2)), deliveries=lambda plan, store, clock, metrics: [])
    with prometheus(tmp_path / "prometheus", scrapes=port) as server:
        with running(daemon):
            until(lambda: [v["value"][1] for v in asked(server, "up")] == ["1"], 60)
            heard = 'rate(edge_audio_seconds_total{fate="heard"}[20s])'
            until(lambda: [v for v in asked(server, heard) if float(v["value"][1]) > 0], 60)
            fates = {v["metric"]["fate"] for v in asked(server, "rate(edge_audio_seconds_total[20s])")}
            assert fates == {"heard", "lost", "gated", "dropped"}
            until(lambda: list(asked(server, "histogram_quantile(0.99, rate(edge_inference_seconds_bucket[20s]))")), 60)
            (info,) = asked(server, "edge_info")
            assert (info["metric"]["bundle"], info["metric"]["device"]) == (bundle.digest, "pond")
            (detections,) = asked(server, 'edge_detections_total{label="low_hummer"}')
            assert float(detections["value"][1]) >= 1
        until(lambda: [v["value"][1] for v in asked(server, "up")] == ["0"], 60)  # and a recorder that is gone is seen to be
