"""The page over a dataset as a process: with recordings in an object store, and its memory."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile

from edge.bundle import Bundle
from tests.support.archives import rows, season
from tests.support.clusters import ROOT
from tests.support.object_store import object_store, store_environment, upload
from tests.support.page_process import PageProcess, served_page

BUCKET = "season"
# Of the page alone, Flask and all: what reads Parquet is another process.
MOST_MB = 110.0


def get(page: PageProcess, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"{page.address}{path}", timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read()


def test_sound_comes_from_an_object_store(bundle: Bundle, tmp_path: Path) -> None:
    files = season(tmp_path / "pond", 3)
    dataset = tmp_path / "dataset"
    with ExitStack() as parts, ExitStack() as store:
        environment = store_environment(store.enter_context(object_store()), tmp_path)
        environment["AWS_MAX_ATTEMPTS"] = "1"
        upload(environment, BUCKET, "2024/pond", *files)
        command = [sys.executable, "-m", "edge.cli", "archive", "hear", f"s3://{BUCKET}/2024"]
        command += ["--out", str(dataset), "--bundle", str(bundle.path), "--hop-s", "0.5"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=120)
        options = ("--dataset", str(dataset), "--recordings", f"s3://{BUCKET}/2024")
        page = parts.enter_context(served_page(*options, environ=environment))
        one, other, third = (
            next(row for row in rows(dataset, "detections") if row["path"].endswith(name))
            for name in map(os.path.basename, files)
        )
        status, content = get(page, f"/event/{one['id']}/sound")
        assert status == 200
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32")
        whole, _ = soundfile.read(files[0], dtype="float32")
        begin = max(0, round((one["start_s"] - 2) * rate_hz))
        expected = np.clip(whole[begin : begin + len(samples)], -1, 1)
        np.testing.assert_allclose(samples, expected, atol=1 / 32_000)

        # All of its events came with the one copy of the recording.
        cuts = list((tmp_path / ".cache").rglob("clips/*.wav"))
        heard = [row for row in rows(dataset, "detections") if row["path"] == one["path"]]
        assert len(cuts) == len(heard) > 2

        changed = tmp_path / os.path.basename(files[1])
        changed.write_bytes(Path(files[0]).read_bytes())
        upload(environment, BUCKET, "2024/pond", str(changed))
        status, content = get(page, f"/event/{other['id']}/sound")
        assert status == 404
        assert b"has changed since it was heard" in content
        store.close()
        status, content = get(page, f"/event/{third['id']}")
        assert status == 200
        assert b"cannot be read" in content


def test_all_pages_of_it_are_light(dataset: Path, season: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    options = ("--dataset", str(dataset), "--recordings", str(season))
    with served_page(*options, environ=environ) as page:
        seen: set[str] = set()
        waiting = ["/", "/undated"]
        while waiting and len(seen) < 60:
            path = waiting.pop(-1 if len(seen) % 2 else 0)
            if path in seen:
                continue
            seen.add(path)
            status, content = get(page, path)
            assert status == 200, path
            links = re.findall(rb'(?:href|src)="(/[^"#]*)', content)
            waiting += [link.decode().replace("&amp;", "&") for link in links]
        assert any("spectrogram.png" in path for path in seen)
        assert page.most_mb <= MOST_MB, page.most_mb
