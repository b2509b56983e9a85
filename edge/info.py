"""What a bundle is, in lines for people: `edge info`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.bundle import Bundle
from edge.bundle.manifest import SCORE_THRESHOLD

__all__ = ["describe"]


def describe(b: Bundle) -> Iterator[str]:
    """Name, digest, front end, head, outputs, variants, training, metrics and labels of a verified
    bundle.
    """
    spec, m = b.frontend, b.manifest
    channels = ", ".join(f"{c.component} ({c.level.kind})" for c in spec.channels)
    yield f"{m.name}  {b.path}"
    yield f"digest     {b.digest}"
    yield (
        f"frontend   {spec.window_s:g} s at {spec.sample_rate_hz} Hz, {spec.n_mels} bands of "
        f"{channels}"
    )
    yield f"head       {m.activation}, rejects by {b.head.rule.kind} above {m.threshold:.4g}"
    yield f"window     {_carries(b)}"
    yield f"outputs    {', '.join(_outputs(b))}"
    for name, variant in m.variants.items():
        size_kb, runs_on = (
            b.networks[name].path.stat().st_size / 1000,
            " and ".join(variant.runs_on),
        )
        yield (
            f"variant    {name}: {variant.precision} for {runs_on}, {size_kb:.0f} kB, rejects "
            f"above {variant.threshold:.4g}"
        )
    yield f"trained    on data {m.training_data[:16]}, by code {m.code[:16]}"
    for name, value in _flat(m.metrics):
        yield f"metric     {name}: {value}"
    yield f"labels     {len(b.labels)}"
    for label in b.labels:
        scientific = f" ({label.scientific_name})" if label.scientific_name else ""
        own = m.label_thresholds.get(label.label)
        yield f"  {label.label}: {label.common_name}{scientific}" + (
            f", from a score of {own:g}" if own is not None else ""
        )


def _carries(b: Bundle) -> str:
    if b.label_thresholds is None:
        return "carries one label, or is unknown"
    return f"carries every label from a score of {SCORE_THRESHOLD:g}" + (
        ", but for those that name their own" if b.manifest.label_thresholds else ""
    )


def _outputs(b: Bundle) -> Iterator[str]:
    """Of the network to one window; how many frames an older bundle has is not written down."""
    golden, threshold = b.golden, b.manifest.frame_threshold
    yield f"embedding {len(golden.embedding)}"
    yield f"logits {len(golden.logits)}"
    if threshold is not None:
        frames = golden.extra_outputs.get("frames")
        yield (
            "frames" if frames is None else f"frames {len(frames)}"
        ) + f" (heard from a score of {threshold:g})"
    if b.manifest.attention:
        bands, parts = golden.extra_outputs["attention"].shape
        yield f"attention {bands} bands x {parts} parts"


def _flat(metrics: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested metrics as dotted names, sorted."""
    for name, value in sorted(metrics.items()):
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
