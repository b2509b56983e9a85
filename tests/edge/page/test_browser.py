"""A real browser walks through the page, and takes pictures of it for people to look at.

With EDGE_PICTURES=FOLDER the pictures are kept there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from edge.page.answers import Answers
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
from tests.support.heard import heard_recorder
from tests.support.page_process import PageProcess, page_process

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorder")
    heard_recorder(folder, now=datetime.now(timezone.utc), days=2, clips=60)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[PageProcess]:
    with page_process(folder / "edge.yaml") as page:
        yield page


def test_from_today_to_an_answer_by_keys_alone(
    browser: webdriver.Chrome, page: PageProcess, folder: Path
) -> None:
    resize(browser, DESKTOP)
    browser.get(page.address)
    if not browser.find_elements(By.CSS_SELECTOR, ".events li.known a"):  # it is past midnight
        with opening(browser):
            press(browser, Keys.ARROW_LEFT)
    first = found(browser, ".events li.known a")
    name = first.find_element(By.CLASS_NAME, "name").text
    with opening(browser):
        first.send_keys(Keys.ENTER)
    assert found(browser, "h1").text.startswith(name)
    event = browser.current_url.rpartition("/")[2]
    found(browser, "#who").send_keys("Ada")
    found(browser, "#who").send_keys(Keys.ESCAPE)
    with opening(browser):
        press(browser, "r")
    assert "Kept" in found(browser, ".done").text
    assert "Right, says Ada" in found(browser, ".voices").text
    press(browser, "i")
    field = browser.switch_to.active_element
    assert field.get_attribute("id") == "label"
    with opening(browser):
        field.send_keys("Little Owl", Keys.ENTER)
    assert "It is Little Owl" in found(browser, ".voices").text
    with opening(browser):
        press(browser, "k")
    assert not browser.current_url.endswith(f"{event}?said=is")
    assert "/event/" in browser.current_url
    assert said_of(folder)[event] == ("Ada", "little_owl")
    assert complaints(browser) == []


def said_of(folder: Path) -> dict[str, tuple[str, str]]:
    """Who says what of events."""
    answers = Answers(folder / "labels" / "labels.db")
    said = {one.event: (one.who, one.label or one.answer) for one in answers.all()}
    answers.close()
    return said


@pytest.fixture(scope="module")
def cluster(browser: webdriver.Chrome, page: PageProcess) -> str:
    """Wait for the clusters, and return the address of the first."""
    browser.get(f"{page.address}/unknowns")
    while not browser.find_elements(By.CSS_SELECTOR, ".clusters h2 a"):
        with opening(browser):
            press(browser, "g")
    return found(browser, ".clusters h2 a").get_attribute("href") or ""


def test_from_the_unknown_to_an_answer_for_a_whole_cluster_by_keys_alone(
    browser: webdriver.Chrome, cluster: str, folder: Path
) -> None:
    resize(browser, DESKTOP)
    browser.get(cluster.rpartition("/")[0])
    with opening(browser):
        found(browser, ".clusters h2 a").send_keys(Keys.ENTER)
    assert browser.current_url == cluster
    events = int(found(browser, ".facts dd").text)
    press(browser, "i")
    with opening(browser):
        browser.switch_to.active_element.send_keys("Eagle Owl", Keys.ENTER)
    assert f"Kept for {events} events" in found(browser, ".done").text
    assert "eagle_owl" in found(browser, "h1").text
    said = [label for _, label in said_of(folder).values()]
    assert said.count("eagle_owl") == events
    with opening(browser):
        press(browser, "n")
    said = [label for _, label in said_of(folder).values()]
    assert (said.count("eagle_owl"), said.count("noise")) == (0, events)
    assert complaints(browser) == []


def test_the_sound_of_an_example_plays_in_the_page_and_stops(
    browser: webdriver.Chrome, cluster: str
) -> None:
    resize(browser, DESKTOP)
    browser.get(cluster.rpartition("/")[0])
    first, second = browser.find_elements(By.CSS_SELECTOR, "[data-play] span")[:2]
    for mark, press_at in (("■", first), ("■", second), ("▶", second)):
        press_at.click()
        assert press_at.text == mark
    assert first.text == "▶"
    assert browser.current_url.endswith("/unknowns")
    assert complaints(browser) == []


def test_the_cursor_follows_the_sound_and_the_picture_is_there(
    browser: webdriver.Chrome, page: PageProcess
) -> None:
    resize(browser, DESKTOP)
    browser.get(page.address)
    with opening(browser):
        found(browser, ".events li a").click()
    found(browser, "#picture").click()  # in the middle
    WebDriverWait(browser, 10).until(
        lambda b: float(b.find_element(By.ID, "cursor").get_attribute("x1") or 0) > 300
    )
    natural = "return document.querySelector('#picture image').getBBox().width"
    assert browser.execute_script(natural) == 800
    loaded = (
        "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('.png'))"
        ".every(e => e.responseStatus == 200)"
    )
    assert browser.execute_script(loaded)
    assert complaints(browser) == []


@pytest.mark.parametrize(("name", "size"), [("phone", PHONE), ("desktop", DESKTOP)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_its_screen(
    browser: webdriver.Chrome,
    page: PageProcess,
    cluster: str,
    tmp_path: Path,
    name: str,
    size: tuple[int, int],
    scheme: str,
) -> None:
    resize(browser, size)
    in_colours(browser, scheme)
    browser.get(page.address)
    event = found(browser, ".events li a").get_attribute("href") or ""
    paths = {"today": "/", "event": event.removeprefix(page.address), "species": "/species"}
    paths |= {"unknowns": "/unknowns", "cluster": cluster.removeprefix(page.address)}
    paths |= {"one-species": "/species/great_tit", "health": "/health", "answers": "/answers"}
    take_pictures(browser, page.address, paths, size, tmp_path, f"{name}-{scheme}")
    assert complaints(browser) == []
