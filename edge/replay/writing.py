"""Replays recordings, writes the results into one output or one each, and says what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol, TextIO

import click

from edge.errors import AudioError, ConfigError
from edge.replay.formats import Format, open_format
from edge.replay.formats.base import FormatWriter, ReplayResult
from edge.replay.formats.words import unjudged_words
from edge.replay.output import refuse_to_overwrite, text_output
from edge.replay.per_file import Places, check_places
from edge.replay.progress import Report, progress_bar
from edge.replay.recordings import Recording
from edge.replay.replay import replay
from edge.replay.replayer import Replayer
from edge.terminal import aside

__all__ = ["Output", "OutputChoice"]

OpenFormat = Callable[[TextIO], FormatWriter]


@dataclass(frozen=True, kw_only=True)
class OutputChoice:
    """What of the results a person wants to have written, and where.

    `out` is a file, None for standard output; with `per_file` a folder, None for beside each
    recording, and files that are there are replaced if `overwrite` or, with `resume`, taken to be
    what this replay would write. `min_score` is that of named
    detections; an unknown sound has no name that a score could speak for. `top` labels have columns
    of their own.
    """

    form: Format
    out: str | None = None
    plot: str | None = None
    per_file: bool = False
    overwrite: bool = False
    resume: bool = False
    min_score: float = 0.0
    top: int | None = None

    def wanted(self, result: ReplayResult) -> ReplayResult:
        """Return a result with those detections only that are wanted."""
        kept = (d for d in result.detections if d.label is None or d.score >= self.min_score)
        return replace(result, detections=tuple(kept))


class Output:
    """The output of a replay of `recordings`, found in what was `given` to the command.

    Raises `ConfigError` where it cannot be, before anything is replayed.
    """

    def __init__(
        self,
        choice: OutputChoice,
        recordings: Sequence[Recording | AudioError],
        *,
        given: Sequence[str],
    ) -> None:
        self._choice = choice
        self._recordings: Sequence[Recording | AudioError] = recordings
        self._due: dict[str, str] = {}
        self._places: Places | None = None
        files = [found.name for found in recordings if isinstance(found, Recording)]
        if choice.per_file:
            self._places = Places(files, given=given, form=choice.form, folder=choice.out)
            self._due = self._places.of
            if choice.resume:
                self._leave_out_what_is_there(self._places)
            check_places(self._due, overwrite=choice.overwrite)
        out = None if choice.per_file else choice.out
        refuse_to_overwrite([out, choice.plot, *self._due.values()], files)
        _check_picture(choice, recordings)

    def write(self, replayer: Replayer, *, workers: int) -> bool:
        """Replay and write all recordings; return whether all of every one could be."""
        if self._places is not None:
            each = _OneEach(self._places, self._opener(replayer))
            return self._replayed_into(each, replayer, workers)
        with text_output(self._choice.out) as stream:
            shared = _OneForAll(stream, self._opener(replayer))
            whole = self._replayed_into(shared, replayer, workers)
            if shared.writer is None:
                # Within the block, so that the output does not appear.
                raise click.exceptions.Exit(1)
            shared.writer.close()
        return whole

    def _leave_out_what_is_there(self, places: Places) -> None:
        """Keep the recordings without results: a file of results is whole or not there."""
        self._due = due = places.missing()
        if len(due) < len(places.of):
            aside(f"{len(places.of) - len(due)} of {len(places.of)} are there already")
        self._recordings = [
            found
            for found in self._recordings
            if not isinstance(found, Recording) or found.name in due
        ]

    def _replayed_into(self, writer: _Writer, replayer: Replayer, workers: int) -> bool:
        whole = True
        choice = self._choice
        to_screen = choice.out in (None, "-") and not choice.per_file
        with (
            progress_bar(
                len(self._recordings), streaming=to_screen and choice.form != "table"
            ) as report,
            closing(  # a full disk ends it early
                replay(
                    replayer,
                    self._recordings,
                    workers=workers,
                    progress=report.advance,
                    in_order=not choice.per_file,
                )
            ) as outcomes,
        ):
            for done, outcome in enumerate(outcomes, 1):
                report.advance(done)
                if not isinstance(outcome, ReplayResult):
                    report.complain(str(outcome))
                    whole = False
                    continue
                _remark(outcome, report)
                whole = whole and not outcome.effort.missing_s > 0
                result = choice.wanted(outcome)
                writer.write(result)
                self._draw(result, replayer)
        return whole

    def _opener(self, replayer: Replayer) -> OpenFormat:
        several = len(self._recordings) > 1 and not self._choice.per_file
        form, top = self._choice.form, self._choice.top or 0
        return lambda stream: open_format(
            form, stream, replayer.provenance, several=several, top=top
        )

    def _draw(self, result: ReplayResult, replayer: Replayer) -> None:
        if self._choice.plot is None:
            return
        from edge.replay.plot import draw

        draw(
            result,
            path=self._choice.plot,
            spec=replayer.bundle.frontend,
            provenance=replayer.provenance,
            attention=replayer.attention(result),
        )


class _Writer(Protocol):
    """Writes one result after another."""

    def write(self, result: ReplayResult) -> None: ...


class _OneForAll:
    """Writes all results into one stream.

    It is opened by the first: when no recording can be read, not even a heading is written.
    """

    def __init__(self, stream: TextIO, opener: OpenFormat) -> None:
        self._stream = stream
        self._opener = opener
        self.writer: FormatWriter | None = None

    def write(self, result: ReplayResult) -> None:
        self.writer = self.writer or self._opener(self._stream)
        self.writer.write(result)


class _OneEach:
    """Writes each result into the file that `places` has for its recording."""

    def __init__(self, places: Places, opener: OpenFormat) -> None:
        self._places = places
        self._opener = opener

    def write(self, result: ReplayResult) -> None:
        place = self._places.of[result.file]
        self._places.note(result.file)
        os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
        with text_output(place) as stream:
            writer = self._opener(stream)
            writer.write(result)
            writer.close()


def _check_picture(choice: OutputChoice, recordings: Sequence[Recording | AudioError]) -> None:
    if choice.plot is None:
        return
    from edge.replay.plot import check_picture

    if len(recordings) > 1:
        reason = f"draws one recording, and {len(recordings)} were given"
        raise ConfigError(reason, key="--plot")
    if choice.out is not None and os.path.realpath(choice.out) == os.path.realpath(choice.plot):
        raise ConfigError("is the file of --out, too", key="--plot", value=choice.plot)
    check_picture(choice.plot)


def _remark(result: ReplayResult, report: Report) -> None:
    """Tell the person at the terminal what of a recording is not as it should be."""
    for note in result.notes:
        report.warn(f"{result.file}: {note}")
    if unjudged := unjudged_words(result.effort, "were "):
        report.warn(f"{result.file}: {unjudged}")
