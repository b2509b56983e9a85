"""One recording through the same pipeline as the live recorder, to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from edge.bundle import Bundle, load_bundles
from edge.clock import Clock, file_clock
from edge.detect.engines import load_models
from edge.detect.pipeline import detect
from edge.detect.place import place_species
from edge.detect.precision import PrecisionFilter, least_scores
from edge.detect.site import site_of
from edge.detect.smoothing import Smoothing, smoothing_of
from edge.detect.species_names import resolve_species
from edge.detect.tracker import Tracker
from edge.detect.windows import windower_of
from edge.errors import AudioError, known_as
from edge.provenance import Provenance, chosen_later, placed_at, provenance_of
from edge.replay.attention import Attention, attention_over
from edge.replay.failing import failing_alone
from edge.replay.formats.base import ReplayResult
from edge.replay.listening import Listener, listened
from edge.replay.meter import ReplayMeter
from edge.replay.recordings import Recording
from edge.replay.settings import ReplaySettings
from edge.replay.stages import Played, Stages
from edge.sources.file import FileSource
from edge.types import Detection

__all__ = ["Outcome", "Progress", "Replayer", "event_order"]

Outcome = ReplayResult | AudioError
Events = Iterator[Detection]
# Is called with the number of files done, the fraction of the one at hand included.
Progress = Callable[[float], None]
# What the parts call their parameters, and the options that set them.
OPTIONS = {
    "hop_s": "--hop-s",
    "backend": "--backend",
    "language": "--language",
    "precision": "--precision",
}


class Replayer:
    """One process's model, ready to replay recordings one after another.

    Raises `BundleError` when a bundle fails its self-test, `ConfigError` naming an option.
    """

    def __init__(self, settings: ReplaySettings) -> None:
        self.settings = settings
        self.bundles = bundles = load_bundles((settings.bundle, *settings.more_bundles))
        self.bundle = bundles[0]
        with known_as(OPTIONS):
            # Before any file is opened: a hop that cannot be.
            windower_of(self.bundle.frontend, settings.hop_s)
            self.model = load_models(
                bundles,
                backend=settings.backend,
                folder=settings.engines,
                limits=settings.limits,
                variant=settings.variant,
            )
        self._species = resolve_species(
            settings.species, self.model.bundle.known_names, key="--species"
        )
        self._place_species = place_species(
            self.model.bundle, settings.place, key="--lat", species=self._species
        )
        self.licences = [
            f"{bundle.manifest.name}: licence {bundle.manifest.licence}"
            for bundle in bundles
            if bundle.manifest.licence
        ]
        with known_as(OPTIONS):
            self.provenance = self._provenance(settings, bundles)
            self._least_scores = least_scores(self.model, settings.precision)

    def _provenance(self, settings: ReplaySettings, bundles: Sequence[Bundle]) -> Provenance:
        return provenance_of(
            self.model,
            hop_s=settings.hop_s,
            language=settings.language,
            bundles=bundles,
            tracker=settings.tracker.decisive,
            health=settings.limits,
            **chosen_later(
                species=self._species,
                smoothing=settings.smoothing,
                channel=settings.channel,
                offlist=settings.offlist,
                precision=settings.precision,
            ),
            **placed_at(settings.place),
        )

    @property
    def networks(self) -> frozenset[str]:
        """Digests of the networks that judge; heads on one trunk have one."""
        return frozenset(bundle.trunk_digest for bundle in self.bundles)

    def replay(
        self,
        file: str,
        *,
        start: datetime | None = None,
        spool: Path | None = None,
        listener: Listener | None = None,
        progress: Progress = lambda fraction: None,
    ) -> ReplayResult:
        """Replay the recording `file` to its end; it began at `start` where that is known.

        `listener` gets what the networks say. Raises `AudioError` where nothing can be read.
        """
        source = FileSource(
            file,
            sample_rate_hz=self.bundle.frontend.sample_rate_hz,
            block_s=self.settings.block_s,
            channel=self.settings.channel,
        )
        blocks, model = listened(source.blocks(), self.model, listener)

        def events(smoothing: Smoothing, tracker: Tracker, meter: ReplayMeter) -> Events:
            return detect(
                blocks,
                windower=windower_of(self.bundle.frontend, self.settings.hop_s),
                model=model,
                smoothing=smoothing,
                tracker=tracker,
                meter=meter,
            )

        return self.finished(source, events, start=start, spool=spool, progress=progress)

    def finished(
        self,
        source: Played,
        events: Callable[[Smoothing, Tracker, ReplayMeter], Events],
        *,
        start: datetime | None = None,
        spool: Path | None = None,
        progress: Progress = lambda fraction: None,
    ) -> ReplayResult:
        """Return the result of a recording that was `played`, whose `events` pass what follows on
        the model.
        """
        clock = file_clock(
            source.facts,
            sample_rate_hz=source.sample_rate_hz,
            start=start,
            zone=self.settings.zone,
        )
        meter = ReplayMeter(duration_s=source.facts.duration_s, progress=progress)
        stages = self.stages(source.facts.identity, clock, leave_out=meter.leave_out)
        with stages.spooled(spool) as smoothing:
            found = events(smoothing, stages.tracker, meter)
            ended = sorted(found, key=event_order)
        return ReplayResult(
            file=source.facts.path,
            path=source.facts.path,
            identity=source.facts.identity,
            duration_s=meter.end / source.sample_rate_hz,
            clock=clock,
            detections=tuple(ended),
            effort=meter.effort(source),
            channel=source.channel,
            notes=source.reading.notes,
            position=self.settings.position,
            spool=spool,
        )

    def attention(self, result: ReplayResult) -> Attention | None:
        """Return where the network looked in a recording; None where it does not say."""
        return attention_over(
            result.path,
            self.model,
            duration_s=result.duration_s,
            hop_s=self.settings.hop_s,
            channel=result.channel,
        )

    def outcome(
        self,
        recording: Recording,
        *,
        spool: Path | None = None,
        listener: Listener | None = None,
        progress: Progress = lambda fraction: None,
    ) -> Outcome:
        """Replay one recording; its failure is a value, so that the others go on."""

        def play() -> ReplayResult:
            result = self.replay(
                recording.file,
                start=recording.start,
                spool=spool,
                listener=listener,
                progress=progress,
            )
            return replace(result, file=recording.name)

        return failing_alone(recording, play)

    def stages(
        self, identity: str, clock: Clock, *, leave_out: Callable[[str], None] = lambda label: None
    ) -> Stages:
        """Return what follows on the model, for a recording whose sound has this `identity`.

        `leave_out` gets the label of each event that is left out for the precision that is wanted.
        """
        settings, decision = self.settings, self.model.decision
        site = site_of(
            self._species,
            self._place_species,
            clock_at=lambda sample: clock,
            decision=decision,
            off_list=settings.offlist,
        )
        rate_hz = self.bundle.frontend.sample_rate_hz
        return Stages(
            site=site,
            smoothing=smoothing_of(settings.smoothing, decision=decision, sample_rate_hz=rate_hz),
            tracker=Tracker(
                decision=decision,
                identity=f"{identity}|{self.provenance.identity}",
                config=settings.tracker,
                site=site,
                precision=PrecisionFilter(scores=self._least_scores, left_out=leave_out),
                ends_only=True,
            ),
        )


def event_order(d: Detection) -> tuple[int, int, str]:
    """Return the order in which the events of a recording are given out."""
    return d.start_sample, d.end_sample, d.label or ""
