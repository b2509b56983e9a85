"""`edge-deploy install` into a folder: what it leaves there, that it can be run again, and that a
failure leaves what ran before.

The program is a script that answers `edge check --json` as the test says; one test installs the
real program.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.install.layout import Layout, shipped
from deploy.install.program import STAMP, Program
from edge.bundle import Bundle, load_bundle
from edge.config.config import load_config
from tests.support.bundles import tiny_bundle
from tests.support.wheel import here, linked_wheel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYTHON = Path(sys.executable).resolve()
RELEASE = "# R{} (release), REVISION: {}, GCID: 1, BOARD: generic, EABI: aarch64\n"
CHECK = '#!/bin/sh\necho "$@" >>{root}/asked\ncat {root}/answer\nexit $(cat {root}/status)\n'


def found(subject: str, fault: str = "") -> str:
    """Return a line of `edge check --json`; without a `fault` the subject is in order."""
    parts = {"key": "", "value": "", "reason": fault, "suggestion": ""} if fault else None
    return json.dumps({"subject": subject, "detail": "", "fault": parts, "text": fault})


class Machine:
    """A file system that begins in a folder, and a package whose environment is there already."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "machine"
        self.layout = Layout(root=self.root)
        self.package = folder / "edge_monitor-9.9-py3-none-any.whl"
        self.root.mkdir()
        self.answers(found("model"))
        self.offers("first")

    def offers(self, content: str) -> Path:
        """Another version of the package; its environment."""
        self.package.write_text(content, encoding="utf-8")
        digest = Program(package=str(self.package), python=PYTHON).digest
        venv = self.root / f"opt/edge-monitor.{digest[:12]}"
        (venv / "bin").mkdir(parents=True)
        (venv / STAMP).touch()
        (venv / "bin/edge").write_text(CHECK.format(root=self.root), encoding="utf-8")
        (venv / "bin/edge").chmod(0o755)
        return venv

    def answers(self, *lines: str, status: int = 0) -> None:
        """Have `edge check` print these lines and exit with `status` from now on."""
        (self.root / "answer").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        (self.root / "status").write_text(f"{status}\n", encoding="utf-8")

    def install(self, *options: str) -> Result:
        arguments = [
            "install",
            "--root",
            str(self.root),
            "--package",
            str(self.package),
            "--python",
            str(PYTHON),
            *options,
        ]
        return CliRunner().invoke(main, arguments)

    def installs(self, *options: str) -> str:
        result = self.install(*options)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refuses(self, *options: str) -> str:
        result = self.install(*options)
        assert result.exit_code == 2, result.output
        assert result.stderr.count("\n") == 1
        return result.stderr

    def files(self) -> dict[str, str]:
        """Everything that is there, by path: content, or where a link leads. Without what the
        checking script notes.
        """
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"
            elif path.is_file() and name not in ("asked", "answer", "status"):
                found[name] = path.read_bytes().hex()
        return found

    @property
    def config(self) -> Path:
        return self.layout.settings / "edge.yaml"

    @property
    def current(self) -> str:
        return load_bundle(self.layout.current).digest


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def other(tmp_path: Path) -> Bundle:
    """Another bundle that is sound by its manifest, though it fails on its golden window."""
    return tiny_bundle(tmp_path / "other", golden_error=0.5)


def test_a_recorder_is_made_and_a_second_run_finds_nothing_to_do(
    machine: Machine, bundle: Bundle
) -> None:
    said = machine.installs("--bundle", str(bundle.path))
    layout = machine.layout
    assert machine.current == bundle.digest
    assert os.readlink(layout.current) == bundle.digest
    assert load_config(machine.config).model.bundle == layout.current
    assert (layout.settings / "credentials").stat().st_mode & 0o777 == 0o700
    for unit in ("edge.service", "edge-compile.service"):
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


