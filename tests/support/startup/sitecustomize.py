"""Puts every Python with this folder on its path on the machine that FAKE_NVIDIA describes."""

from __future__ import annotations

import os

if "FAKE_NVIDIA" in os.environ:
    from tests.support.nvidia import begin

    begin(os.environ["FAKE_NVIDIA"])
