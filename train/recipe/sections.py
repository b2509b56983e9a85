"""The smaller sections of a recipe: each key with its default and its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from train.recipe.options import check_options
from train.recipe.ranges import Count, Range, Seed, Share, Weight, Whole, check_ranges

__all__ = [
    "LONGEST_S",
    "CropSpec",
    "Folds",
    "NetworkSpec",
    "PseudoSpec",
    "SplitSpec",
    "StageSpec",
    "TestShare",
]

# Of a longer recording the beginning is trained on: one person's hour must not fill the memory.
LONGEST_S = 90.0
Inside = Annotated[float, Range(0, 1, open_low=True, open_high=True)]
TestShare = Annotated[float, Range(0, 0.9)]
Folds = Annotated[int, Range(2, 1000)]


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Which network, with its constructor's options.

    `pretrained`: it starts from published weights where there are any for it, or from those in the
    file `weights`, a state_dict of timm's network.
    """

    kind: str
    pretrained: bool = True
    weights: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_options(self.kind, self.options)


@dataclass(frozen=True, kw_only=True)
class CropSpec:
    """Smart crop: people cut off the ends of a recording in which nothing calls.

    BirdCLEF 2021, section 2.2. With probability `ends_share` a window starts at the recording's
    beginning or ends at its end, moved inwards by `shift_s`. Recordings longer than `longest_s` are
    left out, except for a species that has no shorter one. Reading taken of "otherwise random": as
    without this section, among the windows in which something is heard (`train.windows.activity`).
    What the paper wants of smart crops, a window with the call in it, that does for any place in a
    recording.
    """

    ends_share: Share = 0.2
    shift_s: tuple[Annotated[float, Range(0, LONGEST_S)], ...] = (0.0, 2.0)
    # The end of a longer recording is not read.
    longest_s: Annotated[float, Range(0, LONGEST_S, open_low=True)] = 60.0

    def __post_init__(self) -> None:
        check_ranges(self)
        if len(self.shift_s) != 2 or self.shift_s[0] > self.shift_s[1]:
            raise ValueError(
                f"shift_s: {list(self.shift_s)} is not a range of seconds, as in [0, 2]"
            )


@dataclass(frozen=True, kw_only=True)
class PseudoSpec:
    """Labels in time, made by an earlier run of the segmentation network.

    BirdCLEF 2021, section 2.4; `train.windows.pseudo`. A time step is `present` from this score on,
    and absent up to `absent`; in between it is unsure and has no part in the loss. The paper states
    neither number.
    """

    present: Inside = 0.5
    absent: Inside = 0.1

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.absent >= self.present:
            raise ValueError(
                f"absent {self.absent} and present {self.present}: need 0 < absent < present < 1"
            )


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """A part of training that moves only some layers.

    `layers` is what the network calls them, e.g. top, last or all.
    """

    layers: str
    steps: Count
    batch: Whole = 0  # 0: the objective's
    learning_rate: Weight = 0.0  # 0: the recipe's

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """How `build` divides the recordings.

    `test_share` of them are the test, the rest are dealt to `folds`, of which fold 0 validates.
    """

    test_share: TestShare = 0.2
    folds: Folds = 5
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_ranges(self)