def test_what_no_bundle_can_mend_is_told_and_the_bundle_stays(
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


def test_a_configuration_that_was_edited_stays(machine: Machine, bundle: Bundle) -> None:
    machine.installs("--bundle", str(bundle.path))
    pristine = machine.layout.kept / "edge.yaml.shipped"
    default = machine.config.read_text(encoding="utf-8")
    edited = default.replace('site: ""', "site: pond")
    machine.config.write_text(edited, encoding="utf-8")
    assert machine.installs() == "nothing has to be done\n"
    # A version with another default: as if the one before it had been older.
    pristine.write_text("device: {}\n", encoding="utf-8")
    said = machine.installs()
    assert [line for line in said.splitlines() if "edge.yaml" in line] == [
        (
            f"write {machine.config}.new ({machine.config} was edited and stays; this is the new "
            "default to compare it with)"
        )
    ]
    assert machine.config.read_text(encoding="utf-8") == edited
    assert machine.config.with_name("edge.yaml.new").read_text(encoding="utf-8") == default
    assert machine.installs() == "nothing has to be done\n"


def test_a_configuration_that_nobody_edited_follows_the_default(
    machine: Machine, bundle: Bundle
) -> None:
    machine.installs("--bundle", str(bundle.path))
    default = machine.config.read_text(encoding="utf-8")
    for file in (machine.config, machine.layout.kept / "edge.yaml.shipped"):
        file.write_text("device: {}\n", encoding="utf-8")
    machine.installs()
    assert machine.config.read_text(encoding="utf-8") == default
    assert not machine.config.with_name("edge.yaml.new").exists()


def test_a_configuration_that_does_not_use_the_bundle_is_told(
    machine: Machine, bundle: Bundle
) -> None:
    machine.layout.settings.mkdir(parents=True)
    machine.config.write_text("model: {hop_s: 2.0}\n", encoding="utf-8")
    said = machine.installs("--bundle", str(bundle.path))
    assert (
        "model.bundle = null, so the installed bundle is not used; its link is "
        f"{machine.layout.current}"
    ) in said


def test_an_environment_made_by_hand_is_set_aside_and_comes_back_when_it_fails(
    machine: Machine, bundle: Bundle
) -> None:
    (machine.layout.program / "bin").mkdir(parents=True)
    (machine.layout.program / "bin/edge").touch()
    before = machine.files()
    machine.answers(found("model", "no"), status=1)
    machine.refuses("--bundle", str(bundle.path))
    assert machine.files() == before
    machine.answers(found("model"))
    machine.installs("--bundle", str(bundle.path))
    assert machine.layout.program.is_symlink()
    assert len(list(machine.root.glob("opt/.edge-monitor.set-aside.*/bin/edge"))) == 1


def test_of_the_programs_before_one_is_kept(machine: Machine, bundle: Bundle) -> None:
    first = machine.layout.program.with_name(next(machine.root.glob("opt/*")).name)
    machine.installs("--bundle", str(bundle.path))
    second = machine.offers("second")
    machine.installs()
    assert first.is_dir()
    third = machine.offers("third")
    machine.installs()
    assert (first.exists(), second.is_dir(), third.is_dir()) == (False, True, True)
    assert machine.layout.program.resolve() == third


def test_jetpack_6_0_is_refused_before_anything_is_done(machine: Machine) -> None:
    (machine.root / "etc").mkdir()
    (machine.root / "etc/nv_tegra_release").write_text(RELEASE.format(36, "3.0"), encoding="utf-8")
    before = machine.files()
    assert machine.refuses().startswith(
        "edge-deploy: L4T 36.3.0 is JetPack 6.0 with TensorRT 8, and TensorRT 10.3 or newer"
    )
    assert machine.files() == before


def test_on_a_jetson_the_environment_sees_the_systems_tensorrt(
    machine: Machine, bundle: Bundle
) -> None:
    (machine.root / "etc").mkdir()
    (machine.root / "etc/nv_tegra_release").write_text(RELEASE.format(36, "4.3"), encoding="utf-8")
    said = machine.installs("--dry-run", "--bundle", str(bundle.path))
    assert re.search(r"make the virtual environment \S+ that sees the system's packages with", said)
    assert "edge.service.d/gpu.conf" in said
    assert "no TensorRT, so the model runs on the processor" in said


def test_a_package_that_cannot_be_installed_is_one_line_and_changes_nothing(
    machine: Machine, bundle: Bundle, tmp_path: Path
) -> None:
    machine.installs("--bundle", str(bundle.path))
    before = machine.files()
    machine.package.write_bytes(b"no wheel")
    said = machine.refuses("--wheels", str(tmp_path))
    assert "edge_monitor-9.9-py3-none-any.whl" in said
    assert "portaudio19-dev" in said
    assert machine.files() == before


def test_another_python_is_named_when_it_is_not_there(machine: Machine) -> None:
    assert "/nowhere/python3: cannot be run" in machine.refuses("--python", "/nowhere/python3")


@pytest.mark.parametrize(
    "name",
    [
        "config/edge.yaml",
        "systemd/edge.service",
        "systemd/edge-compile.service",
        "systemd/edge-gpu.conf",
    ],
)
def test_what_it_installs_comes_with_the_package(root: Path, name: str) -> None:
    """A wheel puts them below PREFIX/share, where they are looked for when there is no checkout."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["data-files"][
        f"share/edge-monitor/{Path(name).parent}"
    ]
    assert root / name in [file for pattern in patterns for file in root.glob(pattern)]
    assert shipped(name) == (root / name).read_text(encoding="utf-8")


def test_the_real_program_is_installed_and_its_check_decides(
    tmp_path: Path, root: Path, bundle: Bundle, other: Bundle
) -> None:
    machine = Machine(tmp_path)
    machine.package = linked_wheel(tmp_path, here(root))
    machine.installs("--wheels", str(tmp_path), "--bundle", str(bundle.path))
    assert (machine.layout.program / "bin/edge").is_file()
    before = machine.files()
    said = machine.refuses("--wheels", str(tmp_path), "--bundle", str(other.path))
    assert "on the golden window embedding differs by 0.5" in said
    assert machine.files() == before
    assert machine.current == bundle.digest


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
