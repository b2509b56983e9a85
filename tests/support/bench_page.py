"""How long each page of a recorder's year takes, and what the page's process takes of memory.

    python -m tests.support.bench_page [--events 500000] [--people 1]

The year is made up; people have answered every cluster that there can be.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from tests.support.page_process import PageProcess, page_process
from tests.support.page_times import content_of, page_times
from tests.support.year import LABELS, answer_clusters, group, year_of_events

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
                line, size = page_times(page, path)
                memory = f"{page.now_mb:5.1f} MB, most {page.most_mb:5.1f} MB"
                click.echo(f"{line}, {size / 1000:6.0f} kB; {memory}")


def _paths(page: PageProcess) -> list[str]:
    found = content_of(page, "/unknowns/1").split(b'href="/event/')[1]
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


if __name__ == "__main__":
    main()
