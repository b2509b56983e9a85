"""Heads on their way to a recorder: keys, a trunk, signed heads, and orders of every kind."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from edge.bundle import FP32, Bundle, Label, load_bundle
from edge.bundle.bundle import MANIFEST, SIGNATURE, golden_file
from edge.bundle.digest import sha256_of
from edge.bundle.order import Order, signed_order
from edge.bundle.packed import pack_head
from edge.bundle.signing import sign_bundle, signature_of
from edge.config.config import Config
from edge.recorder.plan import RecorderPlan
from tests.support.bundles import tiny_bundle
from tests.support.heads import tiny_head
from tests.support.keys import KeyPair, key_pair

__all__ = ["STUDY", "Sender", "verified_plan"]

FAR_S = 1 << 37  # seconds: no test is run so late

STUDY = Label(label="study_frog", common_name="Frog of the study", scientific_name="Rana studii")


@dataclass(frozen=True)
class Sender:
    """Who makes heads on one trunk, and signs and sends them."""

    folder: Path
    key: KeyPair
    trunk: Bundle

    @staticmethod
    def in_folder(folder: Path) -> Sender:
        """A sender with a key and a tiny trunk of its own, which is signed, too."""
        folder.mkdir(exist_ok=True)
        key, trunk = key_pair(folder), tiny_bundle(folder / "trunk")
        sign_bundle(trunk.path, key.private)
        return Sender(folder, key, trunk)

    def head(self, name: str = "study", *, key: KeyPair | None = None, **changes: Any) -> Bundle:
        """A signed head that hears the first label of the trunk as a frog of the study."""
        path = self.folder / name
        tiny_head(path, self.trunk, {STUDY: 0}, **changes)
        word = Path(f"{self.trunk.path}+{path}")
        sign_bundle(word, (key or self.key).private)
        return load_bundle(word)

    def spoiled_head(self, name: str) -> Bundle:
        """A head whose golden window has other outputs than it gives, signed all the same."""
        head = self.head(name)
        golden = head.path / golden_file(FP32)
        np.savez_compressed(golden, logits=head.golden.logits + np.float32(1))
        files = {**head.manifest.files, golden.name: sha256_of(golden.read_bytes())}
        manifest = dataclasses.replace(head.manifest, files=files)
        content = {"digest": manifest.digest, **manifest.as_mapping()}
        (head.path / MANIFEST).write_text(json.dumps(content), encoding="utf-8")
        signature = signature_of((head.path / MANIFEST).read_bytes(), self.key.private)
        (head.path / SIGNATURE).write_text(signature.as_json(), encoding="utf-8")
        return dataclasses.replace(head, manifest=manifest, signature=signature)

    def order(self, head: Bundle, **changes: Any) -> Order:
        """The order to use it, of everybody and with the number 1 unless `changes` say more."""
        packed = pack_head(head)
        order = Order(
            number=1,
            device="",
            head=head.digest,
            trunk=head.manifest.trunk,
            content=sha256_of(packed),
            size=len(packed),
            made_s=0,
            expires_s=FAR_S,
        )
        return dataclasses.replace(order, **changes)

    def signed(self, order: Order, *, key: KeyPair | None = None) -> bytes:
        """The order as it is sent."""
        return signed_order(order, (key or self.key).private)


def verified_plan(config: Config) -> RecorderPlan:
    """A plan of a verified bundle, whose network nobody runs, so that it is there at once."""
    bundle = load_bundle(str(config.model.bundle), trusted=config.model.trusted())
    plan = SimpleNamespace(config=config, provenance=SimpleNamespace(bundle=bundle.digest))
    return cast(RecorderPlan, plan)
