"""Room: the contract between training and device, frontend spec, features, heads, and the bundle
that carries them.
"""

from edge.bundle.bundle import Bundle, Golden, Network, NewVariant, load_bundle, write_bundle
from edge.bundle.features import Frontend
from edge.bundle.heads import Head, Verdicts
from edge.bundle.manifest import FP32, Label, Manifest, Variant
from edge.bundle.spec import ChannelSpec, FrontendSpec

__all__ = [
    "FP32",
    "Bundle",
    "ChannelSpec",
    "Frontend",
    "FrontendSpec",
    "Golden",
    "Head",
    "Label",
    "Manifest",
    "Network",
    "NewVariant",
    "Variant",
    "Verdicts",
    "load_bundle",
    "write_bundle",
]
