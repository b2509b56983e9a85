"""The systems side by side, as Markdown: what each costs and what it is worth here.

`published_sizes` says how large each is at its own size.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from edge.bundle import Bundle, Frontend, FrontendSpec, load_bundle
from edge.errors import UserError
from edge.files import write_whole
from train.commands.plan import Plan
from train.commands.systems import SystemResult, read_results, run_folder
from train.corpus.summary import markdown_table
from train.export.export import golden_samples, to_onnx
from train.export.size import machine, multiply_adds, onnx_ms, parameters
from train.learning.members import member_network
from train.networks.spherical import SphericalKMeans
from train.recipe.load import load_recipe
from train.recipe.recipe import Recipe

__all__ = ["not_above_chance", "published_sizes", "write_table"]

INT8 = "int8-cpu"
HEADER = (
    "system",
    "runs",
    "parameters",
    "multiply-adds",
    "ms a window",
    "8 bits",
    "training",
    "macro F1",
    "mAP",
    "AUROC",
    "bundle",
)
SIZES_HEADER = ("recipe", "input", "parameters", "multiply-adds", "ms a window", "network")
PACKAGES = ("torch", "onnxruntime", "timm")


def write_table(plan: Plan, out: Path, *, runs: int) -> str:
    """Measure the time of every bundle in `out`, and write out/systems.md, which is returned.

    Raises `UserError` when no system is finished.
    """
    results = read_results(plan, out)
    if not results:
        raise UserError(
            f"{out}: has no finished run of a system of {plan.file}; run 'edge-train systems' first"
        )
    lines = [
        _line(system, list(of_system), out, runs=runs)
        for system, of_system in groupby(results, lambda result: result.system)
    ]
    text = f"{markdown_table(HEADER, lines)}\n\n{_legend(plan, results, runs)}\n"
    write_whole(out / "systems.md", text)
    return text


def not_above_chance(results: Sequence[SystemResult]) -> list[str]:
    """Return a line for each run whose macro F1 is not clearly above that of guessing.

    Guessing gives 1 / number of species, and the interval has to be above it.
    """
    return [
        f"{result.system}, seed {result.seed}: macro F1 {_estimate([result.macro_f1])} is not "
        f"clearly above chance, {1 / result.species:.3f}"
        for result in results
        if (result.macro_f1["low"] or 0) <= 1 / result.species
    ]


def published_sizes(recipes: Sequence[Path], *, species: int, runs: int) -> str:
    """Return a table of what the recipes cost on this machine at their own size.

    Weights are random.
    """
    lines = [
        _size_of(load_recipe(file, from_scratch=True), species=species, runs=runs)
        for file in recipes
    ]
    return markdown_table(SIZES_HEADER, lines)


def _size_of(recipe: Recipe, *, species: int, runs: int) -> list[str]:
    torch.manual_seed(0)
    network, spec = member_network(recipe, [str(i) for i in range(species)]), recipe.frontend
    if isinstance(network, SphericalKMeans):
        network.start(torch.rand(50, *spec.shape), np.random.default_rng(0))
    model = to_onnx(network, spec)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        ms = _network_ms(spec, Path(file.name), runs)
    return [
        f"`{recipe.name}`",
        " × ".join(map(str, spec.shape)),
        _millions(parameters(network)),
        _millions(multiply_adds(network, spec.shape)),
        f"{ms:.0f}",
        f"{len(model) / 1e6:.1f} MB",
    ]


def _line(system: str, results: Sequence[SystemResult], out: Path, *, runs: int) -> list[str]:
    first = results[0]
    bundle = load_bundle(run_folder(out, first.recipe, first.seed) / "bundle")
    ms = _network_ms(bundle.frontend, bundle.model_path, runs)
    return [
        f"{system} [`{first.recipe}`]" + (f" ({first.note})" if first.note else ""),
        str(len(results)),
        _millions(first.parameters),
        _millions(first.multiply_adds),
        f"{ms:.1f}",
        _eight_bits(bundle, ms, runs),
        f"{statistics.mean(result.train_s for result in results) / 60:.1f} min",
        _estimate([result.macro_f1 for result in results]),
        _estimate([result.map for result in results]),
        _estimate([result.auroc for result in results]),
        f"{_size(bundle) / 1e6:.2f} MB",
    ]


def _eight_bits(bundle: Bundle, ms: float, runs: int) -> str:
    """Return how many times as fast the 8-bit network is; a dash where there is none."""
    if INT8 not in bundle.manifest.variants:
        return "–"
    return f"{ms / _network_ms(bundle.frontend, bundle.networks[INT8].path, runs):.2f} ×"


def _network_ms(spec: FrontendSpec, path: Path, runs: int) -> float:
    return onnx_ms(path, Frontend(spec)(golden_samples(spec))[np.newaxis], runs=runs)


def _estimate(estimates: Sequence[dict[str, float | None]]) -> str:
    """Return the mean over runs, and in brackets the lowest and highest end of their intervals."""
    values = _known(estimates, "value")
    if not values:
        return "–"
    low = min(_known(estimates, "low"))
    high = max(_known(estimates, "high"))
    return f"{statistics.mean(values):.2f} ({low:.2f}–{high:.2f})"


def _known(estimates: Sequence[dict[str, float | None]], key: str) -> list[float]:
    return [value for estimate in estimates if (value := estimate[key]) is not None]


def _size(bundle: Bundle) -> int:
    """Return the bytes of the bundle as exported, without the networks at other precisions."""
    others = {str(name) for name in bundle.manifest.variants}
    return sum(
        file.stat().st_size
        for file in bundle.path.iterdir()
        if not others & set(file.name.split("."))
    )


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count < 100e6 else f"{count / 1e6:,.0f} M"


def _legend(plan: Plan, results: Sequence[SystemResult], runs: int) -> str:
    """Return what the numbers are, and what they were measured on."""
    part, seeds = plan.corpus, len({result.seed for result in results})
    species = results[0].species
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{species} species, at most {part.recordings} recordings each, {part.test_share:.0%} of "
        f"them for the test, by recordist; {seeds} run(s) of each system that differ in their "
        "seed, from scratch, one thread each. Macro F1 and mAP per recording and AUROC of known "
        "against unknown species per window: means over runs, in brackets the lowest and the "
        "highest end of their 95 % bootstrap intervals over recordings. Guessing gives a macro F1 "
        f"of {1 / species:.3f}. Training is CPU time of the network alone; ms a window is CPU time "
        f"of one core in ONNX Runtime at fp32, median of {runs} × 10 windows; 8 bits: how many "
        "times as fast the 8-bit variant is (– where it loses more than half a point). Measured on "
        f"{machine()}, {packages}."
    )
