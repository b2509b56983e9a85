"""A bundle as a teacher: what it says of many windows at once, where training runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.bundle import Bundle
from train.learning.distilling.graph import GraphModule
from train.learning.distilling.spectra import RealSpectra

__all__ = ["Teacher"]


class Teacher(nn.Module):
    """Embedding (B, D) and logits (B, N) of windows (B, n) at the bundle's own rate.

    Raises `UserError` for a bundle whose frontend or layers PyTorch does not have here.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.rate_hz = bundle.frontend.sample_rate_hz
        self.window_samples = bundle.frontend.window_samples
        self.labels = bundle.labels
        self.spectra = RealSpectra(bundle.frontend, bundle.bands)
        self.graph = GraphModule(bundle.path / "model.onnx")
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, sound: Tensor) -> tuple[Tensor, Tensor]:
        features = self.spectra(sound).contiguous(memory_format=torch.channels_last)
        # In half precision a GPU takes a third of the time.
        with torch.autocast("cuda", torch.float16, enabled=sound.is_cuda):
            answers = self.graph(features.half() if sound.is_cuda else features)
        return answers["embedding"].float(), answers["logits"].float()
