"""Focal loss of windows and of their time steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge.errors import ConfigError
from tests.train.numbered import (
    Make,
    others,
    pseudo_of,
    recording,
    segmentation,
    stretch,
)
from train.learning.focal import FocalObjective
from train.learning.losses import binary_focal, focal_of_steps
from train.recipe.augmentation import AugmentSpec
from train.recipe.objectives import FocalSpec
from train.windows.batches import Batches


def test_the_loss_of_steps_is_that_of_windows_without_what_is_unsure() -> None:
    logits = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    targets = (torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(1)) > 0.7).float()
    assert float(focal_of_steps(logits, targets, 2)) == pytest.approx(
        float(binary_focal(logits.flatten(0, 1), targets.flatten(0, 1), 2))
    )
    targets[1:] = torch.nan
    logits.requires_grad_()
    focal_of_steps(logits, targets, 2).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0].abs().min() > 0
    assert not logits.grad[1:].any(), "what is unsure moves nothing"
    nothing = focal_of_steps(logits, torch.full_like(targets, torch.nan), 2)
    assert float(nothing.detach()) == 0


def test_the_loss_is_in_equal_parts_of_windows_and_of_steps(make: Make, tmp_path: Path) -> None:
    recordings = [recording("a1", 4), *others()]
    pseudo = pseudo_of(tmp_path, {r: [stretch(r.label, 0, 3, "present")] for r in recordings})
    batches, losses = Batches(make(recordings, pseudo=pseudo), AugmentSpec()), {}
    for weight in (1e-9, 0.5, 1.0):
        spec = FocalSpec(batch=2, frame_weight=weight)
        objective = FocalObjective(
            spec, batches, torch.device("cpu"), pseudo_digest=batches.windows.pseudo_digest
        )
        losses[weight] = objective.iterate(
            segmentation().train(), torch.autograd.backward, np.random.default_rng(3)
        )
    assert losses[1.0]["loss"] == pytest.approx(losses[1.0]["loss_of_steps"])
    assert losses[0.5]["loss"] == pytest.approx(
        (losses[1e-9]["loss"] + losses[1.0]["loss"]) / 2, rel=1e-4
    )
    first = objective.state()
    pseudo.write(recordings[0], [])
    changed = FocalObjective(
        spec,
        batches,
        torch.device("cpu"),
        pseudo_digest=make(recordings, pseudo=pseudo).pseudo_digest,
    )
    with pytest.raises(
        ConfigError, match="the pseudo labels were changed after this training began"
    ):
        changed.restore(first)
    objective.restore(first)
