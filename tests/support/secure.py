"""The broker that `deploy/mosquitto` configures, with certificates made for a test."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

__all__ = ["certificates", "client_tls", "example_broker", "identify"]

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
# Settings that `Broker` makes by itself.
OF_THE_TEST = ("listener ", "persistence", "autosave_interval ", "max_queued_messages ")


def certificates(folder: Path, names: Iterable[str]) -> None:
    """Make a certificate authority, a certificate for each name, and an untrusted authority."""
    script = r"""
    new="openssl req -newkey rsa:2048 -nodes"
    $new -x509 -days 2 -subj /CN=testCA -keyout ca.key -out ca.pem
    $new -x509 -days 2 -subj /CN=otherCA -keyout other.key -out other.pem
    printf 'subjectAltName=IP:127.0.0.1' > ext
    for name in "$@"; do
        $new -subj /CN=$name -keyout $name.key -out $name.csr
        openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile ext -out $name.pem
    done
    """
    folder.mkdir()
    subprocess.run(["sh", "-ec", script, "sh", *names], cwd=folder, check=True, capture_output=True)


def example_broker(folder: Path, *, clients: tuple[str, ...]) -> tuple[str, ...]:
    """Return settings for `Broker`: those of the example, except its port and where its files are.

    Certificates are in `folder`/certs.
    """
    certificates(folder / "certs", ("broker", *clients))
    shutil.copy(EXAMPLE / "acl", folder / "acl")
    (folder / "acl").chmod(0o600)
    lines = (
        (EXAMPLE / "mosquitto.conf")
        .read_text(encoding="utf-8")
        .replace("/etc/mosquitto/", f"{folder}/")
        .splitlines()
    )
    return tuple(line for line in lines if line and not line.startswith(("#", *OF_THE_TEST)))


def client_tls(folder: Path, name: str) -> dict[str, Any]:
    """Settings of the section `mqtt` for the client of that name."""
    certs = folder / "certs"
    return {
        "tls": True,
        "ca_file": certs / "ca.pem",
        "cert_file": certs / f"{name}.pem",
        "key_file": certs / f"{name}.key",
    }


def identify(client: mqtt.Client, folder: Path, name: str | None) -> None:
    """Have a client speak TLS, with the certificate of that name or with none."""
    certs = folder / "certs"
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    if name is not None:
        context.load_cert_chain(certs / f"{name}.pem", certs / f"{name}.key")
    client.tls_set_context(context)
