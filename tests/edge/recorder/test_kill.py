"""A recorder that is killed with -9 in the middle of an event: the next one ends it, and the ledger
has every second.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from edge.bundle import Bundle
from tests.edge.recorder.test_daemon import daemon, rows
from tests.support.bundles import tone
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.killable import Killable

OPEN = "SELECT count(*) FROM detections AS d WHERE state = 'new' AND NOT EXISTS "
OPEN += "(SELECT 1 FROM detections WHERE key = d.id || '/end')"
LENGTH = "(end_sample - start_sample) * 1.0 / sample_rate_hz"
LEDGER = f"SELECT sum({LENGTH}), sum(heard_s) FROM effort"


def test_killed_again_and_again_every_event_ends_and_every_second_is_accounted_for(
    tmp_path: Path, bundle: Bundle
) -> None:
    config = write_config(
        tmp_path, bundle.path, tracker={"cooldown_s": 30.0, "longest_s": 60.0, "update_s": 1.0}
    )
    left_open = 0
    with Killable("daemon", str(config)) as recorder:
        began_s = time.monotonic()
        for life in range(3):
            with recorder.living():
                if not life:
                    until(lambda: rows(tmp_path, "SELECT 1 FROM effort"), 30)
                    began_s = time.monotonic()
                time.sleep(7.5)  # the ledger was written once since
            ((count,),) = rows(tmp_path, OPEN)
            left_open += int(str(count))
    assert left_open > 0
    audio = RealTimeAudio(tone(300, 2))
    with running(daemon(config, audio)):
        until(lambda: audio.opened)
        time.sleep(2)
        ended_s = time.monotonic()
    assert rows(tmp_path, OPEN) == [(0,)]
    ends = rows(
        tmp_path,
        "SELECT count(*), count(DISTINCT id) FROM detections WHERE state = 'end' "
        "AND json_extract(payload, '$.interrupted')",
    )
    assert ends == [(left_open, left_open)]
    ((elapsed, heard),) = rows(tmp_path, LEDGER)
    # `began_s` is when the first note was seen, some 5 s after the first sample.
    assert float(str(elapsed)) == pytest.approx(ended_s - began_s + 3, abs=3)
    assert float(str(heard)) > 3 * 4.0
    streams = rows(tmp_path, "SELECT key FROM effort WHERE key LIKE '%/open/%'")
    assert streams == []


def test_the_time_between_two_streams_is_unknown_and_in_the_metrics(
    tmp_path: Path, bundle: Bundle
) -> None:
    config = write_config(tmp_path, bundle.path)
    for wait_s in (0.0, 3.0):
        time.sleep(wait_s)
        audio = RealTimeAudio(tone(300, 2))
        recorder = daemon(config, audio)
        with running(recorder):
            until(lambda a=audio: a.played > 8000)  # type: ignore[misc]
            content = yaml.safe_load(config.read_text())
            config.write_text(yaml.safe_dump(content))
            recorder.commands.put("reload")
            until(lambda a=audio: a.opened == 2 and a.played > 20_000)  # type: ignore[misc]
            until(
                lambda r=recorder: r._metrics.registry.get_sample_value(  # type: ignore[misc]
                    "edge_audio_seconds_total", {"fate": "unknown"}
                )
            )
    unknown = rows(
        tmp_path,
        f"SELECT {LENGTH}, heard_s + lost_s + gated_s + dropped_s FROM effort "
        "WHERE key LIKE '%|before/%' ORDER BY number",
    )
    lengths = [float(str(length)) for length, _ in unknown]
    assert [known for _, known in unknown] == [0.0] * 3
    assert [length > 2.5 for length in lengths] == [False, True, False]
    spans = rows(
        tmp_path,
        f"SELECT julianday(start_utc) * 86400, {LENGTH} FROM effort ORDER BY number",
    )
    ends = [float(str(start)) + float(str(length)) for start, length in spans]
    starts = [float(str(start)) for start, _ in spans]
    assert starts[1:] == pytest.approx(ends[:-1], abs=0.02)


def test_a_microphone_that_goes_ends_its_event_and_leaves_a_clip(
    tmp_path: Path, bundle: Bundle
) -> None:
    config = write_config(tmp_path, bundle.path)
    audio = RealTimeAudio(tone(300, 2))
    with running(daemon(config, audio)):
        until(lambda: rows(tmp_path, "SELECT 1 FROM detections WHERE state = 'new'"))
        audio.present = False
        query = "SELECT json_extract(payload, '$.clip') FROM detections WHERE state = 'end'"
        until(lambda: rows(tmp_path, query), 30)  # while it is still gone
        ((clip,),) = rows(tmp_path, query)
    assert (tmp_path / "clips" / str(clip)).is_file()
