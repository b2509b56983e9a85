"""A real Prometheus scrapes a real recorder, and its queries have answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.recorder.daemon import Daemon
from tests.support.broker import free_port
from tests.support.bundles import tiny_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.prometheus import prometheus


@pytest.mark.promtool
def test_prometheus_scrapes_a_recorder_and_answers(tmp_path: Path) -> None:
    bundle, port = tiny_bundle(tmp_path / "bundle"), free_port()
    config = write_config(tmp_path, bundle.path, metrics={"port": port})
    daemon = Daemon(config, audio=RealTimeAudio(tone(300, 2)), deliveries=lambda *parts: [])
    with prometheus(tmp_path / "prometheus", scrapes=port) as server:
        with running(daemon):
            until(lambda: [v["value"][1] for v in server.asked("up")] == ["1"], 60)
            heard = 'rate(edge_audio_seconds_total{fate="heard"}[20s])'
            until(lambda: [v for v in server.asked(heard) if float(v["value"][1]) > 0], 60)
            fates = {
                v["metric"]["fate"] for v in server.asked("rate(edge_audio_seconds_total[20s])")
            }
            assert fates == {"heard", "lost", "gated", "dropped", "unknown", "private"}
            until(
                lambda: list(
                    server.asked(
                        "histogram_quantile(0.99, rate(edge_inference_seconds_bucket[20s]))"
                    )
                ),
                60,
            )
            (info,) = server.asked("edge_info")
            assert (info["metric"]["bundle"], info["metric"]["device"]) == (bundle.digest, "pond")
            (detections,) = server.asked('edge_detections_total{label="low_hummer"}')
            assert float(detections["value"][1]) >= 1
        # and a recorder that is gone is seen to be
        until(lambda: [v["value"][1] for v in server.asked("up")] == ["0"], 60)
