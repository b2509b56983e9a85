"""The options of each network, as a recipe may have them: what its constructor takes by name.

Defaults are the constructor's own; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from edge.bundle.spec import from_mapping
from edge.errors import SpecError, shown
from train.recipe.ranges import Range, ShareBelow1, check_ranges

__all__ = ["OPTIONS", "check_options"]

MOST_WIDE = 65_536
Width = Annotated[int, Range(1, MOST_WIDE)]
EvenWidth = Annotated[int, Range(2, MOST_WIDE)]  # it is halved inside
Pool = Annotated[int, Range(1, 1024)]
UpTo3 = Annotated[int, Range(0, 3)]
UpTo4 = Annotated[int, Range(0, 4)]
UpTo7 = Annotated[int, Range(0, 7)]


@dataclass(frozen=True, kw_only=True)
class MsCnnOptions:
    """Those of `mscnn`."""

    width: EvenWidth = 64
    dropout: ShareBelow1 = 0.5
    time_pool: Pool = 1


@dataclass(frozen=True, kw_only=True)
class CompactOptions:
    """Those of `compact`."""

    width: Width = 24
    dropout: ShareBelow1 = 0.3


@dataclass(frozen=True, kw_only=True)
class TripletCnnOptions:
    """Those of `cnn1` and `cnn2`."""

    width: EvenWidth = 64
    dropout: ShareBelow1 | None = None
    time_pool: Pool = 1
    normalise: bool = True


@dataclass(frozen=True, kw_only=True)
class SphericalOptions:
    """Those of `spherical_kmeans`."""

    bases: Annotated[int, Range(2, MOST_WIDE)] = 500


@dataclass(frozen=True, kw_only=True)
class SparseOptions:
    """Those of `sparse_dictionary`."""

    bases: Annotated[int, Range(2, MOST_WIDE)] = 128
    sparsity: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 0.2


@dataclass(frozen=True, kw_only=True)
class LocalOptions:
    """Those of `local`."""

    width: Width = 384
    embedding: Width = 256
    dropout: ShareBelow1 = 0.2
    teacher_embedding: Width = 1024
    teacher_labels: Width = 6522


@dataclass(frozen=True, kw_only=True)
class MobileNetOptions:
    """Those of `mobilenet`."""

    width: Annotated[float, Range(0.01, 100)] = 1.0
    features: Width = 1280
    dropout: ShareBelow1 = 0.0


@dataclass(frozen=True, kw_only=True)
class SoundceptionOptions:
    """Those of `soundception`."""

    blocks: tuple[UpTo4, UpTo7, UpTo3] = (4, 7, 3)
    dropout: ShareBelow1 = 0.2


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """Those of the image networks."""

    widen: Literal["repeat", "average"] = "repeat"
    dropout: ShareBelow1 = 0.0
    size: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions:
    """Those of `segmentation`."""

    width: Width = 512
    heads: Width = 8
    size: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.heads > 0 and self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")


OPTIONS: dict[str, type[Any]] = {
    "mscnn": MsCnnOptions,
    "compact": CompactOptions,
    "cnn1": TripletCnnOptions,
    "cnn2": TripletCnnOptions,
    "spherical_kmeans": SphericalOptions,
    "sparse_dictionary": SparseOptions,
    "local": LocalOptions,
    "mobilenet": MobileNetOptions,
    "resnet18": TransferOptions,
    "resnest50": TransferOptions,
    "efficientnet_lite0": TransferOptions,
    "soundception": SoundceptionOptions,
    "segmentation": SegmentationOptions,
}


def check_options(kind: str, options: Mapping[str, Any]) -> None:
    """Raise `SpecError` for a network that is none, and for an option it cannot have."""
    if kind not in OPTIONS:
        raise SpecError(f"kind: '{kind}' is none of {', '.join(OPTIONS)}")
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
    check_ranges(from_mapping(OPTIONS[kind], given, where="options"), within="options: ")
    for key, number in _numbers(options.get("size") or {}):
        least = 1 if isinstance(number, int) else 0
        if not least <= number <= MOST_WIDE:
            raise SpecError(
                f"options: size: {key}: {shown(number)} is outside {least}..{MOST_WIDE}"
            )


def _numbers(values: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number in what goes to timm, which checks none, with its key."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _numbers(value, str(name))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _numbers(value, key)
    elif isinstance(values, int | float) and not isinstance(values, bool):
        yield key, values
