"""Whose a bundle is: an Ed25519 signature of its manifest, which has the checksum of every file.

manifest.sig is JSON: `key`, the public key, and `signature`, both as base64. What is signed is the
manifest's bytes behind a line that says what they are, so that no signature of anything else fits.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bundle.folder import content_of
from edge.bundle.strictjson import NotJsonError, json_object
from edge.errors import BundleError, ConfigError, shown

__all__ = [
    "DOMAIN",
    "PublicKey",
    "Signature",
    "is_key",
    "key_content",
    "public_key",
    "read_signature",
    "refuse_foreign",
    "signature_in",
]

DOMAIN = b"edge-monitor bundle, manifest.json, version 1\n"
KEY_BYTES, SIGNATURE_BYTES = 32, 64
LARGEST_BYTES = 10_000  # of a file with a key or a signature
SIGN_IT = "`edge-deploy sign` signs a bundle"


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key: its 32 bytes."""

    raw: bytes

    def __str__(self) -> str:
        return base64.b64encode(self.raw).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Who claims to have signed a bundle, and the 64 bytes that prove it."""

    key: PublicKey
    proof: bytes

    def is_of(self, content: bytes, *, domain: bytes = DOMAIN) -> bool:
        """Return whether the key has signed `content`, of a manifest.json unless `domain` is that
        of something else.
        """
        from cryptography.exceptions import InvalidSignature  # late: only where keys are used
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.key.raw).verify(self.proof, domain + content)
        except (InvalidSignature, ValueError):
            return False
        return True

    def as_mapping(self) -> dict[str, str]:
        """Return `key` and `signature` as base64; `signature_in` is the inverse."""
        proof = base64.b64encode(self.proof).decode("ascii")
        return {"key": str(self.key), "signature": proof}

    def as_json(self) -> str:
        """Return the content of manifest.sig."""
        return json.dumps(self.as_mapping(), indent=1) + "\n"


def is_key(text: str) -> bool:
    """Return whether `text` is a public key as base64, and not the name of a file."""
    return _decoded(text, KEY_BYTES) is not None


def public_key(text: str) -> PublicKey:
    """Return the key that `text` is, as base64, or that is in the file which it names.

    The file holds base64, or PEM as `openssl pkey -pubout` writes it. Raises `ConfigError`.
    """
    raw = _decoded(text, KEY_BYTES)
    if raw is None:
        raw = _from_file(Path(text))
    return PublicKey(raw)


def read_signature(file: Path) -> Signature | None:
    """Return the signature in `file`, None where there is no such file; raises `BundleError`."""
    try:
        content: dict[str, Any] = json_object(content_of(file, most_bytes=LARGEST_BYTES), file)
    except FileNotFoundError:
        return None
    except NotJsonError as exc:
        raise BundleError(exc.fault.reason, suggestion=SIGN_IT) from exc
    signature = signature_in(content)
    if signature is None or content.keys() != {"key", "signature"}:
        raise BundleError(f"{file}: has no key and signature", suggestion=SIGN_IT)
    return signature


def signature_in(content: Mapping[str, object]) -> Signature | None:
    """Return the signature that the keys `key` and `signature` of JSON are, None if they are not
    one.
    """
    key = _decoded(content.get("key"), KEY_BYTES)
    proof = _decoded(content.get("signature"), SIGNATURE_BYTES)
    return None if key is None or proof is None else Signature(key=PublicKey(key), proof=proof)


def refuse_foreign(
    folder: Path, manifest: bytes, signature: Signature | None, trusted: Sequence[PublicKey]
) -> None:
    """Raise `BundleError` unless one of the `trusted` keys has signed the manifest's content."""
    if signature is None:
        raise BundleError(
            f"{folder}: is not signed, and only bundles that are signed by a trusted key are taken",
            suggestion=SIGN_IT,
        )
    if signature.key not in trusted:
        raise BundleError(
            f"{folder}: is signed with the key {signature.key}, which is not trusted here"
        )
    if not signature.is_of(manifest):
        raise BundleError(f"{folder}: its signature does not belong to it", suggestion=SIGN_IT)


def _from_file(file: Path) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = key_content(file)
    raw = _decoded(content.decode("ascii", "replace").strip(), KEY_BYTES)
    if raw is not None:
        return raw
    try:
        key: object = load_pem_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ConfigError(f"{file}: is not a public key, in PEM or as base64") from exc
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{file}: is a public key, but not of Ed25519")
    return key.public_bytes_raw()


def key_content(file: Path) -> bytes:
    """Return the content of a file with a key; raises `ConfigError`."""
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST_BYTES)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not a path"
        raise ConfigError(
            f"{shown(str(file))}: cannot be read as a key ({reason})",
            suggestion="name its file, or write the public key itself as base64",
        ) from exc


def _decoded(text: object, size: int) -> bytes | None:
    """Return the bytes that `text` is in base64, or None if it is not that of `size` bytes."""
    if not isinstance(text, str):
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size else None
