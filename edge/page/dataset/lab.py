"""A dataset as the page looks at it: an index, answers, and a place for each of its sites."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import partial
from pathlib import Path

from edge.archive.dataset import holder
from edge.archive.manifest import chosen_bundle
from edge.clock import parse_zone
from edge.errors import ConfigError
from edge.page.answers import Answers
from edge.page.cluster_runs import ClusterRuns
from edge.page.clusters import FILE as CLUSTERS
from edge.page.dataset.cuts import Cuts
from edge.page.dataset.following import Follower
from edge.page.dataset.index import DatasetIndex, Site, day_with_sound, zones_of
from edge.page.dataset.roots import Roots
from edge.page.dataset.state import KEY
from edge.page.dataset.tables import INDEX
from edge.page.dataset.totals import Totals, totals_of
from edge.page.here import Here, Reading
from edge.page.history import HeardHours
from edge.page.late_clips import LateClips
from edge.page.pictures import Pictures
from edge.page.place import Shown

__all__ = ["DatasetPlaces", "Lab", "dataset_places"]

FAR = datetime(2200, 1, 1, tzinfo=timezone.utc)  # the end of all recordings
KNOWN_HOURS = 50  # sites of which the hours heard are kept


@dataclass(frozen=True, kw_only=True)
class DatasetPlaces:
    """Where things are: the dataset, what can be made again of it in `cache`, and in `state`
    answers and password, which cannot.

    Of a dataset that several bundles have heard, `bundle` is the digest of that which is looked at,
    and all of this is its own.
    """

    dataset: Path
    cache: Path
    state: Path
    bundle: str | None = None

    @property
    def index(self) -> Path:
        return self.cache / INDEX

    @property
    def labels(self) -> Path:
        return self.state / "labels" / "labels.db"


def dataset_places(
    dataset: Path, state: Path | None = None, *, bundle: str | None = None
) -> DatasetPlaces:
    """Return the places for a dataset, in folders of the person who looks at it; `bundle` is how
    the digest of that begins whose detections are meant.

    Nothing of them is in the dataset: it may be a stranger's, or not writable. Raises `ConfigError`
    for what is no dataset, and where it is not clear which bundle is meant.
    """
    try:
        dataset = dataset.resolve()
        chosen = chosen_bundle(dataset, bundle, key=KEY)
    except OSError as exc:
        reason = f"cannot be read ({exc.strerror or exc})"
        raise ConfigError(reason, key=KEY, value=dataset) from exc
    name = hashlib.sha256(os.fsencode(dataset)).hexdigest()[:12]
    own = Path("edge-monitor", "datasets", f"{dataset.name[:40]}-{name}")
    cache = _base("CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache") / own
    kept = state or _base("STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state") / own
    part = chosen or ""
    return DatasetPlaces(dataset=dataset, cache=cache / part, state=kept / part, bundle=chosen)


def _base(service: str, person: str, below_home: str) -> Path:
    """Return the folder of a service, else that of the person (XDG Base Directories)."""
    given = os.environ.get(service, "").partition(":")[0] or os.environ.get(person, "")
    if os.path.isabs(given):
        return Path(given)
    try:
        return Path.home() / below_home
    except RuntimeError as exc:
        raise ConfigError("is needed, as this user has no home", key=person) from exc


class Lab:
    """The dataset that the page shows. Any thread may call any method."""

    def __init__(
        self,
        places: DatasetPlaces,
        recordings: Sequence[str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        """`recordings` are the places that may be opened; raises `ConfigError` for one of none."""
        self.places = places
        self.index = DatasetIndex(places.index)
        self.follower = Follower(places.dataset, places.index, bundle=places.bundle)
        self.cuts = Cuts(self.index, Roots(recordings), places.cache / "clips")
        self._answers = Answers(places.labels)
        self._clusters = ClusterRuns(places.index, places.labels.with_name(CLUSTERS))
        self._late_clips = LateClips(self._answers, self.place([], None))
        self._pictures = Pictures(places.cache / "pictures")
        self._now = now
        self._heard: dict[tuple[int | None, int], HeardHours] = {}

    @property
    def labels(self) -> Path:
        """The database of answers."""
        return self.places.labels

    def follow(self, say: Callable[[str], None]) -> None:
        """Read the dataset, and go on doing so where it changes; raises `UserError`."""
        self.follower.read(say)
        self.follower.start()

    def filled_by(self) -> str | None:
        """Return which process fills the dataset now, None for none."""
        return holder(self.places.dataset)

    def here(self, sites: Sequence[Site], site: Site | None) -> Here:
        """Return what the views look at: a site, or all of them."""
        place = self.place(sites, site)
        key = (None if site is None else site.number, self.index.changes())
        if key not in self._heard:
            if len(self._heard) > KNOWN_HOURS:
                self._heard.clear()
            self._heard[key] = HeardHours()
        reading = partial(self.index.reading, key[0])
        return Here(
            place=place,
            pictures=self._pictures,
            answers=self._answers,
            clusters=self._clusters,
            late_clips=self._late_clips,
            heard=self._heard[key],
            now=self._now,
            reading=reading,
            today=lambda: self._last_day(reading, place),
            beside=lambda day: _days_beside(reading, place, day),
            totals=lambda most_faults: self._totals(key[0], most_faults),
        )

    def _totals(self, site: int | None, most_faults: int) -> Totals:
        with self.index.reading() as db:
            return totals_of(db, site, most_faults=most_faults)

    def place(self, sites: Sequence[Site], site: Site | None) -> Shown:
        """Return the place of a site, or that of all, whose zone is what they have in common."""
        zones = zones_of([site] if site is not None else sites)
        return Shown(
            config=None,
            store=self.places.index,
            clips=self.cuts,
            labels=self.places.labels,
            pictures=self.places.cache / "pictures",
            zone=_zone(zones.pop() if len(zones) == 1 else None),
        )

    def _last_day(self, reading: Reading, place: Shown) -> date:
        with reading() as db:
            found = day_with_sound(db, FAR, before=True)
        return place.local(found or self._now()).date()


def _days_beside(reading: Reading, place: Shown, day: date) -> tuple[date | None, date | None]:
    """Return the nearest days with sound before and after one."""
    with reading() as db:
        before = day_with_sound(db, place.midnight(day), before=True)
        after = day_with_sound(db, place.midnight(day + timedelta(days=1)), before=False)
    earlier, later = (None if at is None else place.local(at).date() for at in (before, after))
    return earlier, later


def _zone(name: str | None) -> tzinfo:
    """Return a zone; UTC where none is known, or none that this machine knows."""
    try:
        return timezone.utc if name is None else parse_zone(name)
    except ValueError:
        return timezone.utc
