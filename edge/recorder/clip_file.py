"""A clip as a file that says what it is: samples, and GUANO metadata.

GUANO (guano-md.org) has a home in WAV, its chunk `guan`. FLAC keeps the chunks of a WAV in blocks
of the application `riff` (RFC 9639, 8.4), from which `flac -d --keep-foreign-metadata` makes the
WAV again; there is a copy as its comment, for programs that show comments.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Literal

import soundfile

from edge.clock import Clock, rfc3339
from edge.errors import one_line
from edge.provenance import Provenance
from edge.recorder.recent_audio import Excerpt
from edge.sources.metadata import APPLICATION
from edge.types import Detection

__all__ = ["Content", "Form", "encode", "form_for", "guano"]

Content = bytes | memoryview
Form = Literal["flac", "wav"]
FLAC_MOST_HZ = 655_350
PCM, CHANNELS = 1, 1
PCM_BYTES = 2
STREAMINFO_END = 4 + 4 + 34  # of the marker, and of the first block with its header


def guano(
    d: Detection,
    excerpt: Excerpt,
    *,
    clock: Clock,
    device: str,
    position: tuple[float, float] | None,
    provenance: Provenance,
) -> str:
    """Return GUANO 1.0 metadata of a clip, one `key: value` a line; what is not known is left out.

    `position` is the site's latitude and longitude in degrees, WGS84.
    """
    return _lines(
        {
            "GUANO|Version": "1.0",
            "Timestamp": rfc3339(clock.utc(excerpt.start_sample)),
            "Length": f"{excerpt.length / excerpt.sample_rate_hz:.6f}",
            "Samplerate": excerpt.sample_rate_hz,
            "Make": "edge-monitor",
            "Serial": device,
            "Loc Position": "" if position is None else f"{position[0]:.6f} {position[1]:.6f}",
            "Species Auto ID": _species(d.label, provenance),
            "Edge|Label": d.label or "",
            "Edge|Detection": d.id,
            "Edge|Nearest": d.nearest,
            "Edge|Score": f"{d.score:.6f}",
            "Edge|Novelty": f"{d.novelty:.6f}",
            "Edge|StartSample": excerpt.start_sample,
            "Edge|StreamSamplerate": d.sample_rate_hz,
            "Edge|ClockSynced": str(clock.synced).lower(),
            "Edge|UncertaintySeconds": clock.uncertainty_s,
            "Edge|Bundle": provenance.bundle,
            "Edge|Config": provenance.config,
            "Edge|Code": provenance.code,
        }
    )


def _species(label: str | None, provenance: Provenance) -> str:
    """Return the scientific name; the label where the bundle has none, empty for an unknown."""
    named = provenance.labels.get(label) if label is not None else None
    return (named.scientific_name if named else "") or label or ""


def _lines(fields: Mapping[str, object]) -> str:
    shown = ((key, one_line(str(value))) for key, value in fields.items())
    return "".join(f"{key}: {value}\n" for key, value in shown if value)


def form_for(excerpt: Excerpt, wanted: Form) -> Form:
    """Return the form that a clip can have: FLAC holds no higher rate than `FLAC_MOST_HZ`."""
    return "wav" if excerpt.sample_rate_hz > FLAC_MOST_HZ else wanted


def encode(excerpt: Excerpt, form: Form, metadata: str) -> list[Content]:
    """Return a whole file: the samples bit for bit, as 16 bit, and the metadata.

    It is made in memory, so that its size is known before the disk is touched, and in parts that
    are not copied: a minute at 384 kHz takes 46 MB. They hold as long as those of `excerpt`.
    """
    text = metadata.encode()
    guan = _chunk(b"guan", text + b"\n" * (len(text) % 2))
    before = _wav_before_sound(excerpt, guan)
    if form == "wav":
        return [*before, *(part.data for part in excerpt.parts), guan]
    stream = io.BytesIO()
    with soundfile.SoundFile(
        stream, "w", excerpt.sample_rate_hz, 1, "PCM_16", format="FLAC"
    ) as file:
        file.comment = metadata
        for part in excerpt.parts:
            file.write(part)
    content = stream.getbuffer()
    blocks = b"".join(_block(chunk) for chunk in (*before, guan))
    return [content[:STREAMINFO_END], blocks, content[STREAMINFO_END:]]


def _wav_before_sound(excerpt: Excerpt, guan: bytes) -> list[bytes]:
    """Return the chunks of a WAV up to its samples, after which `guan` follows."""
    rate_hz, size = excerpt.sample_rate_hz, excerpt.length * PCM_BYTES
    fields = (PCM, CHANNELS, rate_hz, rate_hz * PCM_BYTES, PCM_BYTES, 8 * PCM_BYTES)
    form = _chunk(b"fmt ", struct.pack("<HHIIHH", *fields))
    data = b"data" + size.to_bytes(4, "little")
    whole = len(b"WAVE") + len(form) + len(data) + size + len(guan)
    return [b"RIFF" + whole.to_bytes(4, "little") + b"WAVE", form, data]


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content


def _block(chunk: bytes) -> bytes:
    """Return a FLAC metadata block, never the last, with a chunk of a WAV."""
    content = b"riff" + chunk
    return bytes([APPLICATION]) + len(content).to_bytes(3, "big") + content
