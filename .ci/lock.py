"""Choose a version of everything that pyproject.toml asks for, with its hashes: `make lock`.

For CPython 3.10 and newer on any machine, in config/lock/: base.txt is what a recorder needs, a
file named as an extra what that adds. PyTorch stands by itself: torch.txt is the one with CUDA,
torch-cpu.txt the one without, as this machine's package index has it.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path("config/lock")
NOT_LOCKED = ("tensorrt",)  # of the board, which brings it itself: JetPack
BUILD = ("setuptools>=77", "wheel")  # what packages without wheels are built with
CUDA = (12, 13)  # for a Jetson: deploy/install/jetpack.py
OF_CUDA = r"(torch|triton|nvidia-.+|cuda-.+)$"  # what PyTorch with CUDA consists of
# uv looks at no upper bound of a Requires-Python: this one's 1.3 is for Python 3.10 alone.
CAPPED = ("backports-strenum<1.3",)
HEAD = "# Made by `make lock`, not by hand.\n"


def main() -> None:
    """Do it; see above."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    (torch,) = [pin.partition("==")[2] for pin in extras["train"] if pin.startswith("torch==")]
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch), [extra for extra in extras if extra not in NOT_LOCKED], torch)


def write(scratch: Path, extras: list[str], torch: str) -> None:
    """Write every file of the lock."""
    every = [argument for extra in extras for argument in ("--extra", extra)]
    capped = scratch / "capped.txt"
    capped.write_text("\n".join(CAPPED), encoding="utf-8")
    together = chosen(["pyproject.toml", *every, "--constraint", str(capped)])
    agreed = scratch / "agreed.txt"  # so that the files fit together
    agreed.write_text("".join(together.values()), encoding="utf-8")
    constraint = ["--constraint", str(agreed)]

    build = chosen(["-", *constraint], *BUILD)
    base = chosen(["pyproject.toml", *constraint])
    put("build", build)
    put("base", base)
    with_cuda = {name: lines for name, lines in together.items() if re.match(OF_CUDA, name)}
    put("torch", with_cuda)
    for extra in extras:
        more = chosen(["pyproject.toml", "--extra", extra, *constraint])
        put(extra, more, less={**base, **build, **with_cuda})
    for major in CUDA:
        bindings = chosen(["-"], f"cuda-bindings>={major},<{major + 1}")
        put(f"cuda{major}", bindings, less=base)
    without_cuda(scratch, torch)


def chosen(arguments: list[str], *requirements: str) -> dict[str, str]:
    """Return what uv chooses: the lines of each package, by its name."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--upgrade"]
    command += ["--python-version", "3.10", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--no-emit-index-url", "--no-emit-find-links", *arguments]
    asked = "\n".join(requirements)
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"lock: {done.stderr.strip()}")
    found: dict[str, str] = {}
    for entry in re.findall(r"^[a-z0-9].*(?:\n[ ].*)*\n?", done.stdout, re.MULTILINE):
        name = re.match(r"[a-z0-9._-]+", entry)
        assert name, entry
        # One name stands there several times where Pythons need different versions.
        found[name[0]] = found.get(name[0], "") + entry
    return found


def put(name: str, entries: Mapping[str, str], *, less: Mapping[str, str] | None = None) -> None:
    """Write a file, without what stands in others for the very same Pythons."""
    there = less or {}
    kept = {package: lines for package, lines in entries.items() if there.get(package) != lines}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.txt").write_text(HEAD + "".join(kept.values()), encoding="utf-8")
    print(f"lock: {name}.txt: {len(kept)} packages", file=sys.stderr)


def without_cuda(scratch: Path, torch: str) -> None:
    """Note PyTorch without CUDA where it is to be had; hashes of the same version stay."""
    file, wanted = FOLDER / "torch-cpu.txt", f"torch=={torch}+cpu"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", wanted]
    subprocess.run([*command, "--dest", str(scratch)], capture_output=True, check=False)
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    hashes = set(re.findall(r"sha256:\w+", before)) if f"{wanted} " in before else set()
    for wheel in scratch.glob("torch-*.whl"):
        hashes.add(f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    lines = " \\\n".join([wanted, *(f"    --hash={value}" for value in sorted(hashes))])
    file.write_text(f"{HEAD}{lines}\n" if hashes else HEAD, encoding="utf-8")
    print(f"lock: torch-cpu.txt: {len(hashes)} files", file=sys.stderr)


if __name__ == "__main__":
    main()
