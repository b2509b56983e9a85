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
    headless_browser,
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
    heard_recorder(folder, now=datetime.now(timezone.utc), days=2, clips=12)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[PageProcess]:
    with page_process(folder / "edge.yaml") as page:
        yield page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with headless_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_from_today_to_an_answer_by_keys_alone(
    browser: webdriver.Chrome, page: PageProcess, folder: Path
) -> None:
    resize(browser, DESKTOP)
    browser.get(page.address)
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
    answers = Answers(folder / "labels" / "labels.db")
    assert [(one.event, one.who, one.label) for one in answers.all()] == [
        (event, "Ada", "little_owl")
    ]
    answers.close()
    assert complaints(browser) == []


def test_the_cursor_follows_the_sound_and_the_picture_is_there(
    browser: webdriver.Chrome, page: PageProcess
) -> None:
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
    paths |= {"one-species": "/species/great_tit", "health": "/health", "answers": "/answers"}
    take_pictures(browser, page.address, paths, size, tmp_path, f"{name}-{scheme}")
    assert complaints(browser) == []
