"""Which Jetson this is, on files as JetPack leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.install.jetpack import Jetson, jetson_of, refuse_what_cannot_work
from edge.errors import ConfigError

RELEASE = (
    "# R{major} (release), REVISION: {minor}, GCID: 36923193, BOARD: generic, EABI: "
    "aarch64, "
    "DATE: Fri Jul 19 23:24:25 UTC 2024\n"
)
STATUS = """Package: python3
Status: install ok installed
Version: 3.10.6-1~22.04

Package: python3-libnvinfer
Status: install ok installed
Priority: optional
Version: {version}

Package: libnvinfer8
Status: deinstall ok config-files
Version: 8.6.2.3-1+cuda12.2
"""


def _board(root: Path, release: str, tensorrt: str = "") -> Path:
    major, _, minor = release.partition(".")
    (root / "etc").mkdir()
    (root / "etc/nv_tegra_release").write_text(
        RELEASE.format(major=major, minor=minor), encoding="utf-8"
    )
    if tensorrt:
        (root / "var/lib/dpkg").mkdir(parents=True)
        (root / "var/lib/dpkg/status").write_text(STATUS.format(version=tensorrt), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("release", "tensorrt", "jetpack", "bindings"),
    [
        ("36.4.0", "10.3.0.30-1+cuda12.5", "JetPack 6.1 or 6.2", "cuda12"),
        ("36.4.4", "10.3.0.30-1+cuda12.5", "JetPack 6.1 or 6.2", "cuda12"),
        ("38.2.0", "10.13.3.9-1+cuda13.0", "JetPack 7 or newer", "cuda13"),
        ("38.4.0", "", "JetPack 7 or newer", "cuda13"),
    ],
)
def test_boards_that_can_work(
    tmp_path: Path, release: str, tensorrt: str, jetpack: str, bindings: str
) -> None:
    jetson = jetson_of(_board(tmp_path, release, tensorrt))
    assert jetson is not None
    refuse_what_cannot_work(jetson)
    assert jetson.l4t == tuple(int(n) for n in release.split("."))
    assert (jetson.jetpack, jetson.cuda_bindings) == (jetpack, bindings)
    assert bool(jetson.tensorrt) == bool(tensorrt)


@pytest.mark.parametrize(
    ("release", "tensorrt", "named"),
    [
        ("36.3.0", "8.6.2.3-1+cuda12.2", "JetPack 6.0 with TensorRT 8.6.2.3"),
        ("36.2.0", "", "JetPack 6.0 with TensorRT 8"),
        ("35.4.1", "8.5.2-1+cuda11.4", "JetPack 5 or older with TensorRT 8.5.2"),
    ],
)
def test_jetpack_6_0_is_refused_with_the_reason_and_the_way_out(
    tmp_path: Path, release: str, tensorrt: str, named: str
) -> None:
    jetson = jetson_of(_board(tmp_path, release, tensorrt))
    assert jetson is not None
    with pytest.raises(ConfigError) as refusal:
        refuse_what_cannot_work(jetson)
    said = str(refusal.value)
    assert said.startswith(f"L4T {release} is {named}, and TensorRT 10.3 or newer is needed")
    assert "flash JetPack 6.2" in said
    assert "\n" not in said


def test_an_old_tensorrt_on_a_new_system_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"TensorRT 8\.6\.2 is installed, and 10\.3 or newer is needed; .*nvidia-jetpack",
    ):
        refuse_what_cannot_work(Jetson(l4t=(36, 4, 3), tensorrt=(8, 6, 2)))


def test_any_other_machine_is_none(tmp_path: Path) -> None:
    assert jetson_of(tmp_path) is None


def test_a_release_file_that_says_nothing_is_reported(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# unknown\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="nv_tegra_release: does not say which release"):
        jetson_of(tmp_path)
