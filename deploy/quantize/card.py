"""The section of a model card on the precisions that the bundle carries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.quantize.accuracy import ALL, NOISES, UNKNOWNS
from edge.bundle import FP32, Variant
from edge.bundle.windows import KNOWN

__all__ = ["WITH_FP32S_THRESHOLD", "WITH_ITS_OWN", "with_precisions"]

TITLE = "## Precisions"
NEXT = "## Recordings"  # the last section, many lines long: this one goes before it
HEADER = (
    "network",
    "for",
    "kB",
    "macro F1 / recording",
    "top-1 / recording",
    f"AUROC {UNKNOWNS}",
    f"AUROC {NOISES}",
    f"AUROC {ALL}",
    "known windows accepted",
    "unknown species accepted",
    "cosine of embeddings to fp32's: mean (least)",
)
BACKENDS = {"onnx": "CPU", "tensorrt": "TensorRT"}
# Keys of a variant's `validation_acceptance` in the manifest.
WITH_FP32S_THRESHOLD = "with fp32's threshold"
WITH_ITS_OWN = "with its own"


def with_precisions(card: str, variants: Mapping[str, Variant], sizes: Mapping[str, int]) -> str:
    """Return the card with a table of fp32 and of the variants; `sizes` of the graphs in bytes."""
    without = re.sub(rf"{TITLE}\n.*?(?=^## |\Z)", "", card, flags=re.DOTALL | re.MULTILINE)
    section = _section(variants, sizes)
    before, found, after = without.partition(f"{NEXT}\n")
    return f"{before.rstrip()}\n\n{section}\n" + (f"\n{found}{after}" if found else "")


def _section(variants: Mapping[str, Variant], sizes: Mapping[str, int]) -> str:
    first = next(iter(variants.values())).metrics
    rows = [_row(FP32, "any", sizes[FP32], first[FP32])]
    for name, variant in variants.items():
        rows.append(
            _row(
                name, ", ".join(BACKENDS[b] for b in variant.runs_on), sizes[name], variant.metrics
            )
        )
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    notes = "\n".join(f"- `{name}`: {note}." for name, note in _notes(variants))
    return (
        f"{TITLE}\n\n"
        f"The same network in coarser numbers, on the same {first['windows']} windows of the split "
        f"'{first['split']}'. The threshold of each was set to accept as many known validation "
        "windows as fp32's. Those for TensorRT were measured on a CPU that reckoned with their "
        f"numbers, not on a board.\n\n{table}\n\n{notes}"
    )


def _row(name: str, backend: str, size: int, metrics: Mapping[str, Any]) -> list[str]:
    cosine = metrics.get("embedding_cosine")
    return [
        f"`{name}`",
        backend,
        f"{size / 1000:.0f}",
        *(_cell(metrics.get(key)) for key in ("macro_f1_per_recording", "top1_per_recording")),
        *(_cell(metrics["auroc"].get(key)) for key in (UNKNOWNS, NOISES, ALL)),
        *(_cell(metrics["accepted"].get(key)) for key in (KNOWN, UNKNOWNS)),
        f"{cosine['mean']:.4f} ({cosine['least']:.4f})" if cosine else "1",
    ]


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _notes(variants: Mapping[str, Variant]) -> Iterator[tuple[str, str]]:
    """Yield the name of each variant, and what people should know about it."""
    for name, variant in variants.items():
        acceptance = variant.metrics["validation_acceptance"]
        yield (
            name,
            f"{variant.note}; with fp32's threshold {acceptance[WITH_FP32S_THRESHOLD]:.1%} of the "
            f"known validation windows would pass, with its own {acceptance[WITH_ITS_OWN]:.1%}; "
            f"the likeliest label is fp32's in {variant.metrics['same_label']:.1%} of the windows",
        )
