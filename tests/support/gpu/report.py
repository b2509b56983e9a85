"""The document of `make gpu`: Markdown tables."""

from __future__ import annotations

import importlib
import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from tests.support.gpu.inference import TOLERANCES, Row, Subject
from tests.support.gpu.marked import TestRow
from tests.support.gpu.timing import Ceilings
from tests.support.gpu.training import TrainingRow

__all__ = [
    "ceilings_section",
    "machine_section",
    "network_section",
    "networks_preface",
    "tests_section",
    "training_section",
]

MODULES = ("torch", "onnx", "onnxruntime", "tensorrt", "tensorrt_rtx", "cuda.bindings", "numpy")
HOW = """\
Inputs are random and different from run to run. Times are medians after a warm-up. *With copies* is
from features in the host's memory to answers there, by the host's clock. *On the device* is by the
device's own clock, with both on it. *Of the limit* is the least time that the network's layers
need, each by itself, at the arithmetic and the bandwidth measured above, as a share of the time on
the device (with copies where that is all that is known); behind it stands which of the two sets it.
An engine that fuses layers may pass 100 %. *Difference* is that to the same network in float64 on
the CPU, relative to the norm of its answers; allowed are {allowed}.
TF32 is off where it is not named. Weights are random: speed does not depend on them."""


def machine_section(device: torch.device) -> str:
    """Describe the machine and what is installed on it."""
    facts = [("processor", _processor())]
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        capability = f"compute capability {properties.major}.{properties.minor}"
        facts.append(("GPU", f"{properties.name}, {memory}, {capability}"))
        facts.append(("CUDA of PyTorch", str(torch.version.cuda)))
    else:
        facts.append(("GPU", "none is used: these are figures of the CPU"))
    facts += [(name, _version(name)) for name in MODULES]
    return "## Machine\n\n" + _table(("what", "which"), facts)


def _processor() -> str:
    """Return the processor's name and how many threads of it there are."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    named = re.search(r"model name\s*: (.*)", text)
    return f"{named[1] if named else platform.machine()}, {os.cpu_count()} threads"


def _version(module: str) -> str:
    try:
        found = importlib.import_module(module)
    except (ImportError, OSError) as exc:
        return "not installed" if isinstance(exc, ModuleNotFoundError) else f"not usable: {exc}"
    return str(getattr(found, "__version__", "of no stated version"))


def ceilings_section(ceilings: Ceilings) -> str:
    """Describe what the device was seen to do at most."""
    rows = [
        (f"product of large matrices, {name}", f"{rate / 1e9:.0f} GFLOP/s")
        for name, rate in ceilings.flops.items()
    ]
    rows.append(("copy, bytes read plus written", f"{ceilings.bytes_per_s / 1e9:.0f} GB/s"))
    return "## Ceilings measured in this run\n\n" + _table(("what", "measured"), rows)


def network_section(subject: Subject, rows: Iterable[Row], ceilings: Ceilings) -> str:
    """Describe how fast a network runs."""
    work = subject.work
    shape = " x ".join(map(str, subject.recipe.frontend.shape))
    head = ("how", "precision", "batch", "with copies", "windows/s", "on the device", "windows/s")
    more = ("of the limit", "difference")
    text = _table((*head, *more), (_cells(row, subject, ceilings) for row in rows))
    return (
        f"### {subject.title}\n\nFeatures {shape}; {work.flops / 1e6:.0f} MFLOP and "
        f"{work.window_bytes / 1e6:.1f} MB through its layers a window, "
        f"{work.batch_bytes / 1e6:.1f} MB of weights a batch.\n\n{text}"
    )


def _cells(row: Row, subject: Subject, ceilings: Ceilings) -> Sequence[str]:
    if row.note:
        return (row.way, row.precision, str(row.batch or "all"), row.note, *["–"] * 5)
    return (
        row.way,
        row.precision,
        str(row.batch),
        *_time_and_rate(row.host_s, row.batch),
        *_time_and_rate(row.device_s, row.batch),
        _of_the_limit(row, subject, ceilings),
        "–"
        if row.difference is None
        else f"{row.difference:.1e}{' WRONG' if row.is_wrong else ''}",
    )


def _of_the_limit(row: Row, subject: Subject, ceilings: Ceilings) -> str:
    time_s = row.device_s or row.host_s
    if time_s is None or "CPU" in row.way:
        return "–"
    floor_s, name = subject.work.floor_s(row.batch, ceilings, row.precision)
    return f"{floor_s / time_s:.0%} ({name})"


def _time_and_rate(time_s: float | None, batch: int) -> tuple[str, str]:
    return ("–", "–") if time_s is None else (f"{1000 * time_s:.3f} ms", f"{batch / time_s:.0f}")


def networks_preface() -> str:
    """Say how the tables of networks were made."""
    allowed = ", ".join(f"{tolerance:g} in {name}" for name, tolerance in TOLERANCES.items())
    return f"## Networks\n\n{HOW.format(allowed=allowed)}"


def training_section(rows: Iterable[TrainingRow]) -> str:
    """Describe how fast the trainer trains."""
    head = ("recipe, full size", "precision", "batch", "windows/s", "a step", "of the arithmetic")
    cells = [
        (
            row.title,
            row.precision,
            row.batch,
            row.note or f"{row.windows_per_s:.0f}",
            f"{1000 * row.step_s:.0f} ms",
            f"{row.share:.1%}",
            f"{row.first_loss:.3f}",
            f"{row.last_loss:.3f}{' WRONG' if row.is_wrong else ''}",
        )
        for row in rows
    ]
    return (
        "## Training\n\nSteps of the trainer itself, on windows drawn beforehand: forward, loss, "
        "backward, clipping,\noptimiser. S1 embeds a mini-batch, mines its triplets and presents "
        "them in parts, each an update;\nwindows presented are counted.\n\n"
        + _table((*head, "first loss", "last loss"), cells)
    )


def tests_section(rows: Sequence[TestRow]) -> str:
    """Describe what came of the tests marked `gpu`."""
    counted = Counter(row.outcome for row in rows)
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counted.items())) or "none"
    ran = [row for row in rows if row.outcome != "not run"]
    cells = [(row.name, row.outcome, f"{row.seconds:.1f} s", row.reason) for row in ran]
    not_run = Counter(row.reason for row in rows if row.outcome == "not run")
    cells += [(f"{count} tests", "not run", "–", reason) for reason, count in not_run.items()]
    return f"## Tests marked gpu\n\n{said}.\n\n" + _table(("test", "outcome", "time", "why"), cells)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_lines(head, rows))


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"
