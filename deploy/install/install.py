"""`edge-deploy install`: from a machine with Python to a recorder that starts at boot, and from one
version to the next.

Everything is a step that knows whether it is done, so a second run finds nothing to do and a dry
run says what would be done. The service is restarted last, once the installed program's own
`edge check` has accepted it; until then the previous installation runs, and when a step fails what
came before it is taken back.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.install.bundles import bundle_steps, chosen_bundle, others
from deploy.install.interrupted import accept, way_back
from deploy.install.jetpack import Jetson, jetson_of, refuse_what_cannot_work
from deploy.install.layout import Layout, checkout, shipped
from deploy.install.program import Program, old_programs, program_steps
from deploy.install.steps import Step, Undo, carry_out, folder, remove, text_file, write
from deploy.install.verdict import faults_of_the_place
from edge.bundle import Bundle
from edge.config.config import load_config
from edge.errors import ConfigError, UserError

__all__ = ["Request", "install"]

UNITS = ("edge.service", "edge-compile.service")
SYSTEM_PYTHON = Path("/usr/bin/python3")
Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for. `package` None is the checkout this runs from, or what is installed
    already.
    """

    root: Path = Path("/")
    bundle: Path | None = None
    package: str | None = None
    wheels: Path | None = None
    python: Path = SYSTEM_PYTHON
    dry_run: bool = False


def install(request: Request, say: Say) -> None:
    """Do what is missing and say each thing before it is done; raises `UserError` after taking
    everything back.
    """
    layout = Layout(root=request.root.resolve())
    jetson = jetson_of(layout.root)
    if jetson is not None:
        refuse_what_cannot_work(jetson)
    if layout.live and not request.dry_run and os.geteuid() != 0:
        raise ConfigError(
            "install: writes to /opt, /etc and /var: run it as root (--dry-run needs no rights)"
        )
    bundle = chosen_bundle(layout, request.bundle)
    missing: list[str] = []
    program, before = _program(request, layout, jetson), layout.program.resolve()
    steps = [
        *_steps(layout, bundle, program, jetson, missing),
        *_service_steps(layout),
        _clear(layout, keep={before} if program is None else {before, program.place(layout)}),
    ]
    umask = os.umask(0o022)  # the service reads what root writes here
    try:
        count = carry_out(steps, dry_run=request.dry_run, say=say)
    except (UserError, OSError, subprocess.CalledProcessError) as exc:
        raise ConfigError(
            f"install: {_said(exc)}; all was taken back, and what ran before is in place"
        ) from exc
    finally:
        os.umask(umask)
    if not count:
        say("nothing has to be done")
    for line in [
        *(f"still missing: {fault}" for fault in missing),
        *_notes(layout, bundle, jetson),
    ]:
        say(line)


def _program(request: Request, layout: Layout, jetson: Jetson | None) -> Program | None:
    """What the environment is to be made of; None when the one that is there stays."""
    here = checkout()
    package = request.package or (str(here) if here is not None else None)
    if package is None:
        if layout.program.exists():
            return None
        raise ConfigError(
            "install: this program runs from no checkout; name the package to install with "
            "--package FILE.whl"
        )
    path = Path(package)
    return Program(
        package=str(path.resolve()) if path.exists() else package,
        python=request.python,
        requirements=() if jetson is None else (jetson.cuda_bindings,),
        system_site_packages=jetson is not None,
        wheels=request.wheels,
    )


def _steps(
    layout: Layout,
    bundle: Bundle,
    program: Program | None,
    jetson: Jetson | None,
    missing: list[str],
) -> Iterator[Step]:
    """Everything but what systemd has to be told, in order; what the check misses goes into
    `missing`.
    """
    yield way_back(layout)
    yield folder(layout.settings, 0o755, "of people: the configuration")
    yield folder(
        layout.settings / "credentials",
        0o700,
        "secrets, which systemd hands to the service; only root may look",
    )
    yield folder(
        layout.bundles, 0o755, "root's, so that the recorder cannot change what it judges by"
    )
    if program is not None:
        yield from program_steps(layout, program)
    yield from bundle_steps(layout, bundle)
    yield from _configuration(layout)
    for unit in UNITS:
        why = "your own changes belong into edge.service.d/, this file is the program's"
        yield text_file(layout.units / unit, layout.placed(shipped(f"systemd/{unit}")), why)
    if jetson is not None:
        yield text_file(
            layout.units / "edge.service.d/gpu.conf",
            shipped("systemd/edge-gpu.conf"),
            "the recorder may use the GPU",
        )

    def check() -> Undo:
        missing.extend(faults_of_the_place(layout))
        return accept(layout)

    yield Step(
        what="run `edge check` of the installed program",
        why="it decides whether all this stays or is taken back",
        done=lambda: False,
        do=check,
        last=True,
    )


