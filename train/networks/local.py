"""The default's network: frames that depend on what is near them alone, and a window of frames.

Convolutions take no padding in time, so that a frame of 0.25 s is the same in every window that it
lies in, and what was computed for one window serves the next (`edge.bundle.local`). What a window
holds is then read from its frames: their mean and their maximum, after one more look at neighbours.
Frequency is padded, kept to the end, and collapsed by a learned convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.bundle.local import LocalFrames

__all__ = ["LocalCnn"]

# Channels, expansion, kernel in frequency and time, stride in frequency and time. A kernel of 1 in
# time keeps what a frame depends on short.
BLOCKS = (
    (64, 1, (3, 3), (2, 2)),
    (64, 4, (3, 1), (1, 1)),
    (96, 4, (3, 3), (2, 2)),
    (96, 4, (3, 3), (1, 1)),
    (96, 4, (3, 1), (1, 1)),
    (160, 4, (3, 3), (2, 2)),
    (160, 4, (3, 1), (1, 1)),
    (160, 4, (3, 1), (1, 1)),
)
STEM = 32
# A frame hears 0.77 s around its middle, so that the first of a window of 5 s lies in the second of
# 20 equal parts, and the last in the 18th.
BEFORE, AFTER = 1, 2
SPAN, HOP = 49, 16  # in frames of the features: what a frame depends on, and to the next
RARE = -6.0  # the logit that a teacher's label begins with: hardly any is heard


def _norm(conv: nn.Conv2d, *, active: bool = True) -> nn.Sequential:
    parts: list[nn.Module] = [conv, nn.BatchNorm2d(conv.out_channels)]
    return nn.Sequential(*parts, nn.ReLU(inplace=True)) if active else nn.Sequential(*parts)


class _Block(nn.Module):
    """An inverted residual (Sandler et al. 2018); with expansion 1 a plain convolution."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        expansion: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, 0)
        self.cut = kernel[1] // 2
        self.adds = inputs == outputs and stride == (1, 1)
        if expansion == 1:
            plain = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
            self.path: nn.Module = _norm(plain)
            return
        wide = expansion * inputs
        across = nn.Conv2d(wide, wide, kernel, stride, padding, groups=wide, bias=False)
        self.path = nn.Sequential(
            _norm(nn.Conv2d(inputs, wide, 1, bias=False)),
            _norm(across),
            _norm(nn.Conv2d(wide, outputs, 1, bias=False), active=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.path(x)
        if not self.adds:
            return y
        return y + (x[..., self.cut : -self.cut] if self.cut else x)


class LocalCnn(nn.Module):
    """(B, channels, n_mels, T) -> embedding (B, D) of unit length, logits (B, K).

    `teacher_embedding` and `teacher_labels` are the sizes of what it is to say of its teacher's
    embedding and scores, by layers that serve in training alone.
    """

    extra_outputs = ("frames",)
    sharing = LocalFrames(span=SPAN, hop=HOP)

    def __init__(
        self,
        channels: int,
        n_mels: int,
        classes: int,
        *,
        width: int = 384,
        embedding: int = 256,
        dropout: float = 0.2,
        teacher_embedding: int = 1024,
        teacher_labels: int = 6522,
    ) -> None:
        super().__init__()
        self.band_norm = nn.BatchNorm1d(channels * n_mels)
        parts: list[nn.Module] = [
            _norm(nn.Conv2d(channels, STEM, 5, 2, (2, 0), bias=False)),
        ]
        inputs = STEM
        for outputs, expansion, kernel, stride in BLOCKS:
            parts.append(_Block(inputs, outputs, expansion=expansion, kernel=kernel, stride=stride))
            inputs = outputs
        bands = n_mels // 16
        parts.append(_norm(nn.Conv2d(inputs, width, (bands, 1), bias=False)))
        self.local = nn.Sequential(*parts)
        self.near = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1, groups=width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, width, 1, bias=False),
            nn.BatchNorm1d(width),
        )
        self.dropout = nn.Dropout(dropout)
        self.embed = nn.Linear(2 * width, embedding)
        self.directions = nn.Linear(embedding, classes)
        self.scale = nn.Parameter(torch.tensor(12.0))
        self.by_frame = nn.Linear(width, classes)
        self.teacher_embedding = nn.Linear(2 * width, teacher_embedding)
        self.teacher_scores = nn.Linear(2 * width, teacher_labels)
        nn.init.constant_(self.teacher_scores.bias, RARE)

    def forget_teacher(self) -> None:
        """Drop the layers that serve in training alone."""
        del self.teacher_embedding, self.teacher_scores

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.with_extra_outputs(x)[:2]

    def with_extra_outputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return embedding, logits, and the logits (B, T', K) of equal parts of the window."""
        return self.of_local_frames(self.local_frames(x))

    def of_local_frames(self, local: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same of frames (B, width, T') that are known."""
        frames = self.window_frames(local)
        embedding, logits = self.of_window(self.pooled(frames))
        parts = functional.pad(frames, (BEFORE, AFTER), mode="replicate")
        return embedding, logits, self.by_frame(parts.transpose(1, 2))

    def local_frames(self, x: Tensor) -> Tensor:
        """Return frames (B, width, T') that depend on what is near them alone."""
        normed = self.band_norm(x.flatten(1, 2)).unflatten(1, (-1, x.shape[2]))
        frames: Tensor = self.local(normed).squeeze(2)
        return frames

    def window_frames(self, frames: Tensor) -> Tensor:
        """Return the same frames after a look at their neighbours in the window."""
        seen: Tensor = functional.relu(frames + self.near(frames))
        return seen

    def pooled(self, frames: Tensor) -> Tensor:
        """Return mean and maximum over frames (B, 2 * width)."""
        pooled: Tensor = self.dropout(torch.cat([frames.mean(2), frames.amax(2)], dim=1))
        return pooled

    def of_window(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return embedding and logits."""
        embedding: Tensor = functional.normalize(self.embed(pooled), dim=1)
        directions = functional.normalize(self.directions.weight, dim=1)
        return embedding, self.scale * embedding @ directions.T + self.directions.bias
