"""Where the sound of a file lies, whatever its header says about it.

A header may say too little (a size that wrapped at 2^32, or was never written) or too much (a
battery that died, a writer that did not know the length). The sound reaches to the end of the file,
unless what follows its announced end can be told from sound: further chunks up to the end of the
file, or nothing but filler: zeros of a file that was preallocated, or 0xFF of an erased disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from edge.sources.chunks import AIFF, CAF, RIFF, RIFX, Chunk, ChunkStyle, chunks, style_of
from edge.sources.filler import BLOCK, FILLER, end_without
from edge.sources.spliced import Piece, Stretch

__all__ = ["SoundExtent", "extent_of"]

# Bytes that stand before the sound within its chunk: offset and block size, or an edit count.
PREFIX_BYTES = {AIFF: 8, CAF: 4}
SOUND = (b"data", b"SSND")
# Chunks that may be cut off at the end of a file and still be known for what they are.
METADATA = frozenset(
    name.ljust(4).encode("ascii")
    for name in (
        *("LIST", "bext", "iXML", "guan", "cue", "smpl", "inst", "fact", "PEAK", "afsp", "aXML"),
        *("_PMX", "cart", "levl", "id3", "ID3", "junk", "JUNK", "PAD", "FLLR", "minf", "elm1"),
        *("regn", "umid", "plst", "wamd", "ANNO", "COMT", "MARK", "NAME", "AUTH"),
    )
)
# What taggers of music put behind any file.
TAGS = (b"TAG", b"ID3", b"APETAGEX")
# A size this close to the largest that its field can hold, with or without a sign, was written by
# a program that did not know the length.
NEAR_LARGEST = 1 << 16
# So many bytes of filler behind sound of unknown length were never written.
PREALLOCATED = 1 << 16


@dataclass(frozen=True, kw_only=True)
class SoundExtent:
    """`present` bytes of sound from byte `start` on.

    `announced` bytes are what the header says, None where it leaves the length open. `filler` bytes
    behind the sound hold nothing. `others` are the further chunks, in their order. `pieces` are the
    file with a true header, None where it has one.
    """

    start: int
    present: int
    announced: int | None
    filler: int = 0
    others: tuple[Chunk, ...] = ()
    pieces: tuple[Piece, ...] | None = None

    def missing_bytes(self, file_bytes: int) -> int:
        """Return how many announced bytes are not in the file of `file_bytes`.

        A size that is not beyond that of the file has counted the header as sound: nothing is
        missing.
        """
        if self.announced is None or self.announced <= file_bytes:
            return 0
        return self.announced - self.present


def extent_of(file: BinaryIO) -> SoundExtent | None:
    """Return the extent of the sound in a WAV, RF64, Wave64, AIFF, CAF or AU file.

    None for other files, and for those without sound; what a decoder makes of them is another
    matter.
    """
    file.seek(0)
    head = file.read(40)
    style = style_of(head)
    if style is None:
        return _au(file, head) if head[:4] in (b".snd", b"dns.") else None
    before: list[Chunk] = []
    for chunk in chunks(file, style, style.first):
        if chunk.name in SOUND:
            return _chunked(file, chunk, before)
        before.append(chunk)
    return None


def _chunked(file: BinaryIO, chunk: Chunk, before: list[Chunk]) -> SoundExtent:
    style, end = chunk.style, file.seek(0, 2)
    prefix = PREFIX_BYTES.get(style, 0)
    start = min(chunk.start + prefix, end)
    size, size_bytes = _true_size(file, chunk, before)
    announced = _announced(size, prefix, size_bytes, end - start)
    present, behind = _present(file, style, start, announced)
    others = (*before, *_within(chunks(file, style, behind), end))
    last = max((other.next for other in others), default=0)
    rest = max(start + present, min(last, end))
    filler = end - rest if _only_filler(file, rest, end) else 0
    pieces = None
    if announced != present or filler or _unknown_to_libsndfile(file):
        rebuilt = _riff if style in (RIFF, RIFX) else _patched
        pieces = rebuilt(chunk, before, Stretch(start=start, size=present))
    return SoundExtent(
        start=start,
        present=present,
        announced=announced,
        filler=filler,
        others=others,
        pieces=pieces,
    )


def _true_size(file: BinaryIO, chunk: Chunk, before: list[Chunk]) -> tuple[int, int]:
    """Return the size of the sound chunk and the bytes of its field; RF64 has it elsewhere."""
    for other in before:
        if other.name == b"ds64" and other.size >= 16 and chunk.size == 0xFFFFFFFF:
            file.seek(other.start + 8)
            return int.from_bytes(file.read(8), "little"), 8
    return chunk.size, chunk.style.size_bytes


def _unknown_to_libsndfile(file: BinaryIO) -> bool:
    """Return whether the container is BW64 (ITU-R BS.2088), which is RF64 but for its name."""
    file.seek(0)
    return file.read(4) == b"BW64"


def _announced(size: int, prefix: int, size_bytes: int, available: int) -> int | None:
    """Return the announced bytes of sound, None for a size that stands for an unknown length."""
    largest = 1 << 8 * size_bytes
    unknown = size >= largest // 2 if size_bytes == 8 else size >= largest - NEAR_LARGEST
    signed = abs(size - largest // 2) <= NEAR_LARGEST
    return None if size > available and (unknown or signed) else max(0, size - prefix)


def _present(
    file: BinaryIO, style: ChunkStyle, start: int, announced: int | None
) -> tuple[int, int]:
    """Return the bytes of sound that there are, and where what follows them begins."""
    end = file.seek(0, 2)
    available = end - start
    if announced is not None:
        if announced > available:
            return available, end
        # A size of 32 bits may have wrapped any number of times.
        wraps = range(announced, available + 1, 1 << 32) if style.size_bytes == 4 else [announced]
        for size in wraps:
            for behind in dict.fromkeys([start + size + -size % style.align, start + size]):
                if _no_sound(file, style, behind):
                    return size, behind
    trimmed = min(end_without(byte, _reader(file), start, end) for byte in FILLER)
    return (trimmed if end - trimmed >= PREALLOCATED else end) - start, end


def _no_sound(file: BinaryIO, style: ChunkStyle, at: int) -> bool:
    """Return whether there is no sound from byte `at` on: chunks up to the end, or filler."""
    end = file.seek(0, 2)
    file.seek(at)
    if file.read(8).startswith(TAGS):
        return True
    for chunk in chunks(file, style, at):
        if chunk.start + chunk.size > end:
            return chunk.name in METADATA
        at = chunk.next
    return end - at < style.head_bytes or _only_filler(file, at, end)


def _only_filler(file: BinaryIO, start: int, end: int) -> bool:
    """Return whether all bytes from `start` to `end` are the same, and one that fills."""
    file.seek(start)
    first = file.read(1)
    while start < end and first in FILLER:
        file.seek(start)
        block = file.read(min(BLOCK, end - start))
        if not block or block.count(first) < len(block):
            return False
        start += len(block)
    return start >= end


def _reader(file: BinaryIO) -> Callable[[int, int], bytes]:
    def read(begin: int, end: int) -> bytes:
        file.seek(begin)
        return file.read(end - begin)

    return read


def _within(found: Iterator[Chunk], end: int) -> Iterator[Chunk]:
    return (chunk for chunk in found if chunk.start <= end)


def _riff(chunk: Chunk, before: list[Chunk], sound: Stretch) -> tuple[Piece, ...]:
    """Return a WAV with a true header; one that is too large for that becomes an RF64."""
    order = chunk.style.order
    kept = [other for other in before if other.name != b"ds64"]
    heads = [Stretch(start=other.start - 8, size=other.next - other.start + 8) for other in kept]
    size = 4 + sum(head.size for head in heads) + 8 + sound.size
    if size < 1 << 32:
        name = b"RIFX" if chunk.style == RIFX else b"RIFF"
        begin = name + size.to_bytes(4, order) + b"WAVE"
        return begin, *heads, b"data" + sound.size.to_bytes(4, order), sound
    unknown = b"\xff" * 4
    ds64 = (size + 36).to_bytes(8, "little") + sound.size.to_bytes(8, "little") + bytes(12)
    begin = b"RF64" + unknown + b"WAVEds64" + len(ds64).to_bytes(4, "little") + ds64
    return begin, *heads, b"data" + unknown, sound


def _patched(chunk: Chunk, before: list[Chunk], sound: Stretch) -> tuple[Piece, ...]:
    """Return the file with the true size of its sound, and without what is behind that."""
    field = chunk.start - chunk.style.size_bytes
    prefix = sound.start - chunk.start
    return (
        Stretch(start=0, size=field),
        chunk.style.size_field(prefix + sound.size),
        Stretch(start=chunk.start, size=prefix + sound.size),
    )


def _au(file: BinaryIO, head: bytes) -> SoundExtent | None:
    order: Literal["big", "little"] = "big" if head[:4] == b".snd" else "little"
    start, size = (int.from_bytes(head[at : at + 4], order) for at in (4, 8))
    end = file.seek(0, 2)
    if not 24 <= start < end:
        return None
    announced = _announced(size, 0, 4, end - start)
    present = end - start
    if announced is not None and announced < present and _only_filler(file, start + announced, end):
        present = announced
    filler = end - start - present
    pieces: tuple[Piece, ...] | None = None
    if announced != present or filler:
        truth = (present if present < 1 << 32 else 0xFFFFFFFF).to_bytes(4, order)
        body = Stretch(start=12, size=start + present - 12)
        pieces = (Stretch(start=0, size=8), truth, body)
    return SoundExtent(
        start=start, present=present, announced=announced, filler=filler, pieces=pieces
    )
