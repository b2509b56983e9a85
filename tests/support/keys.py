"""Keys to sign bundles with, as openssl writes them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge.bundle.signature import public_key

__all__ = ["KeyPair", "key_pair"]


@dataclass(frozen=True)
class KeyPair:
    """The files of a private key and of its public key, and that as base64."""

    private: Path
    public: Path
    text: str


def key_pair(folder: Path, name: str = "key", algorithm: str = "ed25519") -> KeyPair:
    """Make a pair of keys in `folder`."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    making = ["openssl", "genpkey", "-algorithm", algorithm, "-out", str(private)]
    subprocess.run(making, check=True, capture_output=True)
    showing = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(showing, check=True, capture_output=True)
    text = str(public_key(str(public))) if algorithm == "ed25519" else ""
    return KeyPair(private, public, text)
