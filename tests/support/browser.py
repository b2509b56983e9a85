"""A real browser without a screen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.ui import WebDriverWait

__all__ = [
    "DESKTOP",
    "PHONE",
    "complaints",
    "found",
    "headless_browser",
    "in_colours",
    "opening",
    "press",
    "resize",
    "take_pictures",
]
PHONE, DESKTOP = (390, 844), (1200, 900)
PATIENCE_S = 10
ALL_OF_THE_MENU = """
const menu = document.querySelector("header nav");
return menu.scrollWidth <= menu.clientWidth + 1;
"""

QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", "--mute-audio"),
)


@contextmanager
def headless_browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """Chromium with a profile of its own."""
    options = webdriver.ChromeOptions()
    for option in (*QUIET, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.binary_location = shutil.which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver") or "chromedriver")
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def found(browser: webdriver.Chrome, css: str) -> WebElement:
    """Wait for the first element that a selector names."""
    return WebDriverWait(browser, PATIENCE_S).until(lambda b: b.find_element(By.CSS_SELECTOR, css))


@contextmanager
def opening(browser: webdriver.Chrome) -> Iterator[None]:
    """Do what opens another page, and go on when it is there.

    Until then elements of the page before would be found, and be gone when they are read.
    """
    before = browser.find_element(By.TAG_NAME, "html")
    yield
    wait = WebDriverWait(browser, PATIENCE_S)
    wait.until(until.staleness_of(before))
    wait.until(lambda b: b.execute_script("return document.readyState") == "complete")


def press(browser: webdriver.Chrome, keys: str) -> None:
    """Press keys where no field is."""
    found(browser, "body").send_keys(keys)


def resize(browser: webdriver.Chrome, size: tuple[int, int]) -> None:
    """Show as much as a phone or a screen does, whatever windows may be."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}

    def is_so(browser: webdriver.Chrome) -> bool:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        inner = browser.execute_script("return [window.innerWidth, window.innerHeight]")
        return tuple(inner) == size

    WebDriverWait(browser, PATIENCE_S).until(is_so)  # a busy browser does it later


def in_colours(browser: webdriver.Chrome, scheme: str) -> None:
    """Show pages as a person sees them who has asked for light or dark ones."""
    feature = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})


def take_pictures(
    browser: webdriver.Chrome,
    address: str,
    paths: Mapping[str, str],
    size: tuple[int, int],
    folder: Path,
    suffix: str,
) -> None:
    """Take a picture of each of `paths`, whole, none of which may be wider than the screen, nor
    its menu.

    With EDGE_PICTURES=FOLDER they are kept there.
    """
    pictures = Path(os.environ.get("EDGE_PICTURES") or folder)
    for name, path in paths.items():
        browser.get(f"{address}{path}")
        found(browser, "h1")
        resize(browser, size)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= size[0], path
        assert browser.execute_script(ALL_OF_THE_MENU), path
        height = browser.execute_script("return document.documentElement.scrollHeight")
        resize(browser, (size[0], min(height, 4000)))
        browser.save_screenshot(str(pictures / f"{name}-{suffix}.png"))


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the browser has to say of the page: scripts that fail, and what the policy forbids."""
    return [entry["message"] for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]
