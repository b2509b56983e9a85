"""The objective of a pupil: the species of mixed sound, and what its teacher says of the same."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from train.learning.accuracy import top1_of_logits
from train.learning.distilling.mixtures import Mixtures, disguised
from train.learning.distilling.spectra import MelSpectra
from train.learning.distilling.teacher import Teacher
from train.learning.losses import cross_entropy_with_other
from train.learning.objective import Stateless, Update
from train.networks.local import LocalCnn

__all__ = ["DistilObjective"]

FRAME_S = 0.25  # what the teacher hears begins with a frame of the network
HEARD_SHARE = 0.2  # of a window, from which on a species is said to be in it
LEAST = 1e-6


class DistilObjective(Stateless):
    """Cross-entropy of the species, and the teacher's embedding and scores of 3 s of the window.

    `own` (K,) are the positions of the species among the teacher's labels, -1 of one it lacks.
    """

    def __init__(
        self, mixtures: Mixtures, spectra: MelSpectra, teacher: Teacher, own: Tensor
    ) -> None:
        self.mixtures, self.spectra, self.teacher, self.own = mixtures, spectra, teacher, own
        self.spec = mixtures.spec
        self.batch = self.spec.batch

    def iterate(
        self, network: nn.Module, update: Update, rng: np.random.Generator
    ) -> dict[str, float]:
        assert isinstance(network, LocalCnn)
        drawn = self.mixtures.draw(rng, self.batch)
        first, count = self._heard_frames(rng)
        begin = round(first * FRAME_S * self.teacher.rate_hz)
        lesson = self.teacher(drawn.sound[:, begin : begin + self.teacher.window_samples])
        features = self._features(drawn.sound, rng)
        with torch.autocast("cuda", torch.bfloat16, enabled=features.is_cuda):
            frames = network.window_frames(network.local_frames(features))
            _, logits = network.of_window(network.pooled(frames))
            heard = network.pooled(frames[:, :, first : first + count])
            said = network.teacher_embedding(heard), network.teacher_scores(heard)
            by_frame = network.by_frame(frames.transpose(1, 2))
        by_frame = by_frame.float()
        losses = {
            "species": cross_entropy_with_other(logits.float(), drawn.shares),
            **_lessons((said[0].float(), said[1].float()), lesson),
            "frames": _in_window(by_frame, drawn.shares)
            + self._in_lesson(by_frame[:, first : first + count], lesson[1]),
        }
        loss = losses["species"] + sum(
            getattr(self.spec, f"{name}_weight") * losses[name]
            for name in ("embedding", "scores", "frames")
        )
        update(loss)
        numbers = {"loss": loss, **losses}
        top1 = top1_of_logits(logits, drawn.shares[:, :-1])
        return {**{name: float(value.detach()) for name, value in numbers.items()}, **top1}

    def _heard_frames(self, rng: np.random.Generator) -> tuple[int, int]:
        """Return the first of the frames that lie in what the teacher hears, and how many."""
        longest = (self.mixtures.window - self.teacher.window_samples) / self.teacher.rate_hz
        first = int(rng.integers(0, int(longest / FRAME_S) + 1))
        return first, int(self.teacher.window_samples / self.teacher.rate_hz / FRAME_S) - 3

    def _features(self, sound: Tensor, rng: np.random.Generator) -> Tensor:
        level = self.spectra.level
        features = self.spectra.levels(self.spectra(sound))
        db = level.ceiling_db - level.floor_db
        return disguised(features, rng, augment=self.mixtures.augment, db=db)

    def _in_lesson(self, by_frame: Tensor, scores: Tensor) -> Tensor:
        """Return the cross-entropy of the frames' soft maximum to the teacher's own scores."""
        has = self.own >= 0
        target = torch.sigmoid(scores[:, self.own[has]])
        return _binary(_soft_maximum(by_frame)[:, has], target).sum(1).mean()


def _lessons(said: tuple[Tensor, Tensor], lesson: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Return how far the pupil is from its teacher, in embedding and in scores."""
    target = torch.sigmoid(lesson[1])
    scores = functional.binary_cross_entropy_with_logits(said[1], target, reduction="none")
    return {
        "embedding": (1 - functional.cosine_similarity(said[0], lesson[0], dim=1)).mean(),
        "scores": scores.sum(1).mean(),
    }


def _in_window(by_frame: Tensor, shares: Tensor) -> Tensor:
    """Return the cross-entropy of the frames' soft maximum to the species of the window."""
    target = (shares[:, :-1] >= HEARD_SHARE).float()
    return _binary(_soft_maximum(by_frame), target).sum(1).mean()


def _soft_maximum(by_frame: Tensor) -> Tensor:
    """Return the score of a window (B, K) of the logits of its frames (B, T, K).

    Each frame weighs as much as it scores: linear softmax pooling (Wang et al. 2019, A comparison
    of five multiple instance learning pooling functions).
    """
    scores = torch.sigmoid(by_frame)
    return scores.square().sum(1) / scores.sum(1).clamp_min(LEAST)


def _binary(scores: Tensor, target: Tensor) -> Tensor:
    scores = scores.clamp(LEAST, 1 - LEAST)
    return -(target * scores.log() + (1 - target) * (1 - scores).log())
