"""A head as one piece that can be sent: a line of JSON with its files' sizes, then their content.

There are no paths in it. The names are those that the format of a head has, and what is there
besides is refused; nothing is compressed, so that nothing can swell.
"""

from __future__ import annotations

import json
from pathlib import Path

from edge.bundle.bundle import (
    CARD,
    HEAD,
    MANIFEST,
    PROBABILITY,
    SIGNATURE,
    TOP,
    Bundle,
    golden_file,
)
from edge.bundle.folder import content_of, placed
from edge.bundle.manifest import FP32
from edge.bundle.strictjson import NotJsonError, json_object
from edge.errors import BundleError, HeadRefusedError, shown

__all__ = ["LARGEST_HEAD_BYTES", "pack_head", "unpack_head"]

LARGEST_HEAD_BYTES = 400_000  # of a packed head: what goes over a field's radio in a minute
LARGEST_LINE_BYTES = 1_000
NAMES = (MANIFEST, SIGNATURE, TOP, HEAD, golden_file(FP32), PROBABILITY, CARD)
SENT_ANEW = "send it again"


def pack_head(head: Bundle) -> bytes:
    """Return the files of `head`, which is signed, as one piece; raises `BundleError`."""
    if head.trunk is None:
        raise BundleError(f"{head.path}: is no head: it has a network of its own")
    if head.signature is None:
        raise BundleError(f"{head.path}: is not signed", suggestion="`edge-deploy sign` signs it")
    contents = {
        name: content_of(placed(head.path, name), most_bytes=LARGEST_HEAD_BYTES)
        for name in head.file_names
    }
    line = json.dumps({name: len(content) for name, content in contents.items()})
    packed = line.encode() + b"\n" + b"".join(contents.values())
    if len(packed) > LARGEST_HEAD_BYTES:
        reason = f"{head.path}: a head of {len(packed)} bytes, {LARGEST_HEAD_BYTES} can be sent"
        raise BundleError(reason, suggestion="fewer labels, or a shorter MODEL_CARD.md")
    return packed


def unpack_head(packed: bytes, folder: Path) -> None:
    """Write the files in `packed` into the empty `folder`; raises `HeadRefusedError` and OSError.

    What is in them is not looked at: `load_bundle` does that.
    """
    if len(packed) > LARGEST_HEAD_BYTES:
        raise HeadRefusedError("too_large", f"a packed head of {len(packed)} bytes")
    line = packed[:LARGEST_LINE_BYTES].partition(b"\n")[0]
    sizes = _sizes(line)
    if not sizes or sum(sizes.values()) != len(packed) - len(line) - 1:
        raise HeadRefusedError("damaged", "what was sent is no packed head", suggestion=SENT_ANEW)
    at = len(line) + 1
    for name, size in sizes.items():
        file = placed(folder, name)
        file.write_bytes(packed[at : at + size])
        file.chmod(0o644)
        at += size


def _sizes(line: bytes) -> dict[str, int]:
    """Return the sizes of the files in their order; raises `HeadRefusedError`."""
    try:
        sizes = json_object(line, Path("a packed head"))
    except NotJsonError as exc:
        raise HeadRefusedError("damaged", exc.fault.reason, suggestion=SENT_ANEW) from exc
    for name, size in sizes.items():
        if name not in NAMES or type(size) is not int or size < 0:
            reason = f"a packed head with {shown(name)} of {shown(size)} bytes"
            raise HeadRefusedError("damaged", reason, suggestion=SENT_ANEW)
    return sizes
