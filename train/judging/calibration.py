"""The open-set calibration of a run: every rejection rule with its threshold, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.animal import AnimalRule
from edge.bundle.arrays import read_arrays
from edge.bundle.digest import canonical_digest, sha256_of
from edge.bundle.heads import Activation, Head, rule_arrays, rule_from_arrays
from edge.errors import UserError
from edge.files import replacing
from train.judging.rules import AT_ACCEPTANCE, NEIGHBOURS, PAPER

__all__ = ["RULE_NAMES", "Calibration"]

# Of the rules that every run has.
RULE_NAMES = (
    *(PAPER, AT_ACCEPTANCE, "gaussian_tail"),
    *(f"knn_{k}" for k in NEIGHBOURS),
    *("max_logit", "energy"),
)
# Names of rules in files from before a rule could be asked for by name.
EARLIER = "paper"
RENAMED = {EARLIER: PAPER, "gaussian_density": AT_ACCEPTANCE}
PLAIN = ("labels", "activation", "acceptance", "chosen", "table")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Every rule with its threshold, and the one that was `chosen`.

    `table` says why: a row per rule with its numbers on validation. `animal` says whether an animal
    stands out; None where there was too little to learn that from.
    """

    labels: tuple[str, ...]
    activation: Activation
    acceptance: float
    chosen: str
    heads: Mapping[str, Head]
    table: Sequence[Mapping[str, Any]]
    animal: AnimalRule | None = None

    @property
    def head(self) -> Head:
        """What goes into the bundle."""
        return self.heads[self.chosen]

    @property
    def digest(self) -> str:
        """sha256 of all that decides in the bundle: the head, and whether an animal stands out."""
        head = self.head
        arrays = {name: sha256_of(a.tobytes()) for name, a in rule_arrays(head.rule).items()}
        plain = [head.activation, head.threshold, head.scale, list(head.label_thresholds)]
        animal = self.animal and self.animal.as_mapping()
        return canonical_digest({"head": plain, "rule": arrays, "animal": animal})

    def save(self, path: Path) -> None:
        """Write one .npz, whole or not at all; raises OSError."""
        heads = {
            name: {
                "threshold": head.threshold,
                "scale": head.scale,
                "label_thresholds": head.label_thresholds,
            }
            for name, head in self.heads.items()
        }
        plain = {name: getattr(self, name) for name in PLAIN}
        plain |= {"heads": heads, "animal": self.animal and self.animal.as_mapping()}
        arrays: dict[str, NDArray[Any]] = {"json": np.array(json.dumps(plain))}
        for i, head in enumerate(self.heads.values()):
            arrays |= rule_arrays(head.rule, f"head.{i}.")
        with replacing(Path(path)) as staged, staged.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @staticmethod
    def load(path: Path) -> Calibration:
        """Read what `save` wrote; raises `UserError`."""
        try:
            arrays = read_arrays(Path(path))
            plain = json.loads(str(arrays["json"]))
            heads = {
                name: Head(
                    activation=plain["activation"],
                    rule=rule_from_arrays(arrays, f"head.{i}."),
                    **{**numbers, "label_thresholds": tuple(numbers.get("label_thresholds", ()))},
                )
                for i, (name, numbers) in enumerate(plain.pop("heads").items())
            }
            if EARLIER in heads:
                heads = {RENAMED.get(name, name): head for name, head in heads.items()}
                plain["chosen"] = RENAMED.get(plain["chosen"], plain["chosen"])
            animal = plain.pop("animal", None)
            rule = None if animal is None else AnimalRule.parse(animal, where="animal")
            labels = tuple(plain.pop("labels"))
            return Calibration(**plain, labels=labels, heads=heads, animal=rule)
        except FileNotFoundError as exc:
            raise UserError(f"{path}: no such file; 'edge-train calibrate' writes it") from exc
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise UserError(f"{path}: cannot be read as a calibration ({exc})") from exc
