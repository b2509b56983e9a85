"""The contract between training and device: frontend spec, features, heads, and the bundle that carries them."""

from edge.bundle.bundle import Bundle, Golden, Label, Manifest, load_bundle, write_bundle
from edge.bundle.features import Frontend
from edge.bundle.heads import Head, Verdicts
from edge.bundle.spec import ChannelSpec, FrontendSpec

__all__ = [
    "Bundle",
    "ChannelSpec",
    "Frontend",
    "FrontendSpec",
    "Golden",
    "Head",
    "Label",
    "Manifest",
    "Verdicts",
    "load_bundle",
    "write_bundle",
]
