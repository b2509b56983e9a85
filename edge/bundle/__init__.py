"""Room: the contract between training and device, which is a bundle and all that it holds."""

from edge.bundle.bundle import Bundle, Network
from edge.bundle.channels import ChannelSpec
from edge.bundle.features import Frontend
from edge.bundle.golden import Golden, NewVariant
from edge.bundle.heads import Head, Verdicts
from edge.bundle.labels import Label
from edge.bundle.manifest import FP32, ListMargin, Manifest, Variant
from edge.bundle.reading import load_bundle, load_bundles
from edge.bundle.spec import FrontendSpec
from edge.bundle.writing import Stored, write_bundle

__all__ = [
    "FP32",
    "Bundle",
    "ChannelSpec",
    "Frontend",
    "FrontendSpec",
    "Golden",
    "Head",
    "Label",
    "ListMargin",
    "Manifest",
    "Network",
    "NewVariant",
    "Stored",
    "Variant",
    "Verdicts",
    "load_bundle",
    "load_bundles",
    "write_bundle",
]
