"""Recipes that train in seconds."""

from __future__ import annotations

from typing import Any

__all__ = ["TINY", "TRIPLET"]

TINY: dict[str, Any] = {
    "name": "tiny",
    "frontend": {"n_mels": 32, "channels": [{"component": "mel", "level": {"kind": "max"}}]},
    "network": {"kind": "compact", "options": {"width": 8, "dropout": 0.1}},
    "objective": {"kind": "cross_entropy", "batch": 16, "outlier_share": 0.3, "average": 0.9},
    "learning_rate": 0.003,
    "steps": 60,
    "steps_per_epoch": 20,
    "augment": {
        "noise_share": 0.3,
        "gain_db": 10,
        "equaliser_db": 3,
        "time_shift_share": 0.5,
        "masks": 1,
        "mixup_share": 0.2,
    },
    "split": {"test_share": 0.25, "folds": 3},
}
TRIPLET: dict[str, Any] = {
    **{key: value for key, value in TINY.items() if key != "augment"},
    "name": "tiny-triplet",
    "network": {"kind": "mscnn", "options": {"width": 8, "time_pool": 8}},
    "objective": {"kind": "triplet", "triplets_per_step": 50},
    "optimiser": "adagrad",
    "schedule": "constant",
    "steps": 6,
    "steps_per_epoch": 2,
    "classifier": {"epochs": 5},
}
