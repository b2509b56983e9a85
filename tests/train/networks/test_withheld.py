"""A withheld species: its probability becomes that of 'none of these', the others keep theirs."""

from __future__ import annotations

import torch

from train.networks.withheld import Withheld


class _Fixed(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x[:, :2], x


def with_other(logits: torch.Tensor) -> torch.Tensor:
    return torch.softmax(torch.cat([logits, torch.zeros(len(logits), 1)], dim=1), dim=1)


def test_probabilities_of_kept_species_do_not_change() -> None:
    logits = torch.tensor([[2.0, 3.0, -1.0, 0.5], [-4.0, 9.0, -2.0, -3.0]])
    before = with_other(logits)
    embedding, kept = Withheld(_Fixed(), kept=[0, 2], withheld=[1, 3])(logits)
    after = with_other(kept)
    assert torch.allclose(after[:, :2], before[:, [0, 2]], atol=1e-6)
    assert torch.allclose(after[:, 2], before[:, [1, 3, 4]].sum(1), atol=1e-6)
    assert torch.equal(embedding, logits[:, :2])


def test_a_window_of_a_withheld_species_is_none_of_these() -> None:
    _, kept = Withheld(_Fixed(), kept=[0, 2], withheld=[1, 3])(
        torch.tensor([[-4.0, 9.0, -2.0, -3.0]])
    )
    assert (kept < -10).all()
