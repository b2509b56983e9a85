"""What a person means by a name."""

from __future__ import annotations

from edge.bundle.labels import plain_name
from edge.page.app import here
from edge.store.events import known_labels

__all__ = ["label_of"]


def label_of(text: str) -> str:
    """Return the label that a person means by a label, a name, or a new word."""
    with here().reading() as db:
        names = known_labels(db)
    wanted = plain_name(text)
    for label, name in names.items():
        if wanted in (plain_name(label), plain_name(name), plain_name(f"{name} ({label})")):
            return label
    return wanted.replace(" ", "_")
