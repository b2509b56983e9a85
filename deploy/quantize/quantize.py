"""A bundle's network at other precisions, measured here, on windows training never heard, before
any recorder sees them.

The threshold of each variant is set anew on validation windows, to accept as many of them as the
fp32 network does; its accuracy stands beside fp32's, on the same windows of the evaluation split,
in the manifest and in the model card.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from deploy.quantize.accuracy import Accuracy, Outputs, judge, losses, novelty_of, rethreshold
from deploy.quantize.card import with_precisions
from deploy.quantize.graphs import body, load_onnx, name_nodes, run_as_recorded, run_to_the_letter
from edge.bundle import FP32, Bundle, Frontend, Head, NewVariant, Variant, write_bundle
from edge.bundle.windows import Windows
from edge.errors import UserError

if TYPE_CHECKING:
    import onnx

__all__ = ["KINDS", "MOST_LOST", "Kind", "kinds_for", "quantize"]

MOST_LOST = 0.005  # of macro F1 or of an AUROC: half a point
WHOLE_AND_HALF_OPSET = 19  # the first whose QuantizeLinear takes fp16
Array = NDArray[np.float32]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A sort of variant: its name in the bundle, its precision, and the backend it is made for."""

    name: str
    precision: str
    runs_on: Literal["onnx", "tensorrt"]
    note: str


KINDS = (
    Kind(name="fp16", precision="fp16", runs_on="tensorrt", note=("convolutions and what lies "
                                                                 "between them in fp16")),
    Kind(
        name="int8", precision="int8", runs_on="tensorrt",
        note=("convolutions in int8, weights per channel, symmetric; ranges from {windows} windows "
             "of recordings trained on"),
    ),
    Kind(
        name="int8-cpu", precision="int8", runs_on="onnx",
        note="convolutions with unsigned 8-bit activations and 7-bit weights per channel, which no "
             "processor's kernels overflow; "
        "ranges from {windows} windows of recordings trained on",
    ),
    Kind(
        name="int8+fp16", precision="int8+fp16", runs_on="tensorrt",
        note="as int8, and what lies between the convolutions in fp16",
    ),
)  # fmt: skip


def kinds_for(precision: str, backend: str | None = None) -> list[Kind]:
    """The variants of a precision, or the one for a backend; `UserError` when there is none."""
    kinds = [
        kind for kind in KINDS if kind.precision == precision and backend in (None, kind.runs_on)
    ]
    if not kinds:
        raise UserError(
            f"{precision} is not for {backend}: ONNX Runtime's CPU would compute its fp16 in fp32; "
            "use int8 there"
        )
    return kinds


@dataclass(frozen=True, kw_only=True)
class _Graph:
    """A converted network: the file to ship, and how it answers here to features (n, C, F, T)."""

    model: bytes
    answer: Callable[[Array], Outputs]
    spread: float | None = None  # how far two right engines are known to differ


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What one network says of the golden window and of every set of windows."""

    golden: Outputs
    calibration: Outputs
    validation: Outputs
    test: Outputs


def quantize(
    bundle: Bundle, windows: Windows, kinds: Sequence[Kind], *, allow_loss: bool = False, say: Say
) -> Bundle:
    """Add (or replace) variants in the bundle's directory, all of them or none.

    Raises `UserError` when one loses more than `MOST_LOST` and that is not allowed, or when the
    network cannot be had at that precision. `say` is given a line of progress at a time.
    """
    say(f"{FP32}: {len(windows.test.features)} windows of the evaluation split")
    before = _answers(bundle, windows, _as_recorded(bundle))
    accuracy = judge(windows.test, before.test, bundle.head)
    _refuse_other_windows(bundle, accuracy)
    made = {kind.name: _make(bundle, windows, kind, before, accuracy, say) for kind in kinds}
    lost = [line for name, (_, after) in made.items() for line in _too_much(name, accuracy, after)]
    if lost and not allow_loss:
        raise UserError(
            f"refused: {'; '.join(lost)}; more than {100 * MOST_LOST:g} points are lost, "
            "--allow-loss takes it anyway"
        )
    return _rewrite(bundle, {name: new for name, (new, _) in made.items()})


def _as_recorded(bundle: Bundle) -> Callable[[Array], Outputs]:
    """The network as it was trained, as a recorder's engine runs it."""
    model = bundle.model_path.read_bytes()
    return lambda features: run_as_recorded(model, features, bundle.manifest.extra_outputs)


