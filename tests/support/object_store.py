"""A real server of S3 on loopback, and recordings in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moto.server import ThreadedMotoServer

from tests.support.clusters import ROOT

__all__ = ["object_store", "store_environment", "upload"]

UPLOAD = """
import sys, s3fs
system = s3fs.S3FileSystem()
if not system.exists(sys.argv[1]):
    system.mkdir(sys.argv[1])
for file in sys.argv[3:]:
    system.put_file(file, f"{sys.argv[1]}/{sys.argv[2]}/{file.rpartition('/')[2]}")
"""


@contextmanager
def object_store() -> Iterator[str]:
    """Serve until the block ends; gives the address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def store_environment(server: str, home: Path) -> dict[str, str]:
    """The environment of a process that may use the server."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def upload(environment: dict[str, str], bucket: str, folder: str, *files: str) -> None:
    """Put files into a folder of a bucket, which is made where there is none."""
    command = [sys.executable, "-c", UPLOAD, bucket, folder, *files]
    subprocess.run(command, env=environment, check=True, timeout=60)
