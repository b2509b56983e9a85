"""A bundle's network at other precisions, each measured here before any recorder runs it.

The threshold of each variant is set anew on validation windows, to accept as many of them as the
fp32 network does. Its accuracy on the evaluation split, which training did not use, stands beside
fp32's on the same windows, in the manifest and in the model card.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.quantize.accuracy import Accuracy, Outputs, judge, losses, novelty_of, rethreshold
from deploy.quantize.card import WITH_FP32S_THRESHOLD, WITH_ITS_OWN, with_precisions
from deploy.quantize.convert import Converted, Kind, convert, distance
from deploy.quantize.graphs import run_as_recorded
from edge.bundle import FP32, Bundle, Head, NewVariant, Stored, Variant, write_bundle
from edge.bundle.windows import Windows
from edge.errors import UserError

__all__ = ["MOST_LOST", "quantize"]

MOST_LOST = 0.005  # of macro F1 or of an AUROC: half a point
Array = NDArray[np.float32]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What one network answers to the golden window and to every set of windows."""

    golden: Outputs
    calibration: Outputs
    validation: Outputs
    test: Outputs


@dataclass(frozen=True, kw_only=True)
class _Before:
    """The fp32 network: its answers, and its accuracy on the evaluation split."""

    answers: _Answers
    accuracy: Accuracy


def quantize(
    bundle: Bundle, windows: Windows, kinds: Sequence[Kind], *, allow_loss: bool = False, say: Say
) -> Bundle:
    """Add (or replace) variants in the bundle's directory, all of them or none.

    Raises `UserError` when one loses more than `MOST_LOST` and that is not allowed, or when the
    network cannot be converted to that precision. `say` is given progress, a line at a time.
    """
    if bundle.trunk is not None:
        raise UserError(f"{bundle.path}: is a head, whose network is that of {bundle.trunk.path}")
    say(f"{FP32}: {len(windows.test.features)} windows of the evaluation split")
    answers = _answers(bundle, windows, _as_recorded(bundle))
    before = _Before(answers=answers, accuracy=judge(windows.test, answers.test, bundle.head))
    _refuse_other_windows(bundle, before.accuracy)
    made: dict[str, NewVariant] = {}
    lost: list[str] = []
    for kind in kinds:
        say(f"{kind.name}: converting and measuring")
        made[kind.name], after = _make(bundle, windows, kind, before)
        lost += _too_much(kind.name, before.accuracy, after)
    if lost and not allow_loss:
        raise UserError(
            f"refused: {'; '.join(lost)}; more than {100 * MOST_LOST:g} points are lost, "
            "--allow-loss takes it anyway"
        )
    return _rewrite(bundle, made)


def _as_recorded(bundle: Bundle) -> Callable[[Array], Outputs]:
    """Return the network as it was trained, as a recorder's engine runs it."""
    model = bundle.model_path.read_bytes()
    return lambda features: run_as_recorded(model, features, bundle.manifest.extra_outputs)


def _answers(bundle: Bundle, windows: Windows, answer: Callable[[Array], Outputs]) -> _Answers:
    golden = bundle.new_frontend()(bundle.golden.samples)[np.newaxis]
    return _Answers(
        golden=answer(golden),
        calibration=answer(windows.calibration),
        validation=answer(windows.validation.features),
        test=answer(windows.test.features),
    )


def _refuse_other_windows(bundle: Bundle, accuracy: Accuracy) -> None:
    claimed = bundle.manifest.metrics.get("macro_f1_per_recording")
    if isinstance(claimed, int | float) and abs(claimed - accuracy.macro_f1) > MOST_LOST:
        raise UserError(
            f"{bundle.path}: macro F1 per recording is {accuracy.macro_f1:.4f} on these windows, "
            f"{claimed:.4f} in manifest.json; write the windows from the very run that made this "
            "bundle"
        )


def _make(
    bundle: Bundle, windows: Windows, kind: Kind, before: _Before
) -> tuple[NewVariant, Accuracy]:
    """Return the variant and its accuracy, measured with a threshold of its own."""
    converted = convert(
        bundle.model_path.read_bytes(), kind, windows.calibration, bundle.manifest.extra_outputs
    )
    answers = _answers(bundle, windows, converted.answer)
    head, acceptance = _head(bundle.head, windows, before.answers, answers)
    accuracy = judge(windows.test, answers.test, head)
    variant = Variant(
        precision=kind.precision,
        runs_on=(kind.runs_on,),
        threshold=head.threshold,
        scale=head.scale,
        note=kind.note.format(windows=len(windows.calibration)),
        metrics={
            "split": "test",
            "windows": len(windows.test.features),
            **accuracy.as_mapping(),
            **_likeness(before.answers.test, answers.test),
            "validation_acceptance": acceptance,
            FP32: before.accuracy.as_mapping(),
        },
    )
    golden = answers.golden
    new = NewVariant(
        variant=variant,
        model=converted.model,
        embedding=golden.embedding[0],
        logits=golden.logits[0],
        tolerance=_tolerance(kind, converted, before.answers, answers),
        extra_outputs={name: answer[0] for name, answer in golden.extra_outputs.items()},
    )
    return new, accuracy


