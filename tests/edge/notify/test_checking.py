"""`edge check` says what would keep `edge notify` from telling people; it asks no service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from edge.recorder.check import Finding
from tests.edge.recorder.test_check import all_findings

SECRET = "tk_geheim"
HOST = "ntfy.example"
GOOD = f"ntfys://{SECRET}@{HOST}/owls"


def told(tmp_path: Path, *urls: str, mode: int = 0o600, **keys: Any) -> list[Finding]:
    """What is found of `notify` with these services."""
    if urls:
        file = tmp_path / "services"
        file.write_text("\n".join(urls), encoding="utf-8")
        file.chmod(mode)
        keys["services_file"] = str(file)
    found = all_findings(tmp_path, {"notify": keys})
    assert SECRET not in repr([one.as_mapping() for one in found])
    return [one for one in found if one.subject == "notify"]


def test_nothing_is_said_where_nobody_is_to_be_told(tmp_path: Path) -> None:
    assert told(tmp_path) == []


def test_what_is_in_order_is_said_without_asking_anybody(
    tmp_path: Path,
) -> None:
    asked: list[str] = []
    sys.addaudithook(lambda event, given: asked.append(f"{event} {given}"))
    (found,) = told(tmp_path, GOOD, f"json://{HOST}/x", species=["low_hummer"])
    assert found.fault is None
    assert not found.warns
    assert found.detail.startswith("2 services, not asked now; tells of first_ever, species, ")
    assert asked
    assert not [one for one in asked if HOST in one and one.startswith("socket.")]


@pytest.mark.parametrize(
    ("urls", "mode", "reasons"),
    [
        (("nonsense", GOOD, "tgram://"), 0o600, ("service 1 is none", "service 3 (tgram) is none")),
        ((GOOD,), 0o644, ("others may read it",)),
        (("# none yet",), 0o600, ("has 0 services",)),
    ],
)
def test_each_service_that_cannot_be_used_is_a_fault(
    tmp_path: Path, urls: tuple[str, ...], mode: int, reasons: tuple[str, ...]
) -> None:
    faults = [one.fault for one in told(tmp_path, *urls, mode=mode)]
    assert len(faults) == len(reasons)
    for fault, reason in zip(faults, reasons, strict=True):
        assert fault is not None
        assert fault.key == "notify.services_file"
        assert fault.reason.startswith(reason)
        assert fault.suggestion


@pytest.mark.parametrize(("name", "why"), [("gone", "No such file"), ("", "Is a directory")])
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, name: str, why: str) -> None:
    file = tmp_path / name
    (found,) = told(tmp_path, services_file=str(file))
    assert found.text.startswith(f"notify.services_file = {file}: cannot be read: {why}")


def test_without_the_library_the_way_to_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    (found,) = told(tmp_path, GOOD, GOOD)
    assert found.text.startswith("edge notify needs apprise (")
    assert "[notify]" in found.text


@pytest.mark.parametrize("key", ["species", "first_today"])
def test_a_species_that_no_model_here_knows_is_doubted(tmp_path: Path, key: str) -> None:
    rule: dict[str, Any] = {key: ["low_hummer", "Lynx lynx"]}
    well, doubt = told(tmp_path, GOOD, **rule)
    assert well.fault is None
    assert doubt.warns
    assert doubt.detail.startswith(f"notify.{key}: the bundle has no label 'Lynx lynx'")
    assert doubt.detail.count("\n") == 0


def test_rules_without_a_service_are_doubted(tmp_path: Path) -> None:
    (found,) = told(tmp_path, quiet="22:00-07:00")
    assert found.warns
    assert "names no file" in found.detail


def test_a_fault_of_the_section_is_told_once(tmp_path: Path) -> None:
    found = all_findings(tmp_path, {"notify": {"quiet": "at night"}})
    assert [one.fault.key for one in found if one.fault is not None] == ["notify.quiet"]
    assert [one for one in found if one.subject == "notify"] == []