def _answers(bundle: Bundle, windows: Windows, answer: Callable[[Array], Outputs]) -> _Answers:
    golden = Frontend(bundle.frontend)(bundle.golden.samples)[np.newaxis]
    return _Answers(
        golden=answer(golden),
        calibration=answer(windows.calibration),
        validation=answer(windows.validation.features),
        test=answer(windows.test.features),
    )


def _refuse_other_windows(bundle: Bundle, accuracy: Accuracy) -> None:
    claimed = bundle.manifest.metrics.get("macro_f1_per_recording")
    if claimed is not None and abs(claimed - accuracy.macro_f1) > MOST_LOST:
        raise UserError(
            f"{bundle.path}: macro F1 per recording is {accuracy.macro_f1:.4f} on these windows, "
            f"{claimed:.4f} in manifest.json; "
            "write the windows from the very run that made this bundle"
        )


def _make(
    bundle: Bundle, windows: Windows, kind: Kind, before: _Answers, accuracy: Accuracy, say: Say
) -> tuple[NewVariant, Accuracy]:
    say(f"{kind.name}: converting and measuring")
    graph = _convert(bundle, windows, kind)
    answers = _answers(bundle, windows, graph.answer)
    head, acceptance = _head(bundle.head, windows, before, answers)
    after = judge(windows.test, answers.test, head)
    cosine = np.sum(before.test.embedding * answers.test.embedding, axis=1, dtype=np.float64)
    variant = Variant(
        precision=kind.precision,
        runs_on=(kind.runs_on,),
        threshold=head.threshold,
        scale=head.scale,
        note=kind.note.format(windows=len(windows.calibration)),
        metrics={
            "split": "test",
            "windows": len(windows.test.features),
            **after.as_mapping(),
            "embedding_cosine": {
                "mean": round(float(cosine.mean()), 6),
                "least": round(float(cosine.min()), 6),
            },
            "same_label": round(
                float(np.mean(before.test.logits.argmax(1) == answers.test.logits.argmax(1))), 4
            ),
            "validation_acceptance": acceptance,
            FP32: accuracy.as_mapping(),
        },
    )
    tolerance = _tolerance(kind, graph, before, answers)
    golden = answers.golden
    new = NewVariant(
        variant=variant,
        model=graph.model,
        embedding=golden.embedding[0],
        logits=golden.logits[0],
        tolerance=tolerance,
        extra_outputs={name: answer[0] for name, answer in golden.extra_outputs.items()},
    )
    return new, after


