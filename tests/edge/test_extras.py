"""Advice on extras that a person can follow."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from edge.extras import _advice, how_to_install


def installed(folder: Path, *, url: str | None) -> PathDistribution:
    """A distribution as pip leaves it, from a file or a folder, or from an index."""
    info = folder / "edge_monitor-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edge-monitor\nVersion: 1.2\n")
    if url is not None:
        (info / "direct_url.json").write_text(json.dumps({"url": url, "archive_info": {}}))
    return PathDistribution(info)


def pip_arguments(advice: str) -> list[str]:
    python, dash_m, pip, install, *what = shlex.split(advice)
    assert (python, dash_m, pip, install) == (sys.executable, "-m", "pip", "install")
    return what


def test_a_checkout_is_named(root: Path) -> None:
    assert pip_arguments(how_to_install("plot")) == ["-e", f"{root}[plot]"]


@pytest.mark.parametrize("name", ["edge_monitor-1.2-py3-none-any.whl", "a check out"])
def test_what_was_installed_is_named_while_it_is_there(tmp_path: Path, name: str) -> None:
    origin = tmp_path / name
    record = installed(tmp_path / "site-packages", url=origin.as_uri())
    assert "'.[mic]' in a checkout" in _advice("mic", checkout=tmp_path, installed=record)
    origin.touch()
    advice = _advice("mic", checkout=tmp_path, installed=record)
    assert pip_arguments(advice) == [f"{origin}[mic]"]


@pytest.mark.parametrize("url", [None, "https://example.org/edge_monitor-1.2-py3-none-any.whl"])
def test_elsewhere_both_ways_are_named(tmp_path: Path, url: str | None) -> None:
    record = installed(tmp_path / "site-packages", url=url)
    assert _advice("mic", checkout=tmp_path, installed=record) == (
        "pip install '.[mic]' in a checkout, or pip install "
        "'edge_monitor-1.2-py3-none-any.whl[mic]' with the wheel"
    )
    assert "VERSION" in _advice("mic", checkout=tmp_path, installed=None)


def test_no_text_names_an_extra_of_a_package_on_no_index(root: Path) -> None:
    texts = [
        *(file for folder in ("edge", "train", "deploy") for file in (root / folder).rglob("*.py")),
        *(root / "docs").glob("*.md"),
        *root.glob("*.md"),
    ]
    assert len(texts) > 200
    assert [f for f in texts if "edge-monitor[" in f.read_text(encoding="utf-8")] == []
