"""How likely an event's label is right, by the score of its best window, and what that rests on.

A score orders detections; this turns it into a probability. Each label has a curve, or all share
one: beta calibration (Kull et al. 2017), which never falls where the score rises. The evidence, the
events that the curves were fitted to, stays with them: by it thresholds for a wanted precision are
found, and a site's own events are added. It holds for what the events were like: where fewer of
them are right, it promises too much.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edge.bundle.digest import canonical_digest
from edge.bundle.labels import check_text
from edge.bundle.mapping import from_mapping, keys_of, list_of, refuse_strange_values
from edge.bundle.precision import LeastScores
from edge.bundle.strictjson import NotJsonError, json_object
from edge.errors import SpecError, shown

__all__ = ["MOST_EVENTS", "Basis", "Curve", "Evidence", "ScoreCalibration", "calibration_of"]

LEAST = 2.0**-24  # of a score and of what it lacks to 1: float32 rounds both
STEEPEST = 1000.0
MOST_EVENTS = 50_000
MOST_PRECISIONS = 16


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The probability at a score s in 0..1: sigmoid(low ln s - high ln(1 - s) + offset).

    Neither `low` nor `high` is negative, and one is above 0.
    """

    low: float
    high: float
    offset: float

    def __post_init__(self) -> None:
        slopes = 0 <= self.low <= STEEPEST and 0 <= self.high <= STEEPEST
        if not (slopes and self.low + self.high > 0 and abs(self.offset) <= STEEPEST):
            raise SpecError(
                f"curve {self.low:g}, {self.high:g}, {self.offset:g}: need two slopes from 0 to "
                f"{STEEPEST:g}, one of them above 0, and an offset within these bounds"
            )

    def __call__(self, score: float) -> float:
        """Return the probability in 0..1 at a score."""
        s = min(max(score, LEAST), 1 - LEAST)
        logit = self.low * math.log(s) - self.high * math.log1p(-s) + self.offset
        return 0.5 * (1 + math.tanh(0.5 * logit))


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a calibration was fitted to, in words: `recordings`, and by which `method` they were
    kept from training and from the choice of thresholds. `digest` names them.

    `events` were heard in them, of which the share `right` had the right label: that is the
    prevalence for which the probabilities hold.
    """

    recordings: str
    method: str
    digest: str
    events: int
    right: float

    def __post_init__(self) -> None:
        for text in (self.recordings, self.method, self.digest):
            check_text(text)
        if self.events < 1 or not 0 <= self.right <= 1:
            raise SpecError(
                f"basis: {self.events} events, of which the share {self.right} is right"
            )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Events with their answers, as columns of one length.

    `label` is the position in `labels`, `score` that of the best window, `right` is 1 or 0.
    """

    labels: tuple[str, ...]
    label: tuple[int, ...]
    score: tuple[float, ...]
    right: tuple[int, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.label), len(self.score), len(self.right)}
        if len(lengths) != 1 or len(self.label) > MOST_EVENTS:
            raise SpecError(
                f"evidence: columns of up to {MOST_EVENTS} events must be of one length"
            )
        if not all(0 <= k < len(self.labels) for k in self.label):
            raise SpecError("evidence: has events of labels that it does not name")
        if not all(0 <= score <= 1 for score in self.score) or not set(self.right) <= {0, 1}:
            raise SpecError("evidence: a score is in 0..1, and right is 0 or 1")

    def rows(self) -> Iterable[tuple[str, float, bool]]:
        """Yield label, score and whether the label is right, of each event."""
        for k, score, right in zip(self.label, self.score, self.right, strict=True):
            yield self.labels[k], score, bool(right)


@dataclass(frozen=True, kw_only=True)
class ScoreCalibration:
    """The curves of a bundle's labels, what they were fitted to, and least scores for precisions.

    `own` are the curves of labels with enough events; `shared` is that of all others, None where
    they have no probability. `precisions` are by the precision, as text: `0.9`.
    """

    shared: Curve | None
    own: Mapping[str, Curve]
    basis: tuple[Basis, ...]
    evidence: Evidence
    precisions: Mapping[str, LeastScores] = dataclasses.field(default_factory=dict)

    def probability(self, label: str, score: float) -> float | None:
        """Return how likely an event of `label` is right whose best window has this score."""
        curve = self.own.get(label, self.shared)
        return None if curve is None else curve(score)

    @cached_property
    def digest(self) -> str:
        """Names curves and evidence, whatever thresholds were found with them."""
        return canonical_digest({k: v for k, v in self.as_mapping().items() if k != "precisions"})

    def as_mapping(self) -> dict[str, Any]:
        """Return plain JSON types; `calibration_of` is the inverse."""
        plain: dict[str, Any] = dataclasses.asdict(self)
        plain["own"] = {name: dataclasses.asdict(curve) for name, curve in self.own.items()}
        return {**plain, "basis": list(plain["basis"]), "precisions": _plain(self.precisions)}

    def content(self) -> bytes:
        """Return it as the content of its file."""
        return (json.dumps(self.as_mapping(), sort_keys=True) + "\n").encode()


def _plain(precisions: Mapping[str, LeastScores]) -> dict[str, Any]:
    return {name: scores.as_mapping() for name, scores in precisions.items()}


def calibration_of(file: Path, content: bytes, labels: Iterable[str]) -> ScoreCalibration:
    """Return what the `content` of `file` says, of a bundle with these labels.

    Raises `SpecError`, which begins with the file.
    """
    where = str(file)
    try:
        plain = json_object(content, file)
    except NotJsonError as exc:
        raise SpecError(exc.fault.reason) from exc
    try:
        refuse_strange_values(plain)
    except SpecError as exc:
        raise SpecError(f"{where}: {exc}") from exc
    shared = plain.get("shared")
    own = keys_of(plain.get("own", {}), where=f"{where}: own")
    basis = list_of(plain.get("basis", ()), where=f"{where}: basis", most=MOST_EVENTS)
    precisions = keys_of(plain.get("precisions", {}), where=f"{where}: precisions")
    list_of(list(precisions), where=f"{where}: precisions", most=MOST_PRECISIONS)
    values = {
        **plain,
        "shared": None if shared is None else from_mapping(Curve, shared, where=where),
        "own": {k: from_mapping(Curve, v, where=f"{where}: {shown(k)}") for k, v in own.items()},
        "basis": tuple(from_mapping(Basis, part, where=f"{where}: basis") for part in basis),
        "evidence": _evidence(plain.get("evidence", {}), where=f"{where}: evidence"),
        "precisions": {
            name: LeastScores.parse(scores, where=f"{where}: precisions: {shown(name)}")
            for name, scores in precisions.items()
        },
    }
    calibration: ScoreCalibration = from_mapping(ScoreCalibration, values, where=where)
    named = {*own, *calibration.evidence.labels}
    named.update(*(scores.named for scores in calibration.precisions.values()))
    strange = sorted(named - set(labels))
    if strange:
        raise SpecError(f"{where}: {shown(strange[0])} is no label of the bundle")
    return calibration


def _evidence(value: object, *, where: str) -> Evidence:
    columns = dict(keys_of(value, where=where))
    for name in ("labels", "label", "score", "right"):
        column = list_of(columns.get(name), where=f"{where}: {name}", most=MOST_EVENTS)
        columns[name] = tuple(column)
    evidence: Evidence = from_mapping(Evidence, columns, where=where)
    return evidence
