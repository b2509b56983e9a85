"""Where an embedding puts types of song that it has not learnt, beside those that it has.

Thakur et al. 2019, Figure 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.files import replacing
from train.corpus.corpus import Corpus
from train.corpus.summary import markdown_table
from train.judging.embedding_map import colours, place_on_a_plane
from train.judging.figures import new_figure
from train.judging.truth import truth_of
from train.windows.outputs import WindowOutputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["judge_song_types", "song_types_section"]

NEIGHBOURS = 5
Mask = NDArray[np.bool_]


def judge_song_types(
    corpus: Corpus, training: WindowOutputs, test: WindowOutputs, out_dir: Path
) -> dict[str, Any]:
    """Return what a report says of types of song, and draw out_dir/song_types.png.

    It is empty, and nothing is drawn, where the test has no type that training has not heard.
    """
    heard = _Heard.of(corpus, training, test)
    if not heard.unseen.any() or not len(heard.learnt):
        return {}
    with replacing(out_dir / "song_types.png") as staged:
        _draw(heard).savefig(staged, format="png", dpi=130)
    return {"song_types": _rows(heard)}


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """Windows of known species: those that were `learnt`, and those of the test (W,).

    `labels` (W,) and `types` (W,) are of the test, `unseen` (W,) those of a type not learnt.
    """

    learnt: WindowOutputs
    learnt_labels: list[str]
    test: WindowOutputs
    labels: NDArray[np.str_]
    types: NDArray[np.str_]
    unseen: Mask

    @staticmethod
    def of(corpus: Corpus, training: WindowOutputs, test: WindowOutputs) -> _Heard:
        """Return what is known of the types of both."""
        learnt, heard = (o.select(truth_of(corpus, o).known) for o in (training, test))
        (old_labels, old_types), (labels, types) = (_names(corpus, o) for o in (learnt, heard))
        seen = set(zip(old_labels, old_types, strict=True))
        pairs = zip(labels, types, strict=True)
        return _Heard(
            learnt=learnt,
            learnt_labels=old_labels,
            test=heard,
            labels=np.array(labels, np.str_),
            types=np.array(types, np.str_),
            unseen=np.array([bool(pair[1]) and pair not in seen for pair in pairs], bool),
        )


def _names(corpus: Corpus, outputs: WindowOutputs) -> tuple[list[str], list[str]]:
    recordings = [corpus.recordings[i] for i in outputs.recording]
    return [r.label for r in recordings], [r.song_type for r in recordings]


def _rows(heard: _Heard) -> list[dict[str, Any]]:
    """Return a row for all types that were learnt, for all others, and for each in the test.

    `right` is the share of windows whose nearest windows of the training are mostly of their
    species; `silhouette` is the mean over them of that by species (Rousseeuw 1987), from -1 to 1,
    among all windows of known species in the test.
    """
    typed = heard.types != ""
    right = _named_by_neighbours(heard) == heard.labels
    silhouette = _silhouettes(heard.test.embedding, heard.labels)
    groups: dict[tuple[str, str], Mask] = {
        ("all", "types in training"): typed & ~heard.unseen,
        ("all", "unseen types"): heard.unseen,
    }
    for label, name in sorted(set(zip(heard.labels[typed], heard.types[typed], strict=True))):
        groups[label, name] = (heard.labels == label) & (heard.types == name)
    return [
        {
            "label": str(label),
            "type": str(name),
            "seen": not bool(heard.unseen[mask].any()),
            "recordings": len(np.unique(heard.test.recording[mask])),
            "windows": int(mask.sum()),
            "right": round(float(right[mask].mean()), 4),
            "silhouette": round(float(silhouette[mask].mean()), 4),
        }
        for (label, name), mask in groups.items()
        if mask.any()
    ]


def song_types_section(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the section of a report on types of song; empty where none is unseen."""
    rows = report.get("song_types")
    if not rows:
        return ()
    header = ("species", "type of song", "in training", "recordings", "windows")
    table = [
        [
            row["label"],
            row["type"],
            "yes" if row["seen"] else "no",
            row["recordings"],
            row["windows"],
            f"{row['right']:.2f}",
            f"{row['silhouette']:.2f}",
        ]
        for row in rows
    ]
    return (
        "## Types of song",
        f"The share of windows of the test whose {NEIGHBOURS} nearest windows of the training are "
        "mostly of their species, and their mean silhouette by species, -1 to 1.",
        markdown_table((*header, "right by neighbours", "silhouette"), table),
    )


def _draw(heard: _Heard) -> Figure:
    """Draw the windows of the test on a plane, those of unseen types as crosses."""
    labels, unseen = heard.labels, heard.unseen
    place = place_on_a_plane(heard.test.embedding.astype(np.float64))
    names = sorted(set(labels.tolist()))
    figure = new_figure(9, 7)
    axes = figure.add_subplot()
    for name, colour in zip(names, colours(len(names)), strict=True):
        own = labels == name
        for mask, marker, what in ((own & ~unseen, ".", ""), (own & unseen, "x", ", unseen type")):
            if mask.any():
                axes.scatter(
                    place[mask, 0],
                    place[mask, 1],
                    s=18,
                    marker=marker,
                    color=colour,
                    label=name + what,
                )
    axes.set(xticks=[], yticks=[], title="Types of song that training has not heard (t-SNE)")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=6, frameon=False)
    return figure


def _named_by_neighbours(heard: _Heard) -> NDArray[np.str_]:
    """Return the species (W,) of most of the nearest learnt windows of each."""
    from sklearn.neighbors import KNeighborsClassifier

    count = min(NEIGHBOURS, len(heard.learnt))
    classifier = KNeighborsClassifier(n_neighbors=count)
    classifier.fit(heard.learnt.embedding, heard.learnt_labels)
    named: NDArray[np.str_] = classifier.predict(heard.test.embedding)
    return named


def _silhouettes(embedding: NDArray[np.float32], labels: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return the silhouette (N,) of each window; 0 where there are too few species or windows."""
    from sklearn.metrics import silhouette_samples

    if not 2 <= len(set(labels.tolist())) < len(labels):
        return np.zeros(len(labels))
    values: NDArray[np.float64] = silhouette_samples(embedding, labels)
    return values
