"""The libraries behind numpy are told what they cannot find out, and what nobody has chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.numeric_libraries import has_avx512, prepare_numeric_libraries

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
WIDE = "flags\t\t: fpu avx2 avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni\n"


@pytest.mark.parametrize(
    ("content", "wide"),
    [
        (f"processor\t: 0\nvendor_id\t: AuthenticAMD\n{WIDE}", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 fma\n", False),
        ("flags\t\t: fpu avx512f avx512cd avx512er avx512pf\n", False),  # Knights Landing
        ("processor\t: 0\nFeatures\t: fp asimd\n", False),  # ARM
        (None, False),
    ],
)
def test_wide_vectors_are_used_where_they_are(
    tmp_path: Path, content: str | None, wide: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if content is not None:
        cpuinfo.write_text(content, encoding="utf-8")
    assert has_avx512(cpuinfo) == wide
    environ: dict[str, str] = {}
    prepare_numeric_libraries(environ, cpuinfo=cpuinfo)
    assert environ == ONE_THREAD | ({"OPENBLAS_CORETYPE": "SkylakeX"} if wide else {})


def test_what_a_person_has_chosen_stays(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(WIDE, encoding="utf-8")
    chosen = {"OMP_NUM_THREADS": "4", "OPENBLAS_CORETYPE": "Zen"}
    environ = dict(chosen)
    prepare_numeric_libraries(environ, cpuinfo=cpuinfo)
    assert environ == ONE_THREAD | chosen
