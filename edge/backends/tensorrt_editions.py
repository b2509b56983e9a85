"""The two libraries that are TensorRT to this program, and everything in which they differ.

TensorRT is what JetPack and NVIDIA's containers bring. TensorRT for RTX is for GeForce and RTX
cards: pip installs it, it builds an engine without a GPU, and the card that loads the engine makes
its kernels. Their Python API is one; where TensorRT is installed, TensorRT for RTX is not asked.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from types import ModuleType

__all__ = ["EDITIONS", "TENSORRT", "TENSORRT_FOR_RTX", "Edition", "edition_of", "installed_edition"]


@dataclass(frozen=True, kw_only=True)
class Edition:
    """One of the two; its `modules` are the names that it is imported by, the first that is there.

    `key` stands before the version where an engine's machine is written down. `oldest` (major,
    minor) and `newest_major` are the versions that this program knows.
    """

    name: str
    modules: tuple[str, ...]
    key: str
    oldest: tuple[int, int]
    newest_major: int
    too_old: str
    builds_without_gpu: bool
    has_timing_cache: bool
    has_trtexec: bool


TENSORRT = Edition(
    name="TensorRT",
    modules=("tensorrt",),
    key="",
    oldest=(10, 3),
    newest_major=11,
    too_old="JetPack 6.1 brings it, JetPack 6.0 and before do not",
    builds_without_gpu=False,
    has_timing_cache=True,
    has_trtexec=True,
)
TENSORRT_FOR_RTX = Edition(
    name="TensorRT for RTX",
    # The wheels of the bindings and the libraries alone have only the second.
    modules=("tensorrt_rtx", "tensorrt_rtx_bindings"),
    key="for RTX ",
    oldest=(1, 7),
    newest_major=1,
    too_old="pip install --upgrade tensorrt-rtx brings a newer one",
    builds_without_gpu=True,
    has_timing_cache=False,  # deprecated there, and without effect
    has_trtexec=False,
)
EDITIONS = (TENSORRT, TENSORRT_FOR_RTX)


def installed_edition() -> tuple[Edition, str]:
    """Return the edition that is installed and the module to import; TensorRT where there is none.

    Imports nothing.
    """
    for edition in EDITIONS:
        for module in edition.modules:
            if importlib.util.find_spec(module) is not None:
                return edition, module
    return TENSORRT, TENSORRT.modules[0]


def edition_of(trt: ModuleType) -> Edition:
    """Return which of the two an imported module is."""
    return next(edition for edition in EDITIONS if trt.__name__ in edition.modules)
