"""A member that learns from a teacher: its objective, and how it is watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.bundle import load_bundle
from edge.bundle.places import named_bundle
from edge.errors import UserError
from train.corpus.corpus import Recording
from train.learning.distilling.mixtures import Mixtures
from train.learning.distilling.objective import DistilObjective
from train.learning.distilling.places import AT_ONCE, Places, hear, own_positions, places_of
from train.learning.distilling.sounds import Sounds, load_sounds
from train.learning.distilling.spectra import MelSpectra
from train.learning.distilling.teacher import Teacher
from train.learning.splits import Splits
from train.learning.watching import check_watched
from train.recipe.objectives import DistilSpec
from train.recipe.recipe import Recipe

__all__ = ["Lessons"]

LEAST_SCORE = 1e-12  # whose logarithm is finite
Validation = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What a pupil's training needs: the recipe's teacher, and the recordings of the splits."""

    recipe: Recipe
    labels: tuple[str, ...]
    splits: Splits
    device: torch.device
    workers: int

    def begin(self) -> tuple[DistilObjective, Validation]:
        """Return the objective, and a measure to call after each epoch.

        The teacher hears all recordings once. Raises `UserError` for a teacher that cannot be one.
        """
        spec = self.recipe.objective
        assert isinstance(spec, DistilSpec)
        teacher = Teacher(load_bundle(named_bundle(spec.teacher))).to(self.device)
        spectra = MelSpectra(self.recipe.frontend, rate_hz=teacher.rate_hz).to(self.device)
        window = round(self.recipe.frontend.window_s * teacher.rate_hz)
        recordings = self.splits.train
        sounds = self._sounds(recordings, teacher, window)
        named = (*recordings, *self.splits.validation)
        own = own_positions(teacher, named, self.labels)
        heard = hear(teacher, sounds, own)
        mixtures = Mixtures(
            sounds=sounds,
            places=self._complete(places_of(heard, sounds, recordings, self.labels)),
            spec=spec,
            augment=self.recipe.augment,
            species=len(self.labels),
            window=window,
            heard=teacher.window_samples,
        )
        position = torch.from_numpy(own).to(self.device)
        objective = DistilObjective(mixtures, spectra, teacher, position)
        return objective, self._watch(objective, own, window)

    def _complete(self, places: Mapping[str, Places]) -> Mapping[str, Places]:
        known = set(places["known"].species.tolist()) if "known" in places else set()
        lacking = set(range(len(self.labels))) - known
        if lacking:
            label = self.labels[min(lacking)]
            raise UserError(f"species '{label}': has no window to learn from")
        return places

    def _sounds(self, recordings: Sequence[Recording], teacher: Teacher, window: int) -> Sounds:
        return load_sounds(
            recordings,
            rate_hz=teacher.rate_hz,
            least=window,
            device=self.device,
            workers=self.workers,
        )

    def _watch(self, objective: DistilObjective, own: NDArray[np.int64], window: int) -> Validation:
        """Return top-1 per recording, loss, and AUROC of windows of other species, if any.

        The loss is the cross-entropy of the species. Windows are those in which the teacher hears
        what the recording is labelled with.
        """
        animals = [
            r
            for r in self.splits.validation
            if (r.role == "known" and r.label in self.labels) or r.role == "unknown"
        ]
        heard = any(r.role == "known" for r in animals)
        check_watched(self.recipe, heard=heard)
        if not heard:
            return lambda network: {}
        teacher, spectra = objective.teacher, objective.spectra
        sounds = self._sounds(animals, teacher, window)
        places = places_of(hear(teacher, sounds, own), sounds, animals, self.labels)
        kinds = [places[kind] for kind in ("known", "unknown") if kind in places]
        starts = np.concatenate([place.middles(window, teacher.window_samples) for place in kinds])
        species = np.concatenate([place.species for place in kinds])
        recording = np.concatenate([place.first for place in kinds])
        windows = [
            spectra.levels(spectra(sounds.cut(starts[i : i + AT_ONCE], window))).cpu()
            for i in range(0, len(starts), AT_ONCE)
        ]
        return lambda network: _measures(network, windows, species, recording)


def _measures(
    network: nn.Module,
    windows: Sequence[Tensor],
    species: NDArray[np.int64],
    recording: NDArray[np.int64],
) -> dict[str, float]:
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad():
        logits = torch.cat([network(x.to(device))[1].cpu() for x in windows]).double()
    scores = torch.softmax(torch.cat([logits, torch.zeros(len(logits), 1)], 1), 1)[:, :-1].numpy()
    known = species >= 0
    rows = [(recording == r) & known for r in np.unique(recording[known])]
    right = [scores[row].mean(0).argmax() == species[row][0] for row in rows]
    from sklearn.metrics import roc_auc_score  # imports slowly

    of_species = scores[np.flatnonzero(known), species[known]]
    result = {
        "validation_top1": float(np.mean(right)),
        "validation_loss": float(-np.log(np.maximum(of_species, LEAST_SCORE)).mean()),
    }
    if not known.all():
        result["validation_auroc"] = float(roc_auc_score(known, scores.max(1)))
    return result
