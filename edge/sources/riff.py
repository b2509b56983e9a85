"""When a WAV file says it was recorded: GUANO, AudioMoth's comment, Broadcast Wave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import BinaryIO

__all__ = ["StartTag", "parse_timestamp", "start_tags"]

# Where it was found, and the time, aware where the tag names its zone.
StartTag = tuple[str, datetime]

CONTAINERS = (b"RIFF", b"RF64")
LARGEST_CHUNK = 1 << 20  # of metadata; more than that is damage
TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?\s*(Z|z|[+-]\d\d:?\d\d)?"
)
AUDIOMOTH = re.compile(
    r"Recorded at (?P<time>\d\d:\d\d:\d\d(?:\.\d+)?) (?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{4}) "
    r"\(UTC(?:(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d\d))?)?\)"
)


def parse_timestamp(text: str) -> datetime | None:
    """Return a date and time as in RFC 3339, aware where it has a zone; None for anything else."""
    match = TIMESTAMP.fullmatch(text.strip())
    if not match:
        return None
    *fields, fraction, zone = match.groups()
    try:
        year, month, day, hour, minute, second = map(int, fields)
        return datetime(
            year, month, day, hour, minute, second, _microseconds(fraction), _zone(zone)
        )
    except ValueError:  # a month 13 or a 30 February
        return None


def start_tags(path: str) -> Iterator[StartTag]:
    """Yield start times from the metadata of the WAV file `path`, the most trusted first.

    Other files have none.
    """
    with open(path, "rb") as file:
        chunks = dict(_chunks(file))
    found = (
        ("guano", _guano(chunks.get(b"guan", b""))),
        ("audiomoth", _audiomoth(chunks.get(b"LIST", b""))),
        ("bext", _bext(chunks.get(b"bext", b""))),
    )
    yield from ((source, time) for source, time in found if time is not None)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of the metadata chunks; audio is skipped."""
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    if head[:4] not in CONTAINERS or head[8:] != b"WAVE":
        return
    data_size = 0
    while len(header := file.read(8)) == 8:
        name, size = header[:4], int.from_bytes(header[4:], "little")
        if name in (b"guan", b"LIST", b"bext", b"ds64"):
            content = file.read(min(size, LARGEST_CHUNK))
            if name == b"ds64":
                data_size = int.from_bytes(content[8:16], "little")
            yield name, content
            file.seek(max(0, size - len(content)) + size % 2, 1)
        else:
            size = data_size if size == 0xFFFFFFFF else size  # RF64 keeps the true size in ds64
            if file.tell() + size > end:
                return  # a false header: not even a seek over 2^64 bytes is possible
            file.seek(size + size % 2, 1)


def _guano(chunk: bytes) -> datetime | None:
    # Some recorders fill the chunk up with zeros.
    for line in chunk.decode("utf-8", "replace").replace("\0", "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Timestamp":
            return parse_timestamp(value)
    return None


def _audiomoth(chunk: bytes) -> datetime | None:
    match = AUDIOMOTH.search(chunk.decode("latin-1"))
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


def _microseconds(fraction: str | None) -> int:
    return int((fraction or ".0")[1:7].ljust(6, "0"))


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text in "Zz":
        return timezone.utc
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
