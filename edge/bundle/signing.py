"""Signing a bundle, which is done where the private key is."""

from __future__ import annotations

from pathlib import Path

from edge.bundle.bundle import SIGNATURE
from edge.bundle.reading import load_bundle, manifest_content
from edge.bundle.signature import DOMAIN, PublicKey, Signature, key_content
from edge.errors import ConfigError
from edge.files import write_whole

__all__ = ["sign_bundle", "signature_of"]


def sign_bundle(path: Path, key_file: Path) -> Signature:
    """Sign the bundle at `path`, once it is verified, with the private key in `key_file`.

    Of `TRUNK+HEAD` it signs the head, which names the trunk. The key is PEM, as `openssl genpkey
    -algorithm ed25519` writes it. A signature that is there is replaced. Raises `BundleError`,
    `ConfigError` and OSError.
    """
    folder = load_bundle(path).path
    signature = signature_of(manifest_content(folder), key_file)
    write_whole(folder / SIGNATURE, signature.as_json(), durable=True)
    load_bundle(path, trusted=[signature.key])
    return signature


def signature_of(content: bytes, key_file: Path, *, domain: bytes = DOMAIN) -> Signature:
    """Return the signature of the content of a manifest.json, or of what `domain` says it is.

    Raises `ConfigError`.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key: object = load_pem_private_key(key_content(key_file), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ConfigError(f"{key_file}: is not a private key in PEM without a password") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{key_file}: is a private key, but not of Ed25519")
    public = PublicKey(key.public_key().public_bytes_raw())
    return Signature(key=public, proof=key.sign(domain + content))
