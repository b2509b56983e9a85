"""What a label is, and the text of a stranger that people may be shown."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal, get_args

from edge.errors import SpecError, one_line, shown

__all__ = [
    "LABEL_KINDS",
    "LONGEST_LABEL",
    "LONGEST_NAME",
    "UNKNOWN",
    "Label",
    "LabelKind",
    "check_label",
    "check_language",
    "check_text",
    "plain_name",
]

LabelKind = Literal["animal", "human", "machine", "weather", "other"]
LABEL_KINDS: tuple[LabelKind, ...] = get_args(LabelKind)

LONGEST_LABEL = 80  # characters
UNKNOWN = "unknown"  # the word for what has no label
LONGEST_FILE_NAME = 255  # bytes of UTF-8: a label names a folder of clips
LONGEST_NAME = 200  # characters of what is only shown
# Of letters those without case, too: most scripts have no other.
LETTERS_AND_DIGITS = ("Ll", "Lo", "Lm", "Nd")


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a model knows: `label` is the stable key and topic slug, the names are for people.

    Most are species, some are other sounds: `kind` tells. The scientific name may be empty. `names`
    are those in other languages than that of the common name, each under its code (`de`, `pt_BR`).
    Raises `SpecError` for what is no label (`check_label`) or no language.
    """

    label: str
    common_name: str
    scientific_name: str = ""
    kind: LabelKind = "animal"
    names: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_label(self.label)
        for language in self.names:
            check_language(language)
        for name in (self.common_name, self.scientific_name, *self.names.values()):
            check_text(name, printable=False)  # people write these: `printable` mends them

    def printable(self) -> Label:
        """Return the same label with names that a terminal can be given."""
        return Label(
            label=self.label,
            common_name=one_line(self.common_name),
            scientific_name=one_line(self.scientific_name),
            kind=self.kind,
            names={language: one_line(name) for language, name in self.names.items()},
        )

    def named_in(self, language: str | None) -> Label:
        """Return the same label with its common name in a language, where it has one."""
        name = self.names.get(language or "", self.common_name)
        return dataclasses.replace(self, common_name=name)

    def as_mapping(self) -> dict[str, Any]:
        """Return plain JSON types; what is as usual is left out."""
        plain: dict[str, Any] = {
            "label": self.label,
            "common_name": self.common_name,
            "scientific_name": self.scientific_name,
        }
        if self.kind != "animal":
            plain["kind"] = self.kind
        if self.names:
            plain["names"] = dict(self.names)
        return plain


def check_label(label: object) -> str:
    """Return `label` if it is one; raises `SpecError`, which says what is wrong with it.

    It is 1 to 80 lower-case letters and digits of any script, or `_`, in Unicode's form NFC. So it
    can be a level of a topic, a folder, a value of a metric and a word on a terminal. `unknown` is
    what has no label.
    """
    if not isinstance(label, str):
        raise SpecError(f"the label {shown(label)} is not text")
    if not 1 <= len(label) <= LONGEST_LABEL or len(_utf8(label)) > LONGEST_FILE_NAME:
        raise SpecError(
            f"the label {shown(label)} has {len(label)} characters, not 1 to {LONGEST_LABEL}"
        )
    strange = [c for c in label if c != "_" and unicodedata.category(c) not in LETTERS_AND_DIGITS]
    if strange:
        raise SpecError(
            f"the label {shown(label)} has the character {strange[0]!a}: only lower-case letters, "
            "digits and _ may be there"
        )
    if label == UNKNOWN:
        raise SpecError(f"the label {shown(label)} is kept for what has none")
    if not unicodedata.is_normalized("NFC", label):
        raise SpecError(f"the label {shown(label)} is not in Unicode's form NFC")
    return label


def plain_name(name: str) -> str:
    """Return a name as it is compared with others: case, blanks, hyphens and `_` do not count."""
    letters = unicodedata.normalize("NFKC", name).casefold().replace("\u2019", "'")
    return " ".join(re.split(r"[\s_-]+", letters)).strip()


def check_language(code: str) -> str:
    """Return `code` if it can be that of a language; raises `SpecError`."""
    if not re.fullmatch(r"[a-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,2}", code):
        raise SpecError(f"{shown(code)} is no language: its code is like de or pt_BR")
    return code


def check_text(text: object, most: int = LONGEST_NAME, *, printable: bool = True) -> None:
    """Raise `SpecError` for what is no text of at most `most` characters, all of them printable."""
    if not isinstance(text, str):
        raise SpecError(f"{shown(text)} is not text")
    if len(text) > most:
        raise SpecError(f"{shown(text)} has {len(text)} characters, more than {most}")
    if printable and not text.isprintable():
        raise SpecError(f"{shown(text)} has characters that cannot be printed")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