def _configuration(layout: Layout) -> Iterator[Step]:
    """The default, but never over what a person has written; then it goes beside that, once for
    each new default.
    """
    file, pristine = layout.settings / "edge.yaml", layout.kept / "edge.yaml.shipped"
    line = (
        f"  bundle: {layout.current}  # the link that `edge-deploy install` sets; null: the "
        "program's own; else a folder"
    )
    default, found = re.subn(
        r"^  bundle: null .*$", line, shipped("config/edge.yaml"), flags=re.MULTILINE
    )
    if found != 1:
        raise ConfigError("config/edge.yaml: has no line `bundle: null`; install the program again")
    edited = file.exists() and not (
        pristine.exists() and file.read_bytes() == pristine.read_bytes()
    )
    if edited and file.read_text(encoding="utf-8", errors="replace") != default:
        target, why = (
            file.with_name("edge.yaml.new"),
            f"{file} was edited and stays; this is the new default to compare it with",
        )
    else:
        target, why = file, "every key with its default; edit it as you like"

    def do() -> Undo:
        undo_target, undo_pristine = (
            write(target, default.encode()),
            write(pristine, default.encode()),
        )
        return lambda: (undo_pristine(), undo_target())

    def done() -> bool:
        return (
            file.exists() and pristine.exists() and pristine.read_text(encoding="utf-8") == default
        )

    yield Step(what=f"write {target}", why=why, done=done, do=do)


def _service_steps(layout: Layout) -> Iterator[Step]:
    """Have systemd start it, now and at each boot."""
    if not layout.live or shutil.which("systemctl") is None:
        return
    wanted = [
        layout.units / "multi-user.target.wants/edge.service",
        layout.units / "edge.service.wants/edge-compile.service",
    ]
    yield Step(
        what=f"systemctl enable {' '.join(UNITS)}",
        why="they start at each boot",
        done=lambda: all(path.is_symlink() for path in wanted),
        do=_enable,
    )
    if Path("/run/systemd/system").is_dir():
        yield Step(
            what="systemctl restart edge",
            why=(
                "what is installed now runs from here on; an engine is built first where there is "
                "a GPU"
            ),
            done=lambda: False,
            do=_restart,
            last=True,
        )


def _clear(layout: Layout, *, keep: set[Path]) -> Step:
    """Environments are large. The one before this run is kept, too: the service may still be
    leaving it.
    """

    def do() -> Undo:
        for venv in old_programs(layout, keep=keep):
            remove(venv)
        return lambda: None

    return Step(
        what=(
            f"remove virtual environments in {layout.program.parent} but "
            f"{' and '.join(sorted(path.name for path in keep))}"
        ),
        why="each takes half a GB",
        done=lambda: not old_programs(layout, keep=keep),
        do=do,
        last=True,
    )


def _enable() -> Undo:
    _systemctl("enable", *UNITS)
    return lambda: _systemctl("disable", *UNITS)


def _restart() -> Undo:
    _systemctl("daemon-reload")
    # Ready is said when samples advance, perhaps days later: nobody waits for that here.
    _systemctl("restart", "--no-block", *UNITS)
    return lambda: None


def _systemctl(*arguments: str) -> None:
    subprocess.run(
        ["systemctl", *arguments],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def _said(exc: Exception) -> str:
    if isinstance(exc, subprocess.CalledProcessError):
        said = str(exc.stderr).strip().splitlines()
        return f"`{' '.join(exc.cmd)}`: {said[-1] if said else f'exit {exc.returncode}'}"
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"{exc.filename}: {exc.strerror}"
    return str(exc)


def _notes(layout: Layout, bundle: Bundle, jetson: Jetson | None) -> Iterator[str]:
    """What a person may want to know afterwards."""
    file = layout.settings / "edge.yaml"
    if file.exists():
        configured = load_config(file).model.bundle
        if configured != layout.current:
            shown = configured or "null"
            yield (
                f"{file} has model.bundle = {shown}, so the installed bundle is not used; its "
                f"link is {layout.current}"
            )
    if jetson is not None and not jetson.tensorrt:
        yield (
            "this Jetson has no TensorRT, so the model runs on the processor; `apt-get install "
            "nvidia-jetpack` brings it"
        )
    older = others(layout) if layout.current.exists() else []
    if older:
        yield (
            f"in use is {bundle.digest[:12]}; kept in {layout.bundles}: {len(older)} more; to "
            "go "
            "back, name one with --bundle"
        )
