"""Networks by name: adding one is a file here and a line in `build_network`."""

from __future__ import annotations

from torch import nn

from edge.errors import SpecError
from train.networks.compact import CompactCnn, Ensemble
from train.networks.mscnn import MsCnn
from train.networks.withheld import Withheld

__all__ = ["Ensemble", "Withheld", "build_network"]


def build_network(kind: str, options: dict[str, object], *, shape: tuple[int, int, int], classes: int | None) -> nn.Module:
    """A network for features of `shape` (channels, n_mels, frames); `classes` is None when it only embeds."""
    channels, n_mels, _ = shape
    try:
        match kind:
            case "mscnn":
                return MsCnn(channels, classes, **options)  # type: ignore[arg-type]
            case "compact":
                if classes is None:
                    raise SpecError("network compact has logits of its own: use objective cross_entropy")
                if n_mels % 16:
                    raise SpecError(f"network compact needs a multiple of 16 mel bands, the frontend has {n_mels}")
                return CompactCnn(channels, n_mels, classes, **options)  # type: ignore[arg-type]
    except TypeError as exc:
        raise SpecError(f"network {kind}: {exc}") from exc
    raise SpecError(f"network kind '{kind}' is none of mscnn, compact")
