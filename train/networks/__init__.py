"""Plug point: networks by name, each a file here and a line in `build_network`."""

from __future__ import annotations

from typing import Any

from torch import nn

from edge.errors import SpecError
from train.networks.compact import CompactCnn
from train.networks.local import LocalCnn
from train.networks.mscnn import MsCnn
from train.networks.sparse import SparseDictionary
from train.networks.spherical import SphericalKMeans
from train.networks.triplet_cnn import TripletCnn

__all__ = ["KINDS", "build_network"]

EMBED = ("cnn1", "cnn2", "spherical_kmeans", "sparse_dictionary")
OF_TIMM = (
    *("mobilenet", "resnet18", "resnest50", "efficientnet_lite0"),
    *("soundception", "segmentation"),
)
KINDS = ("mscnn", "compact", *EMBED, "local", *OF_TIMM)  # the first either classifies or embeds


def build_network(
    kind: str, options: dict[str, Any], *, shape: tuple[int, int, int], classes: int | None
) -> nn.Module:
    """Return a network for features of `shape` (channels, n_mels, frames).

    `classes` is None when it only embeds. Raises `SpecError`.
    """
    if kind not in KINDS:
        raise SpecError(f"network kind '{kind}' is none of {', '.join(KINDS)}")
    try:
        if classes is None or kind in EMBED:
            return _embedder(kind, options, shape, classes)
        build = _of_timm if kind in OF_TIMM else _classifier
        return build(kind, options, shape, classes)
    except TypeError as exc:
        raise SpecError(f"network {kind}: {exc}") from exc


def _embedder(
    kind: str, options: dict[str, Any], shape: tuple[int, int, int], classes: int | None
) -> nn.Module:
    if classes is not None:
        raise SpecError(
            f"network {kind} only embeds: add a classifier section, and use an objective for "
            "embeddings"
        )
    match kind:
        case "mscnn":
            return MsCnn(shape[0], **options)
        case "cnn1" | "cnn2":
            return TripletCnn(shape[0], kind, **options)
        case "spherical_kmeans":
            return SphericalKMeans(shape[0], shape[1], **options)
        case "sparse_dictionary":
            return SparseDictionary(shape[0], shape[1], **options)
    raise SpecError(
        f"network {kind} has logits of its own: use objective cross_entropy, without a classifier "
        "section"
    )


def _classifier(
    kind: str, options: dict[str, Any], shape: tuple[int, int, int], classes: int
) -> nn.Module:
    channels, bands, _ = shape
    match kind:
        case "mscnn":
            return MsCnn(channels, classes, **options)
        case "compact":
            if bands % 16:
                raise SpecError(
                    f"network compact needs a multiple of 16 mel bands, the frontend has {bands}"
                )
            return CompactCnn(channels, bands, classes, **options)
        case "local":
            return LocalCnn(channels, bands, classes, **options)
    raise AssertionError(kind)


def _of_timm(
    kind: str, options: dict[str, Any], shape: tuple[int, int, int], classes: int
) -> nn.Module:
    """Build one of the networks made of timm's parts, which import slowly."""
    from train.networks.mobilenet import ReducedMobileNet
    from train.networks.segmentation import Segmentation
    from train.networks.soundception import Soundception
    from train.networks.transfer import Transfer

    channels, bands, frames = shape
    match kind:
        case "mobilenet":
            return ReducedMobileNet(channels, classes, **options)
        case "soundception":
            return Soundception(channels, bands, frames, classes, **options)
        case "resnet18":
            return Transfer(channels, classes, backbone="resnet18", **options)
        case "resnest50":
            wide = {"widen": "average", **options}
            return Transfer(channels, classes, backbone="resnest50d", **wide)
        case "efficientnet_lite0":
            return Transfer(channels, classes, backbone="tf_efficientnet_lite0", **options)
        case "segmentation":
            return Segmentation(channels, bands, classes, **options)
    raise AssertionError(kind)