def _head(
    head: Head, windows: Windows, before: _Answers, after: _Answers
) -> tuple[Head, dict[str, float]]:
    """The head with a threshold under which as many known validation windows pass as before, and
    what the old one would do.
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
        "with fp32's threshold": round(float(np.mean(new <= head.threshold)), 4),
        "with its own": round(float(np.mean(new <= threshold)), 4),
    }
    return dataclasses.replace(head, threshold=threshold, scale=scale), acceptance


def _tolerance(kind: Kind, graph: _Graph, before: _Answers, after: _Answers) -> float:
    """How far another machine's answer to the golden window may be from ours.

    Where two right engines could be compared here, four times the furthest they were apart on any
    window to calibrate with: a kernel that overflows is further off by an order of magnitude. Where
    none is here, TensorRT's, twice the furthest that the rounding itself moved an answer, four
    times for fp16, whose sums may be fp16 there too. Never tighter than fp32's own.
    """
    if graph.spread is not None:
        return max(1e-3, 4 * graph.spread)
    moved = max(
        _distance(before.calibration, after.calibration), _distance(before.golden, after.golden)
    )
    return max(1e-3, (4 if kind.precision == "fp16" else 2) * moved)


def _distance(one: Outputs, other: Outputs) -> float:
    """The largest difference in any number of the answers."""
    return max(float(np.abs(a - b).max()) for a, b in zip(one.every, other.every, strict=True))


def _convert(bundle: Bundle, windows: Windows, kind: Kind) -> _Graph:
    """The bundle's network as `kind`."""
    model = load_onnx(bundle.model_path.read_bytes())
    from deploy.quantize.integers import quantised  # these need the package onnx

    inside, extra_outputs = body(model), bundle.manifest.extra_outputs
    if kind.precision == "fp16":
        return _half(model, inside, extra_outputs, kind)
    if kind.precision == "int8+fp16":
        model = _at_opset(model, WHOLE_AND_HALF_OPSET)
        return _half(
            quantised(model, inside, windows.calibration, runs_on="tensorrt"),
            inside,
            extra_outputs,
            kind,
        )
    whole = _serialised(quantised(model, inside, windows.calibration, runs_on=kind.runs_on))
    if kind.runs_on == "tensorrt":
        return _Graph(
            model=whole,
            answer=lambda features: run_to_the_letter(whole, features, extra_outputs)[0],
        )
    few = windows.calibration[:128]
    spread = _distance(
        run_as_recorded(whole, few, extra_outputs), run_to_the_letter(whole, few, extra_outputs)[0]
    )
    return _Graph(
        model=whole,
        answer=lambda features: run_as_recorded(whole, features, extra_outputs),
        spread=spread,
    )


def _half(
    model: onnx.ModelProto, inside: Sequence[str], extra_outputs: Sequence[str], kind: Kind
) -> _Graph:
    from deploy.quantize.half import LARGEST, halved, peaks_of, rounded

    probe, peaks = peaks_of(rounded(model, inside))
    simulated = probe.SerializeToString()

    def answer(features: Array) -> Outputs:
        outputs, magnitudes = run_to_the_letter(simulated, features, extra_outputs, also=peaks)
        name, worst = max(
            magnitudes.items(),
            key=lambda item: (not np.isfinite(item[1]), item[1]),
            default=("", 0.0),
        )
        # a recorder will hear louder windows than these; and a nan fails too
        if not worst <= LARGEST / 2:
            raise UserError(
                f"{kind.name}: numbers in the network reach {worst:.3g} (at "
                f"{name.removesuffix('_fp16_peak')}), too near to fp16's "
                f"largest, {LARGEST:g}; use int8 instead"
            )
        return outputs

    if not peaks:
        raise UserError("the network has no convolution, and nothing that fp16 would make faster")
    return _Graph(model=_serialised(halved(model, inside)), answer=answer)


def _at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    from onnx import version_converter

    present = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return (
        model if present >= opset else name_nodes(version_converter.convert_version(model, opset))
    )


def _serialised(model: onnx.ModelProto) -> bytes:
    import onnx

    # that every operator takes the types it is given
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _too_much(name: str, before: Accuracy, after: Accuracy) -> list[str]:
    return [
        f"{name}: {what} {was:.4f} -> {now:.4f}"
        for what, (was, now) in losses(before, after).items()
        if not was - now <= MOST_LOST  # so that a nan is refused too
    ]


def _rewrite(bundle: Bundle, new: dict[str, NewVariant]) -> Bundle:
    """The same bundle with its old variants, those that are `new`, and all of them in the card."""
    variants = {
        name: _kept(bundle, name) for name in bundle.manifest.variants if name not in new
    } | new
    variants = dict(sorted(variants.items()))
    sizes = {
        FP32: bundle.model_path.stat().st_size,
        **{name: len(variant.model) for name, variant in variants.items()},
    }
    card = (bundle.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    return write_bundle(
        bundle.path,
        bundle.manifest,
        model=bundle.model_path.read_bytes(),
        rule=bundle.head.rule,
        golden=bundle.golden,
        card=with_precisions(
            card, {name: variant.variant for name, variant in variants.items()}, sizes
        ),
        variants=variants,
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
