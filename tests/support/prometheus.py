"""A real Prometheus that scrapes one recorder, and what it answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import yaml

from tests.support.broker import free_port

__all__ = ["Prometheus", "prometheus"]


@dataclass(frozen=True)
class Prometheus:
    """One that listens on `port` of this machine."""

    port: int

    def asked(self, query: str, *, at_s: float | None = None) -> list[dict[str, Any]]:
        """Return the vector that a PromQL query gives, now or at a Unix time.

        It is empty while there is no answer yet.
        """
        parameters = {"query": query} if at_s is None else {"query": query, "time": f"{at_s:.3f}"}
        vector: list[dict[str, Any]] = self._get(f"query?{urllib.parse.urlencode(parameters)}").get(
            "result", []
        )
        return vector

    def firing(self) -> dict[str, list[dict[str, Any]]]:
        """Alerts that fire now, by name; each with its labels and annotations."""
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in self._get("alerts").get("alerts", []):
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def ailing(self) -> dict[str, str]:
        """The last error of each rule that could not be evaluated."""
        groups = self._get("rules").get("groups", [])
        return {
            rule["name"]: rule["lastError"]
            for group in groups
            for rule in group["rules"]
            if rule.get("lastError")
        }

    def _get(self, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=10
            ) as answer:
                content = json.load(answer)
        except URLError:
            return {}
        assert content["status"] == "success"
        data: dict[str, Any] = content["data"]
        return data


@contextmanager
def prometheus(folder: Path, *, scrapes: int, rules: Path | None = None) -> Iterator[Prometheus]:
    """One that scrapes that port of this machine every second, and evaluates `rules` as often."""
    folder.mkdir()
    port, file = free_port(), folder / "prometheus.yml"
    targets = [{"targets": [f"127.0.0.1:{scrapes}"]}]
    content = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "edge", "static_configs": targets}],
        "rule_files": [str(rules)] if rules else [],
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    subprocess.run(["promtool", "check", "config", str(file)], check=True, capture_output=True)
    command = [
        shutil.which("prometheus") or "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as server,
    ):
        try:
            yield Prometheus(port)
        finally:
            server.kill()
