"""The segmentation network on audio of any length: one pass, in which all time steps attend.

Shugayev et al. 2021, sections 2.3 and 3: trained on 5 s, it hears whole recordings, and says of
each row of 5 s what its own time steps pool to.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge.bundle import Frontend, FrontendSpec
from edge.errors import ConfigError
from train.corpus.corpus import Corpus
from train.learning.run import TrainedRun
from train.networks.ensemble import NetworkEnsemble
from train.networks.segmentation import SCALE, Segmentation
from train.windows.audio import loop_to, read_audio
from train.windows.cache import MAX_S
from train.windows.outputs import WindowOutputs

__all__ = ["frame_logits", "in_whole_recordings"]

Array = NDArray[np.float32]


@torch.no_grad()
def frame_logits(network: nn.Module, features: Array) -> Array:
    """Return logits (T', K) of the time steps of a recording's features (C, F, T).

    Members of an ensemble are averaged as logits. The whole recording is one input, so that its
    level is one, and all time steps attend to each other, as in the paper.
    """
    members = list(network.members) if isinstance(network, NetworkEnsemble) else [network]
    x = torch.from_numpy(features)[None].to(next(network.parameters()).device)
    parts = [_segmentation(member).eval().frame_logits(x)[0] for member in members]
    logits: Array = torch.stack(parts).mean(dim=0).cpu().numpy()
    return logits


def in_whole_recordings(run: TrainedRun, corpus: Corpus, windows: WindowOutputs) -> WindowOutputs:
    """Return the windows with the logits that they have where their whole recording is heard.

    Raises `ConfigError` for a run of another network.
    """
    if not isinstance(_first(run.network), Segmentation):
        raise ConfigError(
            f"{run.folder}: network {run.recipe.network.kind} has no time steps: only segmentation "
            "hears a recording at once"
        )
    spec, logits = run.recipe.frontend, np.zeros_like(windows.logits)
    for recording in np.unique(windows.recording):
        rows = np.flatnonzero(windows.recording == recording)
        samples = read_audio(corpus.recordings[recording].path, spec.sample_rate_hz, max_s=MAX_S)
        frontend, heard = Frontend(spec), loop_to(samples, spec.window_samples)
        frames = frame_logits(run.network, frontend.levels(frontend.components(heard)))
        logits[rows] = _pooled(run.network, frames, windows.start_s[rows], spec)
    return dataclasses.replace(windows, logits=logits)


def _pooled(
    network: nn.Module, frames: Array, start_s: NDArray[np.float64], spec: FrontendSpec
) -> Array:
    """Return the soft maximum (W, K) of the time steps (T', K) of each window."""
    segmentation = _first(network)
    assert isinstance(segmentation, Segmentation), "it was checked"
    steps = -(-spec.component_frames // SCALE)
    last = max(0, len(frames) - steps)
    firsts = np.minimum(np.round(start_s * spec.frames_per_second / SCALE).astype(int), last)
    parts = torch.from_numpy(np.stack([frames[first : first + steps] for first in firsts]))
    pooled: Array = segmentation.pool(parts)[0].numpy()
    return pooled


def _first(network: nn.Module) -> nn.Module:
    return network.members[0] if isinstance(network, NetworkEnsemble) else network


def _segmentation(network: nn.Module) -> Segmentation:
    assert isinstance(network, Segmentation), "the recipe was checked"
    return network
