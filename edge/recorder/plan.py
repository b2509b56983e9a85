"""A configuration that has proved itself, and the parts that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.bundle import FP32, Bundle, load_bundles
from edge.bundle.places import named_bundle
from edge.bundle.precision import LeastScores
from edge.clock import Clock
from edge.config.config import Config
from edge.detect.engines import load_models
from edge.detect.model import Classifier
from edge.detect.place import PlaceSpecies, place_species
from edge.detect.precision import PrecisionFilter, least_scores
from edge.detect.privacy import Privacy
from edge.detect.site import Expected, site_of
from edge.detect.species_names import resolve_species
from edge.detect.windows import windower_of
from edge.errors import blamed_on, known_as
from edge.models import default_bundle_path
from edge.provenance import Provenance, placed_at, provenance_of
from edge.sources.memory import SoundMemory

__all__ = ["RecorderPlan", "make_plan", "sound_memory"]

# What the parts call their parameters, and the keys that set them.
KEYS = {
    "hop_s": "model.hop_s",
    "backend": "model.backend",
    "precision": "model.precision",
    "language": "site.language",
}


@dataclass(frozen=True, kw_only=True)
class RecorderPlan:
    """What a recorder is made from: its bundles gave the right answers on their golden windows.

    `config` lists species by their labels; where it does not, `place_species` are those of the
    place. `bundle` is the model's: the first of several, with the labels of all. `network` is the
    digest of that which embeddings are of. `least_scores` are those for the precision that is
    wanted.
    """

    config: Config
    device: str
    bundle: Bundle
    model: Classifier
    network: str
    provenance: Provenance
    privacy: Privacy
    place_species: PlaceSpecies | None = None
    least_scores: LeastScores | None = None

    def precision(self, left_out: Callable[[str], None]) -> PrecisionFilter:
        """Return what keeps the wanted precision; `left_out` is told of other events."""
        return PrecisionFilter(scores=self.least_scores, left_out=left_out)

    @property
    def memory(self) -> SoundMemory:
        """How much sound is kept, in memory."""
        return sound_memory(self.config, window_s=self.bundle.frontend.window_s)

    def site(self, clock_at: Callable[[int], Clock]) -> Expected:
        """Return what withholds labels that are not expected, by the clock `clock_at` a sample."""
        chosen = self.config.site
        return site_of(
            chosen.species,
            self.place_species,
            clock_at=clock_at,
            decision=self.model.decision,
            off_list=chosen.offlist,
        )


def sound_memory(config: Config, *, window_s: float) -> SoundMemory:
    """Return how much sound is kept so that the sound of any event is still there at its end."""
    if not config.clips.enabled:
        return config.audio.memory()
    # An event is known to have ended after its cool-down and the two windows that smoothing and
    # absence take.
    lag_s = config.tracker.cooldown_s + config.smoothing.slide_s + 4 * window_s
    recent_s = config.tracker.longest_s + 2 * config.clips.padding_s + lag_s
    return config.audio.memory(recent_s=recent_s)


def make_plan(config: Config) -> RecorderPlan:
    """Load and test what `config` names, and change nothing.

    Raises `UserError`, whose `fault` names the key that led to it.
    """
    chosen = config.model
    key, value = "model.bundle", str(chosen.bundle) if chosen.bundle else "null"
    if chosen.bundles is not None:
        key, value = "model.bundles", ", ".join(map(str, chosen.bundles))
    named = chosen.bundles or ((chosen.bundle,) if chosen.bundle else ())
    trusted = chosen.trusted()
    with known_as(KEYS), blamed_on(key, value, "leave it out for the default"):
        paths = [named_bundle(path) for path in named] or [default_bundle_path()]
        bundles = load_bundles(paths, trusted=trusted)
        windower_of(bundles[0].frontend, chosen.hop_s)  # so that a hop that cannot be is found now
        model = load_models(
            bundles, backend=chosen.backend, folder=chosen.engines, limits=config.health
        )
    species = resolve_species(config.site.species, model.bundle.known_names, key="site.species")
    site = config.site.model_copy(update={"species": species})
    # A model that knows nothing of places is no fault: the position goes into the clips.
    counts = species.is_change if species else model.bundle.occurrence is not None
    place = config.site.place if counts else None
    config = config.model_copy(update={"site": site})
    with known_as(KEYS):
        provenance = provenance_of(
            model, language=site.language, bundles=bundles, **config.epoch, **placed_at(place)
        )
        wanted = least_scores(model, chosen.precision)
    return RecorderPlan(
        config=config,
        device=config.device_id(),
        bundle=model.bundle,
        privacy=Privacy(config.privacy, [bundle.heard_labels for bundle in bundles]),
        model=model,
        network=_network(bundles[0], model),
        place_species=place_species(model.bundle, place, key="site.species", species=species),
        provenance=provenance,
        least_scores=wanted,
    )


def _network(first: Bundle, model: Classifier) -> str:
    """Return what names the network of the first bundle, which embeddings are of."""
    variant = model.engine.variant
    return first.trunk_digest + ("" if variant == FP32 else f"|{variant}")
