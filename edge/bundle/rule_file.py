"""`head.npz`: the rule of rejection as a stranger may have written it, checked before it judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.rules import Blend, Rule, rule_arrays, rule_from_arrays
from edge.errors import SpecError, shown

__all__ = ["checked_rule"]

# Beyond any distance, logit or weight, and far enough from where float32 overflows.
LARGEST = 1e9
SMALLEST_SIGMA = 1e-9


def checked_rule(arrays: Mapping[str, NDArray[Any]], *, labels: int, dimensions: int) -> Rule:
    """Return the rule in `arrays`, which judges K `labels` and embeddings of D `dimensions`.

    Raises `SpecError`, which names the array that is missing, too much, or of the wrong type, shape
    or value.
    """
    for name, array in arrays.items():
        wanted = "a word" if name.rpartition(".")[2] == "kind" else "numbers"
        found = "a word" if array.dtype.kind == "U" and not array.ndim else "numbers"
        if found != wanted or (wanted == "numbers" and array.dtype.kind == "U"):
            raise SpecError(f"array {shown(name)} is not {wanted}")
    rule = rule_from_arrays(arrays)
    strange = sorted(arrays.keys() - rule_arrays(rule).keys())
    if strange:
        raise SpecError(f"array {shown(strange[0])} belongs to no rule")
    sizes = {"K": labels, "D": dimensions}
    for prefix, part in _parts(rule):
        for name, shape in part.shapes.items():
            _check(f"{prefix}{name}", np.asarray(getattr(part, name)), shape, _sized(part, sizes))
    return rule


def _parts(rule: Rule) -> list[tuple[str, Rule]]:
    """Return the rule and the rules it is blended of, each with the prefix of its arrays."""
    members = rule.rules if isinstance(rule, Blend) else ()
    return [("", rule), *((f"rules.{i}.", member) for i, member in enumerate(members))]


def _sized(rule: Rule, sizes: Mapping[str, int]) -> dict[str, int]:
    return {**sizes, "R": len(rule.rules)} if isinstance(rule, Blend) else dict(sizes)


def _check(
    name: str, array: NDArray[Any], shape: tuple[str, ...], sizes: Mapping[str, int]
) -> None:
    """Raise `SpecError` unless `array` has the shape, of which N is whatever there is."""
    fits = len(shape) == array.ndim and all(
        size == sizes.get(letter, size) and size > 0
        for letter, size in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(sizes.get(letter, letter)) for letter in shape)
        raise SpecError(f"array '{name}' has shape {array.shape}, not ({wanted})")
    if name.endswith("index") and not array < sizes["D"]:
        raise SpecError(f"array '{name}' is {array}, beyond the {sizes['D']} values there are")
    if not shape and not (array.dtype.kind in "iu" and array >= 1):
        raise SpecError(f"array '{name}' is {array}, not a whole number above 0")
    if not (np.abs(array) <= LARGEST).all():  # so that NaN is refused, too
        raise SpecError(f"array '{name}' has values that are not finite, or above {LARGEST:g}")
    if name.endswith("sigma") and not (array >= SMALLEST_SIGMA).all():
        raise SpecError(f"array '{name}' has values below {SMALLEST_SIGMA:g}")
