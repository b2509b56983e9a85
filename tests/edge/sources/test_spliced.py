"""Pieces of a file read like one file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.spliced import Piece, SplicedFile, Stretch

CONTENT = bytes(range(256)) * 4
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.builds(Stretch, start=st.integers(0, 900), size=st.integers(0, 100)),
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spliced") / "content.bin"
    path.write_bytes(CONTENT)
    return path


@given(pieces=PIECES, reads=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 300))))
def test_reads_anywhere_are_those_of_the_pieces_joined(
    path: Path, pieces: list[Piece], reads: list[tuple[int, int]]
) -> None:
    joined = b"".join(
        piece if isinstance(piece, bytes) else CONTENT[piece.start : piece.start + piece.size]
        for piece in pieces
    )
    with SplicedFile(str(path), pieces) as file:
        for at, size in reads:
            file.seek(at)
            assert file.read(size) == joined[at : at + size]
        assert file.seek(0, io.SEEK_END) == len(joined)
        assert file.seek(-1, io.SEEK_CUR) == max(0, len(joined) - 1)
