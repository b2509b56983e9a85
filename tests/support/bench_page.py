"""How long each page of a recorder's year takes, and what the page's process takes of memory.

    python -m tests.support.bench_page [--events 500000] [--people 1]

The year is made up; people have answered every cluster that there can be.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

import click

from tests.support.page_process import PageProcess, page_process
from tests.support.year import LABELS, answer_clusters, group, year_of_events

TIMES = 7
MINUTES, CLIPS = 525_600, 3000
SPECIES = LABELS[4]


@click.command()
@click.option("--events", default=500_000)
@click.option("--people", default=1)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder of a year that stays.")
def main(events: int, people: int, keep: Path | None) -> None:
    """Measure a made-up year."""
    with tempfile.TemporaryDirectory() as name:
        folder = keep or Path(name)
        config = folder / "edge.yaml"
        if not config.exists():
            folder.mkdir(parents=True, exist_ok=True)
            config = year_of_events(folder, events, minutes=MINUTES, clips=CLIPS)
            group(folder)
            answer_clusters(folder, *(f"person {k}" for k in range(people)))
        with page_process(config) as page:
            click.echo(f"{'at the start':45} {page.now_mb:5.1f} MB, most {page.most_mb:5.1f} MB")
            for path in _paths(page):
                _measure(page, path)


def _paths(page: PageProcess) -> list[str]:
    found = _get(f"{page.address}/unknowns/1").split(b'href="/event/')[1]
    event = found.split(b'"')[0].split(b"/")[0].decode()
    return [
        *("/", "/day/2026-05-02", "/day/2025-11-03", "/day/2026-05-02.csv"),
        *(
            "/day/2026-05-02.raven",
            "/day/2026-05-02.jsonl",
            f"/event/{event}",
            f"/event/{event}/spectrogram.png",
        ),
        *("/species", "/species.csv", f"/species/{SPECIES}?days=365"),
        *(f"/species/{SPECIES}.csv?days=365", "/unknowns", "/unknowns?alone=100000"),
        *("/unknowns/1", "/next", "/answers", "/answers.csv", "/answers.manifest"),
        *(
            "/unknowns.csv",
            "/unknowns/1.csv",
            "/answers.jsonl",
            "/answers.raven",
            "/health",
            "/health.csv",
        ),
    ]


def _get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        content: bytes = answer.read()
        return content


def _measure(page: PageProcess, path: str) -> None:
    wall_ms, cpu_ms = [], []
    for _ in range(TIMES):
        began_s, cpu_s = time.perf_counter(), page.cpu_s
        size = len(_get(f"{page.address}{path}"))
        wall_ms.append(1000 * (time.perf_counter() - began_s))
        cpu_ms.append(1000 * (page.cpu_s - cpu_s))
    click.echo(
        f"{path:45} first {wall_ms[0]:5.0f} ms ({cpu_ms[0]:.0f} CPU), then "
        f"{statistics.median(wall_ms[1:]):5.0f} ({statistics.median(cpu_ms[1:]):.0f} CPU), "
        f"{size / 1000:6.0f} kB; {page.now_mb:5.1f} MB, most {page.most_mb:5.1f} MB"
    )


if __name__ == "__main__":
    main()
