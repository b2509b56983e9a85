"""`edge-deploy install` into a folder: what it leaves there, also when it is run again or fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.install.layout import shipped
from deploy.install.service import OFF, UNITS
from edge.bundle import Bundle, load_bundle
from edge.config.config import load_config
from tests.support.machine import JETSON, PYTHON, Machine, found


def test_a_recorder_is_made_and_a_second_run_finds_nothing_to_do(
    machine: Machine, bundle: Bundle
) -> None:
    said = machine.installs("--bundle", str(bundle.path))
    layout = machine.layout
    assert machine.current == bundle.digest
    assert os.readlink(layout.current) == bundle.digest
    assert load_config(machine.config).model.bundle == layout.current
    assert (layout.settings / "credentials").stat().st_mode & 0o777 == 0o700
    for unit in (*UNITS, *OFF):
        assert (layout.units / unit).read_text(encoding="utf-8") == layout.placed(
            shipped(f"systemd/{unit}")
        )
    assert (machine.root / "asked").read_text(
        encoding="utf-8"
    ) == f"check --json --config {machine.config}\n"
    assert said.splitlines()[-1].startswith("run `edge check` of the installed program")
    before = machine.files()
    assert machine.installs("--bundle", str(bundle.path)) == "nothing has to be done\n"
    assert machine.installs() == "nothing has to be done\n"  # what is installed stays
    assert machine.files() == before
    assert (machine.root / "asked").read_text(encoding="utf-8").count("\n") == 1


def test_a_dry_run_says_just_what_is_then_done_and_does_nothing(
    machine: Machine, bundle: Bundle
) -> None:
    before = machine.files()
    said = machine.installs("--dry-run", "--bundle", str(bundle.path))
    assert machine.files() == before
    assert not machine.layout.settings.exists()
    assert machine.installs("--bundle", str(bundle.path)) == said
    assert machine.installs("--dry-run") == "nothing has to be done\n"


def test_the_first_model_is_the_one_that_ships(machine: Machine, root: Path) -> None:
    machine.installs()
    assert machine.current == load_bundle(root / "edge/models/default").digest


def test_what_the_service_reads_can_be_read_by_its_user(machine: Machine, bundle: Bundle) -> None:
    umask = os.umask(0o077)
    try:
        machine.installs("--bundle", str(bundle.path))
    finally:
        os.umask(umask)
    layout = machine.layout
    for path in [machine.config, *layout.current.resolve().iterdir(), *layout.units.iterdir()]:
        assert path.stat().st_mode & 0o777 == 0o644, path
    for path in [layout.settings, layout.kept, layout.bundles, layout.current.resolve()]:
        assert path.stat().st_mode & 0o777 == 0o755, path


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        ("model", "model.bundle = current: golden window differs"),
        ("configuration", "modle: unknown key"),
    ],
)
def test_a_bundle_that_the_check_refuses_is_taken_back(
    machine: Machine, bundle: Bundle, other: Bundle, subject: str, fault: str
) -> None:
    machine.installs("--bundle", str(bundle.path))
    before = machine.files()
    machine.answers(found("audio"), found(subject, fault), status=1)
    said = machine.refuses("--bundle", str(other.path))
    assert said == (
        f"edge-deploy: install: {subject}: {fault}; all was taken back, and what ran before is in "
        "place\n"
    )
    assert machine.files() == before


def test_a_refused_first_installation_leaves_nothing_that_could_start(
    machine: Machine, bundle: Bundle
) -> None:
    before = machine.files()
    machine.answers(found("model", "cannot be"), status=1)
    machine.refuses("--bundle", str(bundle.path))
    assert machine.files() == before


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("", 139),
        (found("model"), 2),
        (found("model"), 1),
        (found("audio", "no audio input"), 0),
        ("FAULT  audio: no audio input", 1),
        ('{"subject": "audio", "fault": "no audio input"}', 1),
        ("[]", 1),
    ],
)
def test_a_check_that_breaks_is_no_consent(
    machine: Machine, bundle: Bundle, line: str, status: int
) -> None:
    before = machine.files()
    machine.answers(line, status=status)
    assert f"ended with {status}: it printed no error" in machine.refuses(
        "--bundle", str(bundle.path)
    )
    assert machine.files() == before


def test_what_no_bundle_can_mend_is_reported_and_the_bundle_stays(
    machine: Machine, bundle: Bundle
) -> None:
    machine.answers(
        "a line of some library",
        found("audio", "no audio input on this machine"),
        found("model"),
        found("broker", "refused"),
        status=1,
    )
    said = machine.installs("--bundle", str(bundle.path)).splitlines()
    assert said[-2:] == [
        "still missing: audio: no audio input on this machine",
        "still missing: broker: refused",
    ]
    assert machine.current == bundle.digest


def test_old_bundles_are_kept_and_one_can_go_back_to_them(
    machine: Machine, bundle: Bundle, other: Bundle
) -> None:
    machine.installs("--bundle", str(bundle.path))
    cut_off = machine.layout.bundles / ".tiny.0a1b2c3d"  # a copy that a power cut ended
    cut_off.mkdir()
    (cut_off / "manifest.json").write_text("{}")
    said = machine.installs("--bundle", str(other.path))
    assert f"in use is {other.digest[:12]}; kept in {machine.layout.bundles}: 1 more" in said
    said = machine.installs("--bundle", str(machine.layout.bundles / bundle.digest))
    assert "copy" not in said
    assert machine.current == bundle.digest


def test_a_damaged_bundle_is_refused_before_anything_is_done(
    machine: Machine, bundle: Bundle
) -> None:
    before = machine.files()
    (bundle.path / "head.npz").write_bytes(b"")
    assert "head.npz: is damaged" in machine.refuses("--bundle", str(bundle.path))
    assert machine.files() == before
    assert not machine.layout.settings.exists()


def test_a_copy_that_has_rotted_is_made_again(machine: Machine, bundle: Bundle) -> None:
    machine.installs("--bundle", str(bundle.path))
    (machine.layout.bundles / bundle.digest / "model.onnx").write_bytes(b"")
    assert "copy the bundle tiny" in machine.installs("--bundle", str(bundle.path))
    assert machine.current == bundle.digest
    assert sorted(path.name for path in machine.layout.bundles.iterdir()) == sorted(
        ["current", bundle.digest]
    )


def test_jetpack_6_0_is_refused_before_anything_is_done(machine: Machine) -> None:
    (machine.root / "etc").mkdir()
    (machine.root / "etc/nv_tegra_release").write_text(JETSON.format(36, "3.0"), encoding="utf-8")
    before = machine.files()
    assert machine.refuses().startswith(
        "edge-deploy: L4T 36.3.0 is JetPack 6.0 with TensorRT 8, and TensorRT 10.3 or newer"
    )
    assert machine.files() == before


@pytest.mark.parametrize("installed", [True, False], ids=["an upgrade", "the first installation"])
def test_what_a_power_cut_left_unchecked_is_not_taken_for_installed(
    machine: Machine, root: Path, bundle: Bundle, other: Bundle, installed: bool
) -> None:
    if installed:
        machine.installs("--bundle", str(bundle.path))
    before = machine.files()
    # The check is the moment: the links lead to what it looks at, and it has not answered yet.
    script = machine.layout.root / next(machine.root.glob("opt/edge-monitor.*/bin/edge"))
    whole = script.read_text(encoding="utf-8")
    script.write_text("#!/bin/sh\nkill -KILL $PPID\n", encoding="utf-8")
    options = [
        "--root",
        str(machine.root),
        "--package",
        str(machine.package),
        "--python",
        str(PYTHON),
        "--bundle",
        str(other.path),
    ]
    command = [sys.executable, "-c", "from deploy.cli import main; main()", "install", *options]
    killed = subprocess.run(command, cwd=root, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert machine.current == other.digest
    script.write_text(whole, encoding="utf-8")
    machine.answers(found("model", "no"), status=1)
    machine.refuses("--bundle", str(other.path))
    linked = ("opt/edge-monitor", "var/opt/edge-monitor/bundles/current")
    assert [machine.files().get(name) for name in linked] == [before.get(name) for name in linked]
    machine.answers(found("model"))
    assert "run `edge check`" in machine.installs("--bundle", str(other.path))
    assert machine.current == other.digest
    assert machine.installs().startswith("nothing has to be done\n")


def test_the_note_of_what_was_accepted_leads_to_no_other_place(
    machine: Machine, bundle: Bundle, other: Bundle
) -> None:
    machine.installs("--bundle", str(bundle.path))
    note = machine.layout.kept / "accepted.json"
    strange = {"etc/cron.d": "/tmp", "../outside": "/tmp", "opt/edge-monitor": ["no", "link"]}
    note.write_text(json.dumps({**json.loads(note.read_text()), **strange}), encoding="utf-8")
    machine.installs("--bundle", str(other.path))
    assert machine.current == other.digest
    assert not (machine.root / "etc/cron.d").exists()
    assert not (machine.root.parent / "outside").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1, "a": 2}', "[" * 200_000])
def test_a_damaged_note_of_what_was_accepted_is_one_line(
    machine: Machine, bundle: Bundle, other: Bundle, content: str
) -> None:
    machine.installs("--bundle", str(bundle.path))
    note = machine.layout.kept / "accepted.json"
    note.write_text(content, encoding="utf-8")
    said = machine.refuses("--bundle", str(other.path))
    assert f"{note}: " in said
    assert "remove it, and install again" in said
    note.unlink()
    machine.installs("--bundle", str(other.path))
    assert machine.current == other.digest
