"""The page over a recorder's store, without a server; and what a browser would see in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from edge.page.access import Access
from edge.page.app import create_app
from edge.page.place import place_of
from tests.support.heard import NOW

__all__ = ["Seen", "page_of", "seen", "token_in"]

TOKEN = re.compile(r'name="token" value="([^"]+)"')


class Seen(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []  # of an element: name and value
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, *names: str) -> list[str]:
        return [value for _, name, value in self.attributes if name in names]


def page_of(config: Path, **access: Any) -> tuple[Flask, FlaskClient]:
    """The page of the recorder of `config` at the time of `heard_recorder`, and a client of it."""
    app = create_app(place_of(config), access=Access(**access), now=lambda: NOW)
    return app, app.test_client()


def seen(client: FlaskClient, path: str, status: int = 200) -> Seen:
    """What a browser gets from a path, redirects followed."""
    response = client.get(path, base_url="http://localhost", follow_redirects=True)
    assert response.status_code == status, response.text
    return Seen(response.text)


def token_in(text: str) -> str:
    """The token of the first form in a page."""
    found = TOKEN.search(text)
    assert found is not None
    return found[1]
