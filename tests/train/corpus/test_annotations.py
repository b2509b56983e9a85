"""What a person marked in recordings, and what is said of a faulty table."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

import train.commands.cli
from edge.errors import UserError
from tests.train.corpus.test_prepare import collection, manifest, sing  # noqa: F401  # a fixture
from train.corpus.annotations import COLUMNS, Stretch, read_annotations
from train.corpus.corpus import read_corpus
from train.corpus.prepare import prepare
from train.corpus.readers import read_listing

HEADER = ",".join(COLUMNS)
BIRDS = [
    ("bird", Path("/a/bird/XC1.ogg")),
    ("bird", Path("/a/bird/XC2.ogg")),
    ("owl", Path("/a/1/o.wav")),
    ("owl", Path("/a/2/o.wav")),
]


def table(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "ranges.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def test_marks_are_read_as_the_paper_writes_them(tmp_path: Path) -> None:
    lines = (
        'bird/XC1.ogg,0,1,"[[1.5,7]]"',
        'bird/XC2.ogg,1,0,"[[25,1000]]"',
        "",
        'bird/XC1.ogg,1,0,"[[8, 9.5], [0, 1.5]]"',
    )
    found = read_annotations(table(tmp_path, *lines), BIRDS)
    assert {path.name for path in found} == {"XC1.ogg", "XC2.ogg"}
    assert found[BIRDS[0][1]].stretches == (
        Stretch(kind="human_voice", start_s=0, end_s=1.5),
        Stretch(kind="nocall", start_s=1.5, end_s=7),
        Stretch(kind="human_voice", start_s=8, end_s=9.5),
    )
    assert found[BIRDS[1][1]].within(31.2)[0].end_s == 31.2, (
        "an end beyond the recording's is its end"
    )


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        (
            'bird/XC1.ogg,0,1,"[[1, 4], [3, 5]]"',
            "t_range",
            r"\[3, 5\] overlaps \[1, 4\] of the same recording \(lines 2 and 2\)",
        ),
        (
            'bird/XC1.ogg,0,1,"[[-1, 4]]"',
            "t_range",
            "the start -1 is negative; a recording starts at 0",
        ),
        ('bird/XC1.ogg,0,1,"[[4, 4]]"', "t_range", r"\[4, 4\] does not end after its start"),
        ('bird/XC1.ogg,0,1,"[[4, 1]]"', "t_range", r"\[4, 1\] does not end after its start"),
        (
            "bird/XC1.ogg,0,1,4-7",
            "t_range",
            r"'4-7' is not a list of \[start, end\] in seconds, as in \[\[1.5, 7\]\]",
        ),
        ('bird/XC1.ogg,0,1,"[1.5, 7]"', "t_range", "is not a list of"),
        ("bird/XC1.ogg,0,1,[]", "t_range", "is not a list of"),
        ('bird/XC1.ogg,0,1,"[[1, NaN]]"', "t_range", "'NaN' is not a number of seconds"),
        ('bird/XC1.ogg,0,1,"[[true, 3]]"', "t_range", "'true' is not a number of seconds"),
        (f'bird/XC1.ogg,0,1,"[[1, 1{"0" * 400}]]"', "t_range", "is not a number of seconds"),
        (
            'bird/XC9.ogg,0,1,"[[1, 7]]"',
            "row_id",
            "'bird/XC9.ogg' is not a label/filename of the collection",
        ),
        ('owl/o.wav,0,1,"[[1, 7]]"', "row_id", "names 2 recordings of the collection; rename"),
        (
            'bird/XC1.ogg,1,1,"[[1, 7]]"',
            "human_voice",
            "one of human_voice and nocall must be 1, both are 1",
        ),
        ('bird/XC1.ogg,0,0,"[[1, 7]]"', "human_voice", "both are 0"),
        ('bird/XC1.ogg,0,yes,"[[1, 7]]"', "nocall", "'yes' is neither 0 nor 1"),
        (
            "bird/XC1.ogg,0,1,[[1, 7]]",
            "t_range",
            "the line has 5 cells, the header 4; quote a cell with commas",
        ),
        ("bird/XC1.ogg,0", "nocall", "the line has 2 cells"),
    ],
)
def test_a_fault_is_one_line_with_file_line_and_column(
    line: str, column: str, said: str, tmp_path: Path
) -> None:
    path = table(tmp_path, line)
    with pytest.raises(UserError, match=said) as error:
        read_annotations(path, BIRDS)
    assert str(error.value).startswith(f"{path}, line 2, column {column}: ")
    assert "\n" not in str(error.value)


def test_stretches_may_not_overlap_those_of_another_line(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        'bird/XC1.ogg,0,1,"[[4, 7]]"',
        'bird/XC2.ogg,0,1,"[[4, 7]]"',
        'bird/XC1.ogg,1,0,"[[1, 5]]"',
    )
    with pytest.raises(UserError, match=r"line 4, column t_range: .*\(lines 4 and 2\)"):
        read_annotations(path, BIRDS)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "row_id,human_voice,no_call,t_range",
            "line 1: unknown column 'no_call'; did you mean 'nocall'",
        ),
        (
            "row_id,human_voice,nocall",
            "line 1: column 't_range' is missing; the columns are row_id",
        ),
        ("row_id,human_voice,nocall,t_range,nocall", "line 1: column 'nocall' is there twice"),
        ("", "line 1: column 'row_id' is missing"),
    ],
)
def test_a_header_that_is_not_the_papers_is_one_line(
    header: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        read_annotations(table(tmp_path, header=header), BIRDS)


def test_a_file_that_is_no_table_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "ranges.csv").write_bytes(b"\xff\xfe\x00row")
    with pytest.raises(UserError, match="is not a UTF-8 table"):
        read_annotations(tmp_path / "ranges.csv", BIRDS)
    with pytest.raises(UserError, match="no such file"):
        read_annotations(tmp_path / "none.csv", BIRDS)
    with pytest.raises(UserError, match="cannot be read"):
        read_annotations(tmp_path, BIRDS)


CELLS = (
    st.sampled_from(
        [
            "bird/XC1.ogg",
            "0",
            "1",
            '"[[1.5, 7]]"',
            '"[[0, 1e999]]"',
            "[" * 3000,
            "[[[]]]",
            '"',
            '"[[{}, 2]]"',
        ]
    )
    | st.text()
)
TABLES = st.lists(st.lists(CELLS, max_size=5).map(",".join), max_size=5).map(
    lambda lines: "\n".join([HEADER, *lines]).encode("utf-8", "replace")
)


@settings(max_examples=60)
@given(TABLES | st.binary())
@example(f"{HEADER}\nbird/XC1.ogg,0,1,{'[' * 200_000}".encode())
@example(f'{HEADER}\nbird/XC1.ogg,0,1,"[[1,{"9" * 5000}]]"'.encode())
@example(HEADER.encode() + b"\n\x00")
def test_any_bytes_are_read_or_refused_in_one_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ranges.csv"
        path.write_bytes(content)
        try:
            stretches = [
                s for marked in read_annotations(path, BIRDS).values() for s in marked.stretches
            ]
        except UserError as exc:
            said, stretches = str(exc), []
        else:
            said = str(path)
    assert said.isprintable()
    assert str(path) in said
    assert all(0 <= s.start_s < s.end_s for s in stretches)


def test_prepare_keeps_what_was_marked_and_the_digest_covers_it(
    collection: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    plain = prepare(collection, tmp_path / "prepared").corpus
    dev = next(r for r in plain.of(split="dev", role="known"))
    ranges = table(tmp_path, f'{dev.label}/{dev.path.name},0,1,"[[0.1, 900]]"')
    command = [
        "prepare",
        str(collection),
        "--out",
        str(tmp_path / "prepared"),
        "--annotations",
        str(ranges),
    ]
    result = CliRunner().invoke(train.commands.cli.main, command)
    assert result.exit_code == 0, result.output
    assert "0 in quarantine.csv, 1 annotated; next: " in result.output
    corpus = read_corpus(tmp_path / "prepared")
    assert [r.stretches for r in corpus.recordings if r.stretches] == [
        (Stretch(kind="nocall", start_s=0.1, end_s=0.5),)
    ]
    assert corpus.digest != plain.digest
    kept = tmp_path / "prepared" / "annotations.csv"
    assert kept.read_text() == f'{HEADER}\n{dev.label}/{dev.path.name},0,1,"[[0.1, 0.5]]"\n'
    kept.write_text(kept.read_text().replace("0.1", "0.2"))
    with pytest.raises(UserError, match=r"recordings.csv or annotations.csv was edited after"):
        read_corpus(tmp_path / "prepared")
    assert prepare(collection, tmp_path / "prepared").corpus.digest == plain.digest, (
        "without annotations it is as before"
    )
    assert read_corpus(tmp_path / "prepared").digest == plain.digest
    assert not kept.exists()


def test_a_mark_after_the_end_of_a_recording_is_one_line(
    collection: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    ranges = table(
        tmp_path, 'bird_0/bird0_1.wav,1,0,"[[0.1, 0.2]]"', 'bird_0/bird0_0.wav,0,1,"[[0.7, 0.9]]"'
    )
    result = CliRunner().invoke(
        train.commands.cli.main,
        ["prepare", str(collection), "--out", str(tmp_path / "p"), "--annotations", str(ranges)],
    )
    assert result.exit_code == 1
    said = (
        "line 3, column t_range: starts at 0.7 s, but the recording has 0.500 s; correct or "
        "remove it"
    )
    assert result.output.strip() == f"error: {ranges}, {said}"


def test_secondary_labels_are_kept(tmp_path: Path) -> None:
    rows = [
        {
            "path": f"{label}{i}.wav",
            "label": label,
            "secondary_labels": "Grey Owl; b;a; ;b" if (label, i) == ("a", 0) else "",
        }
        for label in "ab"
        for i in range(4)
    ]
    for seed, row in enumerate(rows):
        sing(tmp_path / row["path"], seed=seed)
    with_labels = prepare(manifest(tmp_path, rows), tmp_path / "prepared").corpus
    corpus = read_corpus(tmp_path / "prepared")
    assert {r.path.name: r.secondary_labels for r in corpus.recordings if r.secondary_labels} == {
        "a0.wav": ("Grey Owl", "b")
    }
    without = prepare(
        manifest(tmp_path, [{**row, "secondary_labels": ""} for row in rows]), tmp_path / "prepared"
    ).corpus
    assert with_labels.digest != without.digest


@pytest.mark.parametrize(
    ("cell", "labels"), [("['comrav', 'norrav', 'x']", ("comrav", "x")), ("[]", ()), ("", ())]
)
def test_birdclefs_secondary_labels_are_a_list_as_python_writes_it(
    cell: str, labels: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "train_short_audio").mkdir()
    metadata = tmp_path / "train_metadata.csv"
    metadata.write_text(f'primary_label,secondary_labels,filename\nnorrav,"{cell}",XC1.ogg\n')
    assert read_listing(tmp_path).recordings[0].secondary_labels == labels


@pytest.mark.parametrize("cell", ["comrav", "['comrav'", "[1]", "{}", "(" * 500])
def test_secondary_labels_that_are_no_list_are_one_line(cell: str, tmp_path: Path) -> None:
    (tmp_path / "train_short_audio").mkdir()
    (tmp_path / "train_metadata.csv").write_text(
        f'primary_label,secondary_labels,filename\nnorrav,"{cell}",XC1.ogg\n'
    )
    with pytest.raises(
        UserError, match=r"XC1.ogg: column secondary_labels: .* is not a list of labels"
    ) as error:
        read_listing(tmp_path)
    assert "\n" not in str(error.value)
