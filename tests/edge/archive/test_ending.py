"""A process that reads a dataset and ends at once, ends well."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edge.archive.parquet import table_of, write_table
from edge.archive.schema import arrow_schema
from tests.support.archives import ROOT

SEVERAL, AT_ONCE = 24, 8  # of ten such processes, two aborted when pyarrow read a file of Python's
SCHEMA = arrow_schema("files")
READING = """
import sys
from pathlib import Path
from edge.archive.parquet import read_table
assert len(read_table(Path(sys.argv[1]), "files", ["path"])) == 2
"""


def test_threads_of_pyarrow_do_not_outlive_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    rows = [{"path": path, "status": "failed"} for path in "ab"]
    write_table(file, [table_of(rows, SCHEMA)], SCHEMA)
    file = file.rename(tmp_path / "a file \udcff")

    def end(_: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", READING, str(file)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(end, range(SEVERAL)))
    assert [(one.returncode, one.stderr) for one in ended] == [(0, "")] * SEVERAL
