"""The networks of a bundle at other precisions, and its margin over a list."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.bundle.labels import check_text
from edge.bundle.mapping import from_mapping, keys_of, list_of
from edge.errors import SpecError, shown

__all__ = ["BACKENDS", "FP32", "PRECISIONS", "ListMargin", "Variant", "variant_name"]

FP32 = "fp32"  # the network as it was trained; every bundle has it
PRECISIONS = ("int8", "int8+fp16", "fp16")  # of variants, fastest first
BACKENDS: tuple[str, ...] = ("onnx", "tensorrt")
LONGEST_VARIANT = 40  # characters
LONGEST_NOTE = 2_000


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The same network at another precision.

    `runs_on` names the backends it was made for (`onnx`, `tensorrt`). Its scores differ a little,
    and so it has a `threshold` and `scale` of its own. `metrics` are those of the evaluation split,
    `note` is for people: what was quantised, and how.
    """

    precision: str
    runs_on: tuple[str, ...]
    threshold: float
    scale: float
    metrics: dict[str, Any]
    note: str = ""

    def __post_init__(self) -> None:
        check_text(self.note, LONGEST_NOTE)
        if self.precision not in PRECISIONS:
            raise SpecError(
                f"precision must be one of {', '.join(PRECISIONS)}, not {shown(self.precision)}"
            )
        if not self.runs_on or not set(self.runs_on) <= set(BACKENDS):
            raise SpecError(
                f"runs_on must name some of {', '.join(BACKENDS)}, not "
                f"{', '.join(map(str, self.runs_on))}"
            )

    @staticmethod
    def parse(mapping: Mapping[str, Any], *, where: str) -> Variant:
        """Build from JSON types; raises `SpecError`, which names the key."""
        values = dict(keys_of(mapping, where=where))
        runs_on = list_of(values.get("runs_on", ()), where=f"{where}: runs_on", most=len(BACKENDS))
        variant: Variant = from_mapping(Variant, {**values, "runs_on": tuple(runs_on)}, where=where)
        return variant

    def as_mapping(self) -> dict[str, Any]:
        """Return plain JSON types; `parse` is the inverse."""
        return {**dataclasses.asdict(self), "runs_on": list(self.runs_on)}


def variant_name(name: str, where: str) -> str:
    """Return what can be the name of a variant; raises `SpecError` for what cannot."""
    # The name becomes a part of file names.
    is_one = re.fullmatch(r"[a-z0-9]+([+-][a-z0-9]+)*", name) and len(name) <= LONGEST_VARIANT
    if not is_one or name == FP32:
        raise SpecError(f"{where}: {shown(name)} cannot be the name of a variant")
    return name


@dataclass(frozen=True, kw_only=True)
class ListMargin:
    """How far an animal that is not on a list may outdo those on it: in logits, the best of the
    others minus the best of the list is at most `threshold` where the list is believed.

    `scale` is the spread of this difference where an animal of the list is heard.
    """

    threshold: float
    scale: float

    def __post_init__(self) -> None:
        if not (0 <= self.threshold < math.inf and 0 < self.scale < math.inf):
            raise SpecError(
                f"threshold {self.threshold} and scale {self.scale}: need finite numbers, of which "
                "the first is at least 0 and the other above it"
            )
