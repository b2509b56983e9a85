"""A long recording in stretches, each heard by itself; together they are what the whole is.

A stretch gives the predictions of its windows, which depend on nothing but the sound in them. What
carries something from window to window, smoothing and tracker, then goes over the predictions of
all stretches in one place. That the sound is that of the whole recording is checked where stretches
meet; where it is not, the recording is heard in one.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge.archive.hearing import Hearing, hear, kept_of, table_without
from edge.archive.keeping import AnswersKept, Keeps
from edge.bundle import FrontendSpec
from edge.clock import file_clock
from edge.detect.pipeline import Break, events_of
from edge.detect.smoothing import Smoothing
from edge.detect.tracker import Tracker
from edge.detect.unjudged import NOTHING
from edge.detect.windows import windower_of
from edge.errors import AudioError, BackendError
from edge.replay.failing import failing_alone
from edge.replay.formats.base import ReplayResult
from edge.replay.listening import listened
from edge.replay.meter import ReplayMeter
from edge.replay.recordings import Recording
from edge.replay.replayer import Replayer
from edge.sources.channels import channel_of
from edge.sources.file import Reading
from edge.sources.header import AudioFacts, audio_facts
from edge.sources.stretch import Joint, StretchSource, can_be_cut, samples_of, whole_reading
from edge.types import AudioBlock, Detection, Prediction

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["HeardStretch", "Stretch", "hear_stretch", "joined", "stretches_of"]

# What is heard of all stretches lies in one worker's memory until they are joined: of a window its
# prediction, and 4 bytes for each label.
MOST_JOINED_BYTES, WINDOW_BYTES = 250_000_000, 500
SPARE = 2  # samples by which a recording may be shorter than its header says in another rate


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """The windows of a recording that start from the sample `start` on and before `end`.

    `end` is None for the last one. `facts` are those of the recording, which is not looked at again
    for each.
    """

    facts: AudioFacts
    start: int
    end: int | None


@dataclass(frozen=True, kw_only=True)
class HeardStretch:
    """What was heard in a stretch: predictions, pickled, and perhaps rows of `embeddings`."""

    joint: Joint
    predictions: bytes
    embeddings: pa.Table | None = None


def stretches_of(
    file: str, spec: FrontendSpec, *, hop_s: float, task_s: float, labels: int
) -> tuple[Stretch, ...]:
    """Return the stretches of about `task_s` into which a recording is cut.

    There are none where it is short, cannot be read, cannot be decoded from any place on, or where
    predictions of so many windows and `labels` would be too much to join.
    """
    try:
        facts = audio_facts(file)
    except (AudioError, OSError):
        return ()  # whoever hears it says why
    rate_hz = spec.sample_rate_hz
    if (facts.duration_s or 0.0) < 1.5 * task_s or not can_be_cut(facts, rate_hz):
        return ()
    hop = round(hop_s * rate_hz)
    windows = (samples_of(facts, rate_hz) - SPARE - spec.window_samples) // hop + 1
    if windows * (WINDOW_BYTES + 4 * labels) > MOST_JOINED_BYTES:
        return ()
    each = max(1, round(task_s * rate_hz / hop))
    starts = [k * hop for k in range(0, windows, each)]
    ends = [*starts[1:], None]
    pairs = zip(starts, ends, strict=True)
    return tuple(Stretch(facts=facts, start=start, end=end) for start, end in pairs)


def hear_stretch(
    replayer: Replayer, recording: Recording, stretch: Stretch, keeps: Keeps
) -> HeardStretch | AudioError:
    """Hear the windows of one stretch; its failure is a value."""
    return failing_alone(recording, lambda: _heard(replayer, stretch, keeps))


def joined(
    replayer: Replayer,
    recording: Recording,
    stretches: Sequence[Stretch],
    heard: Sequence[HeardStretch | AudioError],
    keeps: Keeps,
) -> Hearing:
    """Return what became of a recording of which all `stretches` were heard.

    Where these are not those of the whole, it is heard in one.
    """
    facts, channel = stretches[0].facts, replayer.settings.channel
    whole = [one for one in heard if isinstance(one, HeardStretch)]
    reading: Reading | None = None
    if len(whole) == len(stretches):
        reading = whole_reading(facts, channel, [one.joint for one in whole])
    if reading is None:
        return hear(replayer, recording, keeps)
    source = _Joined(
        facts=facts,
        channel=channel_of(facts, channel),
        sample_rate_hz=replayer.bundle.frontend.sample_rate_hz,
        reading=reading,
    )
    embeddings = [one.embeddings for one in whole if one.embeddings is not None]
    with kept_of(replayer, keeps) as kept:

        def play() -> ReplayResult:
            events = _Events(whole, source.sample_rate_hz)
            result = replayer.finished(source, events, start=recording.start, spool=kept.spool)
            return replace(result, file=recording.name)

        return kept.hearing(failing_alone(recording, play), embeddings)


@dataclass(frozen=True, kw_only=True)
class _Joined:
    """A recording that was read in stretches; see `Played`."""

    facts: AudioFacts
    channel: int | Literal["mix"]
    sample_rate_hz: int
    reading: Reading


class _Events:
    """Passes the predictions of all stretches through what follows on the model."""

    def __init__(self, heard: Sequence[HeardStretch], rate_hz: int) -> None:
        self._heard = heard
        self._rate_hz = rate_hz

    def __call__(
        self, smoothing: Smoothing, tracker: Tracker, meter: ReplayMeter
    ) -> Iterator[Detection]:
        # Without memory: one zero, as often as there are samples.
        samples = np.broadcast_to(np.float32(0), (self._heard[-1].joint.end,))
        block = AudioBlock(start_sample=0, samples=samples, sample_rate_hz=self._rate_hz)
        meter.block(block)
        return events_of(self._predictions(meter), smoothing=smoothing, tracker=tracker)

    def _predictions(self, meter: ReplayMeter) -> Iterator[Prediction | Break]:
        for one in self._heard:
            for p in pickle.loads(one.predictions):
                meter.prediction(p)
                yield p


def _heard(replayer: Replayer, stretch: Stretch, keeps: Keeps) -> HeardStretch:
    spec, settings = replayer.bundle.frontend, replayer.settings
    source = StretchSource(
        stretch.facts,
        sample_rate_hz=spec.sample_rate_hz,
        start=stretch.start,
        end=stretch.end,
        shared=spec.window_samples,
        channel=settings.channel,
        block_s=settings.block_s,
    )
    answers = None if keeps.embeddings is None else AnswersKept(keeps.embeddings, stretch.start)
    blocks, model = listened(source.blocks(), replayer.model, answers)
    windower = windower_of(spec, settings.hop_s)
    predictions = []
    for block in blocks:
        for window in windower.push(block):
            if stretch.end is None or window.start_sample < stretch.end:
                # Nothing that follows on the model looks at these.
                p = replace(model.predict(window), embedding=NOTHING, highest=None)
                predictions.append(p)
    if source.joint is None:
        raise BackendError("a stretch of it was not read to its end")
    table = None
    if answers is not None:
        clock = file_clock(stretch.facts, sample_rate_hz=spec.sample_rate_hz, zone=settings.zone)
        table = table_without(answers.rows(clock), "embeddings", keeps)
    return HeardStretch(
        joint=source.joint,
        predictions=pickle.dumps(predictions, pickle.HIGHEST_PROTOCOL),
        embeddings=table,
    )