def _likeness(before: Outputs, after: Outputs) -> dict[str, Any]:
    """Return how much the answers are those of fp32, for the manifest."""
    inner = np.sum(before.embedding * after.embedding, axis=1, dtype=np.float64)
    # Most embeddings are of unit length, but not all (S2).
    lengths = [np.linalg.norm(of.embedding.astype(np.float64), axis=1) for of in (before, after)]
    cosine = inner / np.maximum(lengths[0] * lengths[1], 1e-12)
    same_label = before.logits.argmax(1) == after.logits.argmax(1)
    return {
        "embedding_cosine": {
            "mean": round(float(cosine.mean()), 6),
            "least": round(float(cosine.min()), 6),
        },
        "same_label": round(float(np.mean(same_label)), 4),
    }


def _head(
    head: Head, windows: Windows, before: _Answers, after: _Answers
) -> tuple[Head, dict[str, float]]:
    """Return the head with a threshold that accepts as many known validation windows as before.

    Also returns, for the manifest, which shares of them are accepted with which threshold.
    """
    known = windows.validation.known
    old, new = (novelty_of(head, answers.validation)[known] for answers in (before, after))
    accepted = int(np.sum(old <= head.threshold))
    if not accepted:
        raise UserError(
            "the fp32 network accepts none of the known validation windows: its threshold cannot "
            "be carried over"
        )
    threshold, scale = rethreshold(new, accepted)
    acceptance = {
        FP32: round(accepted / len(old), 4),
        WITH_FP32S_THRESHOLD: round(float(np.mean(new <= head.threshold)), 4),
        WITH_ITS_OWN: round(float(np.mean(new <= threshold)), 4),
    }
    return dataclasses.replace(head, threshold=threshold, scale=scale), acceptance


def _tolerance(kind: Kind, converted: Converted, before: _Answers, after: _Answers) -> float:
    """Return how far another machine's answer to the golden window may be from the one here.

    Where two correct engines could be compared here, it is four times the furthest that they were
    apart on any window for calibration; a kernel that overflows is off by ten times more. TensorRT
    is not here to compare: for it, the tolerance is twice the furthest that the rounding itself
    moved an answer, and four times for fp16, whose sums may be fp16 there, too. It is never tighter
    than fp32's own.
    """
    if converted.spread is not None:
        return max(1e-3, 4 * converted.spread)
    moved = max(
        distance(before.calibration, after.calibration), distance(before.golden, after.golden)
    )
    return max(1e-3, (4 if kind.precision == "fp16" else 2) * moved)


def _too_much(name: str, before: Accuracy, after: Accuracy) -> list[str]:
    """Return a line for each number that got worse by more than `MOST_LOST`."""
    return [
        f"{name}: {what} {was:.4f} -> {now:.4f}"
        for what, (was, now) in losses(before, after).items()
        if not was - now <= MOST_LOST  # so that a NaN is refused, too
    ]


def _rewrite(bundle: Bundle, new: dict[str, NewVariant]) -> Bundle:
    """Write the bundle with its old variants, the `new` ones, and all of them in the model card."""
    kept = {name: _kept(bundle, name) for name in bundle.manifest.variants if name not in new}
    variants = dict(sorted((kept | new).items()))
    sizes = {
        FP32: bundle.model_path.stat().st_size,
        **{name: len(variant.model) for name, variant in variants.items()},
    }
    described = {name: variant.variant for name, variant in variants.items()}
    card = (bundle.path / "MODEL_CARD.md").read_text(encoding="utf-8", errors="replace")
    try:
        card = with_precisions(card, described, sizes)
    except (KeyError, TypeError, AttributeError, ValueError) as exc:  # a stranger's manifest
        raise UserError(
            f"{bundle.path}: the metrics of its variants are not those that this command writes",
            suggestion="export the bundle again, without variants",
        ) from exc
    return write_bundle(
        bundle.path,
        bundle.manifest,
        model=bundle.model_path.read_bytes(),
        rule=bundle.head.rule,
        golden=bundle.golden,
        card=card,
        variants=variants,
        stored=Stored(
            bands=bundle.bands, occurrence=bundle.occurrence, calibration=bundle.calibration
        ),
    )


def _kept(bundle: Bundle, name: str) -> NewVariant:
    network = bundle.networks[name]
    golden = network.golden
    return NewVariant(
        variant=bundle.manifest.variants[name],
        model=network.path.read_bytes(),
        embedding=golden.embedding,
        logits=golden.logits,
        tolerance=golden.tolerance,
        extra_outputs=golden.extra_outputs,
    )
