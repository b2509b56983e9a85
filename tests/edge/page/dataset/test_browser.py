"""A real browser walks through the page of a dataset, and takes pictures of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import Select

from edge.bundle import Bundle
from tests.support.audio import add_chunk, noise, soundscape, write_audio
from tests.support.browser import (
    DESKTOP,
    PHONE,
    complaints,
    found,
    in_colours,
    opening,
    press,
    resize,
    take_pictures,
)
from tests.support.clusters import ROOT
from tests.support.labs import hear, recorded, season_of_sites
from tests.support.page_process import PageProcess, served_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two days with sound, of which some is missing."""
    folder = tmp_path_factory.mktemp("lab")
    season = season_of_sites(folder / "season")
    for i in range(6):
        path = season / "pond" / f"b{i:02}.wav"
        write_audio(path, np.roll(np.concatenate([soundscape()] * 3 + [noise(20)]), i * 9000))
        stamp = f"GUANO|Version: 1.0\nTimestamp: 2024-05-20T{4 + 3 * i:02}:10:00+02:00\n"
        add_chunk(path, b"guan", stamp.encode())
    cut = recorded(season / "pond" / "cut short.wav", stamp="2024-05-20T20:00:00+02:00")
    cut.write_bytes(cut.read_bytes()[:200_000])
    hear(bundle, folder / "dataset", season)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[PageProcess]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    options = ("--dataset", str(folder / "dataset"), "--recordings", str(folder / "season"))
    with served_page(*options, environ=environ) as page:
        yield page


def test_from_all_sites_to_one_to_an_event_and_its_answer(
    browser: webdriver.Chrome, page: PageProcess
) -> None:
    resize(browser, DESKTOP)
    browser.get(page.address)
    Select(found(browser, "#site")).select_by_visible_text("bush")
    with opening(browser):
        found(browser, ".site button").click()
    assert "site=bush" in browser.current_url
    assert "Thursday 2 May 2024" in found(browser, "h1").text
    with opening(browser):
        found(browser, ".events li.known a").click()
    assert "/bush/b0.wav" in found(browser, ".recording").text
    with opening(browser):
        press(browser, "r")
    assert "Kept" in found(browser, ".done").text
    assert "site=bush" in browser.current_url
    assert browser.execute_script("return document.getElementById('audio').readyState >= 1")
    assert complaints(browser) == []


@pytest.mark.parametrize(("name", "size"), [("phone", PHONE), ("desktop", DESKTOP)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_its_screen(
    browser: webdriver.Chrome,
    page: PageProcess,
    tmp_path: Path,
    name: str,
    size: tuple[int, int],
    scheme: str,
) -> None:
    resize(browser, size)
    in_colours(browser, scheme)
    browser.get(f"{page.address}/?site=pond")
    event = (found(browser, ".events li a").get_attribute("href") or "").removeprefix(page.address)
    browser.get(f"{page.address}/undated")
    undated = found(browser, ".events li a").get_attribute("href") or ""
    paths = {"today": "/", "site": "/?site=pond", "event": event, "health": "/health"}
    paths |= {"undated": "/undated", "undated-event": undated.removeprefix(page.address)}
    paths |= {"species": "/species?site=pond", "one-species": "/species/low_hummer?days=30"}
    named = {f"dataset-{view}": path for view, path in paths.items()}
    take_pictures(browser, page.address, named, size, tmp_path, f"{name}-{scheme}")
    assert complaints(browser) == []
