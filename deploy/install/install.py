"""`edge-deploy install`: from a machine with Python to a recorder that starts at boot.

It also brings a recorder from one version to the next. Everything is a step that knows whether it
is done, so a second run finds nothing to do and a dry run says what would be done. The service is
restarted last, once the installed program's own `edge check` has accepted it; until then the
previous installation runs, and when a step fails, what came before it is taken back.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.install.bundles import bundle_steps, chosen_bundle, others
from deploy.install.configuration import configuration_step, unused_bundle
from deploy.install.interrupted import accept, way_back
from deploy.install.jetpack import Jetson, jetson_of, refuse_what_cannot_work
from deploy.install.layout import Layout, checkout
from deploy.install.program import Program, old_programs, program_steps
from deploy.install.service import start_steps, unit_steps
from deploy.install.steps import Step, Undo, carry_out, folder, remove
from deploy.install.verdict import faults_of_the_place
from edge.bundle import Bundle
from edge.errors import ConfigError, UserError

__all__ = ["InstallRequest", "install"]

SYSTEM_PYTHON = Path("/usr/bin/python3")
Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class InstallRequest:
    """What to install, from where and below which root.

    Without a `package` it is the checkout that this runs from, or what is installed already;
    without a `bundle`, what is installed already, or the model that ships with the program.
    """

    root: Path = Path("/")
    bundle: Path | None = None
    package: str | None = None
    wheels: Path | None = None
    python: Path = SYSTEM_PYTHON
    dry_run: bool = False


def install(request: InstallRequest, say: Say) -> None:
    """Do what is missing, and say each thing before it is done.

    Raises `UserError` after taking everything back.
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
    steps = _steps(layout, bundle, _program(request, layout, jetson), jetson, missing)
    if not _carry_out(steps, request, say):
        say("nothing has to be done")
    for fault in missing:
        say(f"still missing: {fault}")
    for note in _notes(layout, bundle, jetson):
        say(note)


def _carry_out(steps: list[Step], request: InstallRequest, say: Say) -> int:
    """Return how many steps were to be done; raises `ConfigError` when one of them failed."""
    umask = os.umask(0o022)  # the service reads what root writes here
    try:
        return carry_out(steps, dry_run=request.dry_run, say=say)
    except (UserError, OSError, subprocess.CalledProcessError) as exc:
        raise ConfigError(
            f"install: {_reason(exc)}; all was taken back, and what ran before is in place"
        ) from exc
    finally:
        os.umask(umask)


def _program(request: InstallRequest, layout: Layout, jetson: Jetson | None) -> Program | None:
    """Return what to make the environment of, or None when the installed one stays."""
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
        locks=() if jetson is None else (jetson.cuda_bindings,),
        system_site_packages=jetson is not None,
        wheels=request.wheels,
    )


def _steps(
    layout: Layout,
    bundle: Bundle,
    program: Program | None,
    jetson: Jetson | None,
    missing: list[str],
) -> list[Step]:
    """Return the steps in order; the check adds to `missing` what the place lacks."""
    kept = {layout.program.resolve()}
    if program is not None:
        kept.add(program.place(layout))
    return [
        way_back(layout),
        *_folders(layout),
        *(program_steps(layout, program) if program is not None else ()),
        *bundle_steps(layout, bundle),
        configuration_step(layout),
        *unit_steps(layout, gpu=jetson is not None),
        _check(layout, missing),
        *start_steps(layout),
        _clear(layout, keep=kept),
    ]


def _folders(layout: Layout) -> Iterator[Step]:
    yield folder(layout.settings, 0o755, "the configuration, for people to edit")
    yield folder(
        layout.settings / "credentials",
        0o700,
        "secrets, which systemd hands to the service; only root may look",
    )
    yield folder(
        layout.bundles, 0o755, "root's, so that the recorder cannot change what it judges by"
    )


def _check(layout: Layout, missing: list[str]) -> Step:
    def do() -> Undo:
        missing.extend(faults_of_the_place(layout))
        return accept(layout)

    return Step(
        what="run `edge check` of the installed program",
        why="it decides whether all this stays or is taken back",
        done=lambda: False,
        do=do,
        last=True,
    )


def _clear(layout: Layout, *, keep: set[Path]) -> Step:
    """Remove old environments, which are large.

    The one before this run is kept, too: the service may still be running from it.
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


def _reason(exc: Exception) -> str:
    """Return why a step failed, in one line that names the command or the file."""
    if isinstance(exc, subprocess.CalledProcessError):
        said = str(exc.stderr).strip().splitlines()
        return f"`{' '.join(exc.cmd)}`: {said[-1] if said else f'exit {exc.returncode}'}"
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"{exc.filename}: {exc.strerror}"
    return str(exc)


def _notes(layout: Layout, bundle: Bundle, jetson: Jetson | None) -> Iterator[str]:
    """Yield what a person may want to know afterwards."""
    yield from unused_bundle(layout)
    if jetson is not None and not jetson.tensorrt:
        yield (
            "this Jetson has no TensorRT, so the model runs on the processor; `apt-get install "
            "nvidia-jetpack` brings it"
        )
    older = others(layout, bundle) if layout.current.exists() else []
    if older:
        yield (
            f"in use is {bundle.digest[:12]}; kept in {layout.bundles}: {len(older)} more; to go "
            "back, name one with --bundle"
        )
