"""What recorders write into their files beside the sound: GUANO, comments, Broadcast Wave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import BinaryIO

from edge.errors import AudioError
from edge.sources.chunks import Chunk
from edge.sources.opening import EncodedStream, foreign_stream, open_stream
from edge.sources.times import microseconds, offset_zone

__all__ = ["Metadata", "StartTag", "metadata_of", "parse_timestamp"]

# Where it was found, and the time, aware where the tag names its zone.
StartTag = tuple[str, datetime]

LARGEST_CHUNK = 1 << 20  # of metadata; more than that is damage
HEAD = 1 << 16  # bytes of other files in which their comments are
MOST_BYTES = 8 << 20  # of all such chunks together
TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?\s*(Z|z|[+-]\d\d(?::?\d\d)?)?"
)
# The first firmware always recorded in UTC and did not say so.
AUDIOMOTH = re.compile(
    r"Recorded at (?P<time>\d\d:\d\d:\d\d(?:\.\d+)?) (?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{4}) "
    r"(?:\(UTC(?:(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d\d))?)?\) |(?=by AudioMoth))"
)
APPLICATION = 2  # the type of a block in a FLAC
TIME_EXPANSIONS = (0.01, 100.0)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The texts in a file: GUANO's fields, comments in their order, and Broadcast Wave's start."""

    guano: dict[str, str]
    comments: tuple[str, ...]
    bext: datetime | None

    @property
    def time_expansion(self) -> float | None:
        """By what factor the sound was slowed down; None where the file says so and not how."""
        text = self.guano.get("TE", "").strip() or "1"
        try:
            factor = float(text)
        except ValueError:
            return None
        lowest, highest = TIME_EXPANSIONS
        return factor if lowest <= factor <= highest else None

    @property
    def from_audiomoth(self) -> bool:
        """Whether an AudioMoth wrote the file."""
        return any("AudioMoth" in comment for comment in self.comments)

    def starts(self) -> Iterator[StartTag]:
        """Yield the start times that the file names, the most trusted first."""
        guano = parse_timestamp(self.guano.get("Timestamp", ""))
        if guano is not None:
            yield "guano", guano
        for comment in self.comments:
            recorded = _audiomoth(comment)
            if recorded is not None:
                yield "audiomoth", recorded
        if self.bext is not None:
            yield "bext", self.bext


def metadata_of(path: str, chunks: Sequence[Chunk] | None) -> Metadata:
    """Read the texts of a WAV, also of one that became a FLAC, or the comments of other files.

    `chunks` are those of the file beside its sound, None where it has none.
    """
    with open(path, "rb") as file:
        found = list(_foreign(file) if chunks is None else _contents(file, chunks))
    if chunks is None and not found:
        return _of_comments(path)
    guano = [content.decode("utf-8", "replace") for name, content in found if name == b"guan"]
    lists = [content.decode("latin-1") for name, content in found if name in (b"LIST", b"ICMT")]
    started = [_bext(content) for name, content in found if name == b"bext"]
    return Metadata(
        guano=_fields("\n".join(guano)),
        comments=tuple(lists),
        bext=next((time for time in started if time is not None), None),
    )


def parse_timestamp(text: str) -> datetime | None:
    """Return a date and time as in RFC 3339, aware where it has a zone; None for anything else."""
    match = TIMESTAMP.fullmatch(text.strip())
    if not match:
        return None
    *fields, fraction, zone = match.groups()
    try:
        year, month, day, hour, minute, second = map(int, fields)
        return datetime(year, month, day, hour, minute, second, microseconds(fraction), _zone(zone))
    except ValueError:  # a month 13 or a 30 February
        return None


def _contents(file: BinaryIO, found: Sequence[Chunk]) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of the metadata chunks, as far as they have a sensible size."""
    left = MOST_BYTES
    for chunk in found:
        if chunk.name in (b"guan", b"LIST", b"bext") and left > 0:
            file.seek(chunk.start)
            content = file.read(min(chunk.size, LARGEST_CHUNK, left))
            left -= len(content)
            yield chunk.name, content


def _foreign(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a WAV that a FLAC was made of and keeps: `flac --keep-foreign-metadata`.

    They stand in its blocks for applications, that of `riff` (RFC 9639, section 8.4).
    """
    file.seek(0)
    if file.read(4) != b"fLaC":
        return
    left, last = MOST_BYTES, False
    while not last and left > 0 and len(head := file.read(4)) == 4:
        last, kind, size = bool(head[0] & 0x80), head[0] & 0x7F, int.from_bytes(head[1:], "big")
        begin = file.tell()
        if kind == APPLICATION and size > 12 and file.read(4) == b"riff":
            content = file.read(min(size - 4, LARGEST_CHUNK, left))
            left -= len(content)
            yield content[:4], content[8:]
        file.seek(begin + size)


def _of_comments(path: str) -> Metadata:
    """Return what the comment of a file holds: GUANO, or what converters carry over."""
    try:
        with open_stream(path, foreign_stream(path) or EncodedStream()) as file:
            comment = str(file.comment)
    except AudioError:  # such as a FLAC that only its rebuilt header opens
        comment = ""
    guano = comment if "GUANO|" in comment else ""
    with open(path, "rb") as file:
        # Converters carry a WAV's comment over into a field of their own choice.
        head = file.read(HEAD).decode("latin-1")
    return Metadata(guano=_fields(guano), comments=(comment, head), bext=None)


def _fields(guano: str) -> dict[str, str]:
    """Return the fields of GUANO text; the first of several with one name counts."""
    fields: dict[str, str] = {}
    # Some recorders fill the chunk up with zeros.
    for line in guano.replace("\0", "").splitlines():
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip(), value.strip())
    return fields


def _audiomoth(comment: str) -> datetime | None:
    match = AUDIOMOTH.search(comment)
    if not match:
        return None
    date = "{year}-{month}-{day}".format(**match.groupdict())
    zone = "Z"
    if match["sign"]:
        zone = f"{match['sign']}{int(match['hours']):02d}:{match['minutes'] or '00'}"
    return parse_timestamp(f"{date}T{match['time']}{zone}")


def _bext(chunk: bytes) -> datetime | None:
    """Return origination date and time: 10 and 8 characters, with any separator.

    They stand behind description, originator and reference.
    """
    text = chunk[320:338].decode("latin-1")
    digits = re.fullmatch(r"(\d{4})\D(\d\d)\D(\d\d)(\d\d)\D(\d\d)\D(\d\d)", text)
    return parse_timestamp("{}-{}-{}T{}:{}:{}".format(*digits.groups())) if digits else None


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in "Zz":
        return timezone.utc
    return offset_zone(text[0], text[1:3], text[3:].strip(":"))
