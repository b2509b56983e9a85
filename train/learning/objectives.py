"""Which objective a recipe names."""

from __future__ import annotations

import torch

from train.learning.cross_entropy import CrossEntropyObjective
from train.learning.focal import FocalObjective
from train.learning.kmeans import KMeansObjective
from train.learning.objective import Objective
from train.learning.triplets import SemihardObjective, TripletObjective
from train.recipe.objectives import (
    CrossEntropySpec,
    DistilSpec,
    FocalSpec,
    KMeansSpec,
    ObjectiveSpec,
    SemihardSpec,
    TripletSpec,
)
from train.windows.batches import Batches

__all__ = ["build_objective"]


def build_objective(spec: ObjectiveSpec, batches: Batches, device: torch.device) -> Objective:
    """Return the objective that a recipe names."""
    match spec:
        case DistilSpec():
            raise AssertionError("it has no batches: train.learning.distilling.lessons")
        case TripletSpec():
            return TripletObjective(spec, batches, device)
        case SemihardSpec():
            return SemihardObjective(spec, batches, device)
        case FocalSpec():
            pseudo_digest = batches.windows.pseudo_digest
            return FocalObjective(spec, batches, device, pseudo_digest=pseudo_digest)
        case KMeansSpec():
            return KMeansObjective(spec, batches, device)
        case CrossEntropySpec():
            return CrossEntropyObjective(spec, batches, device)
