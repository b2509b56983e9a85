"""Tops fitted to a part of what was heard, and what they say of the rest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import Top
from edge.errors import UserError
from train.adapting.context import with_context
from train.adapting.marks import denied
from train.adapting.study import Heard
from train.windows.outputs import WindowOutputs

__all__ = ["Fit", "fit_part", "held_out_outputs"]

Fit = Callable[..., Top]


def held_out_outputs(
    heard: Heard, fit: Fit, *, never: NDArray[np.bool_] | None = None
) -> tuple[WindowOutputs, NDArray[np.int64]]:
    """Return what is said of each fold by a top that was fitted without it, and of which windows.

    A label that has recordings in one fold only is unlearnt where that is held out, and so judged
    as what it would be without them. Of what is only said not to be something, nothing is judged.
    Windows that are `never` trained on (W,) are judged in their fold.
    """
    dev = heard.of(lambda r: r.split == "dev")
    training = dev if never is None else dev & ~never
    judged = heard.of(lambda r: r.split == "dev" and not denied(r))
    fold = np.array([r.fold for r in heard.study.corpus.recordings])[heard.answers.recording]
    parts, positions = [], []
    for own in (judged & (fold == f) for f in np.unique(fold[judged])):
        positions.append(np.flatnonzero(own))
        others = training & ~np.isin(fold, fold[own])
        parts.append(heard.outputs(own, fit_part(heard, fit, others, complete=False)))
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("recording", "start_s", "active", "embedding", "logits")
    }
    outputs = WindowOutputs(**columns, labels=parts[0].labels)
    return outputs, np.concatenate(positions)


def fit_part(heard: Heard, fit: Fit, part: NDArray[np.bool_], *, complete: bool) -> Top:
    """Return a top that is fitted to the chosen windows of a part."""
    used = part & heard.chosen
    species = heard.species[used]
    lacking = set(range(len(heard.study.names))) - set(species.tolist())
    if complete and lacking:
        name = heard.study.names[min(lacking)]
        raise UserError(f"{heard.study.corpus.root}: there is no recording to learn {name} from")
    answers = heard.answers.select(used)
    logits = answers.logits.astype(np.float32)
    blank = with_context(heard.blank, logits, species)
    return fit(blank, answers.embedding, logits, species)
