"""Several heads on one trunk: the network runs once a window, and each decides on its labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, Label, ListMargin, load_bundle
from edge.detect.decision import Decision
from edge.detect.engines import load_model, load_models
from edge.detect.ensemble import Ensemble, on_network_of
from edge.detect.layered import Layered, together
from edge.detect.model import Model
from edge.detect.site import OffList, Site
from edge.detect.species_list import parse_species
from edge.errors import BackendError, BundleError
from edge.types import Array, Prediction, Window
from tests.edge.detect.test_offlist import CLOCK
from tests.edge.detect.test_tracker import prediction
from tests.support.audio import noise
from tests.support.bundles import choir_bundle, tiny_bundle, tone
from tests.support.heads import tiny_head

HUMMER = Label(label="hummer", common_name="Hummer", scientific_name="bombus GRAVIS")
GROWLER = Label(label="growler", common_name="Growler", scientific_name="Ursus novus")
WHISTLER = Label(label="whistler", common_name="Whistler", scientific_name="Sibilus medius")
PEEPER = Label(label="high_peeper", common_name="Peeper", scientific_name="Hyla nova")
LOW, MID, HIGH = tone(300, 1), tone(1000, 1), tone(3000, 1)
ALWAYS, NEVER = 26.0, -40.0  # added to a logit: the head accepts, or refuses, whatever it hears


class Counting:
    """An engine that counts how often it is asked."""

    def __init__(self, bundle: Bundle) -> None:
        self._inner = OnnxBackend(bundle.model_path)
        self.calls = 0

    def infer(self, features: Array) -> tuple[Array, Array]:
        self.calls += 1
        return self._inner.infer(features)


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A trunk that may give several labels, with a margin over lists."""
    path = tmp_path_factory.mktemp("bundle") / "choir"
    return choir_bundle(path, list_margin=ListMargin(threshold=0.0, scale=1.0))


@pytest.fixture(scope="module")
def hummers(choir: Bundle) -> Bundle:
    """A head that knows the hummer, and one that the trunk lacks."""
    return tiny_head(choir.path.with_name("hummers"), choir, {HUMMER: 0, GROWLER: -1})


@pytest.fixture(scope="module")
def growlers(choir: Bundle) -> Bundle:
    """A head that hears growlers in all sound, and whistlers."""
    return tiny_head(
        choir.path.with_name("growlers"), choir, {GROWLER: -1, WHISTLER: 1}, bias=(ALWAYS, 0)
    )


def window(samples: Array) -> Window:
    return Window(start_sample=0, end_sample=8000, samples=samples, sample_rate_hz=8000)


def on_one(*bundles: Bundle) -> tuple[list[Model], Counting]:
    """Return models of bundles that share one counting engine."""
    engine = Counting(bundles[0])
    first = Model(bundles[0], engine)
    models = [first, *(on_network_of(first, bundle) for bundle in bundles[1:])]
    engine.calls = 0
    return models, engine


def given_labels(p: Prediction) -> list[str]:
    return [score.label for score in p.accepted]


def test_the_network_runs_once_a_window_for_all(
    choir: Bundle, hummers: Bundle, growlers: Bundle
) -> None:
    for bundles in (
        (choir, hummers),
        (hummers, choir, growlers),
        (hummers, growlers),
        (hummers, hummers),
    ):
        models, engine = on_one(*bundles)
        model = together(models)
        assert isinstance(model, Ensemble if bundles[0] is bundles[1] else Layered)
        for samples in (LOW, MID, HIGH, noise(1)):
            model.predict(window(samples))
        assert engine.calls == 4
        model.predict(window(np.zeros(8000, np.float32)))
        assert engine.calls == 4  # a dead microphone is shown to nobody


def test_loading_opens_the_network_once(choir: Bundle, hummers: Bundle, growlers: Bundle) -> None:
    model = load_models([choir, hummers, growlers], backend="cpu")
    assert isinstance(model, Layered)
    assert len({id(member.backend) for member in model._members}) == 1
    assert model.engine.backend == "onnxruntime-cpu"


def test_the_network_runs_as_the_heads_were_made_on_it(tmp_path: Path) -> None:
    trunk = tiny_bundle(tmp_path / "trunk", variant_errors={"int8-cpu": 0.0})
    head = tiny_head(tmp_path / "head", trunk, {GROWLER: -1})
    assert load_models([trunk]).engine.variant == "int8-cpu"
    for bundles in ([trunk, head], [head, trunk]):
        assert load_models(bundles).engine.variant == "fp32"


def test_each_head_decides_on_its_labels_and_the_trunk_on_the_rest(
    choir: Bundle, hummers: Bundle
) -> None:
    model = load_models([choir, hummers])
    assert model.decision.labels == ("hummer", "growler", "mid_whistler", "high_peeper")
    alone = load_model(hummers)
    low = model.predict(window(LOW))
    assert given_labels(low) == ["hummer"]
    assert low.score == alone.predict(window(LOW)).score
    assert low.novelty == alone.predict(window(LOW)).novelty
    below = load_model(choir).predict(window(MID))
    mid = model.predict(window(MID))
    assert given_labels(mid) == ["mid_whistler"]
    assert (mid.score, mid.novelty) == (below.score, below.novelty)
    # What the head accepts is the head's: the trunk's own verdict stands where it does not.
    assert given_labels(model.predict(window(LOW + MID))) == ["hummer"]


def test_what_the_specialist_refuses_is_not_given_by_the_trunk(choir: Bundle) -> None:
    strict = tiny_head(choir.path.with_name("strict"), choir, {HUMMER: 0}, bias=(NEVER,))
    model = load_models([choir, strict])
    assert given_labels(load_model(choir).predict(window(LOW))) == ["low_hummer"]
    refused = model.predict(window(LOW))
    assert given_labels(refused) == []
    assert refused.novelty > 0.5
    assert refused.nearest in model.decision.labels
    # Each of several labels is judged by itself, so the other one stands.
    assert given_labels(model.predict(window(LOW + HIGH))) == ["high_peeper"]


def test_a_trunk_that_gives_one_label_must_mean_another_one(tmp_path: Path) -> None:
    trunk = tiny_bundle(tmp_path / "trunk")
    strict = tiny_head(tmp_path / "strict", trunk, {HUMMER: 0}, bias=(NEVER,))
    model = load_models([trunk, strict])
    alone = load_model(trunk).predict(window(LOW))
    assert alone.label == "low_hummer"
    refused = model.predict(window(LOW))
    assert refused.label is None
    assert refused.novelty == pytest.approx(1 - alone.novelty)  # as novel as it is familiar
    assert model.predict(window(MID)).label == "mid_whistler"
    assert model.decision.thresholds is None


def test_several_heads_give_their_labels_side_by_side(
    choir: Bundle, hummers: Bundle, growlers: Bundle
) -> None:
    """As each would alone; a label of both is that of the first, so nothing is said twice."""
    model = load_models([hummers, growlers])
    assert model.decision.labels == ("hummer", "growler", "whistler")
    assert given_labels(model.predict(window(LOW))) == ["hummer"]
    assert given_labels(model.predict(window(MID))) == []  # the first head says: no growler
    other = load_models([growlers, hummers])
    assert other.decision.labels == ("growler", "whistler", "hummer")
    both = other.predict(window(LOW))
    assert sorted(given_labels(both)) == ["growler", "hummer"]
    assert both.accepted == tuple(sorted(both.accepted, key=lambda s: -s.score))
    assert both.novelty == min(
        load_model(b).predict(window(LOW)).novelty for b in (growlers, hummers)
    )
    assert model.digest != other.digest
    assert model.digest != load_models([choir, hummers, growlers]).digest


def test_heads_of_the_same_labels_are_averaged_before_they_decide(
    choir: Bundle, hummers: Bundle
) -> None:
    twin = tiny_head(
        choir.path.with_name("twin"), choir, {GROWLER: -1, HUMMER: 0}, bias=(1.0, -2.0)
    )
    model, both = load_models([choir, hummers, twin]), load_models([hummers, twin])
    assert isinstance(both, Ensemble)
    p, q = model.predict(window(LOW)), both.predict(window(LOW))
    np.testing.assert_array_equal(p.scores[:2], q.scores)
    assert (p.label, p.novelty) == (q.label, q.novelty)


@pytest.mark.parametrize(
    ("label", "in_trunk"),
    [
        (HUMMER, -1),  # by the scientific name
        (dataclasses.replace(HUMMER, scientific_name="Bombus novus"), 0),  # by the head's own word
        (Label(label="low_hummer", common_name="H", scientific_name="Bombus alius"), -1),
    ],
)
def test_which_labels_are_one(choir: Bundle, label: Label, in_trunk: int) -> None:
    names = "-".join(filter(str.isalnum, f"{label.label}{in_trunk}"))
    head = tiny_head(choir.path.with_name(names), choir, {label: in_trunk}, bias=(ALWAYS,))
    model = load_models([choir, head])
    assert model.decision.labels == (label.label, "mid_whistler", "high_peeper")
    assert model.bundle.labels[0].scientific_name == label.scientific_name


def test_a_head_without_a_label_of_its_own_is_one_line(choir: Bundle, hummers: Bundle) -> None:
    less = tiny_head(choir.path.with_name("less"), choir, {HUMMER: 0})
    with pytest.raises(BundleError, match="each of its labels is one of a head that is listed"):
        load_models([hummers, choir, less])
    assert load_models([less, hummers]).decision.labels == ("hummer", "growler")


def test_a_trunk_whose_labels_are_all_of_heads_gives_none(choir: Bundle) -> None:
    every = tiny_head(
        choir.path.with_name("every"),
        choir,
        {HUMMER: 0, WHISTLER: 1, PEEPER: 2, GROWLER: -1},
        bias=(NEVER,) * 4,
    )
    p = load_models([choir, every]).predict(window(LOW))
    assert p.label is None
    assert len(p.scores) == 4


def test_heads_of_two_networks_do_not_go_together(choir: Bundle, hummers: Bundle) -> None:
    other = tiny_bundle(choir.path.with_name("other"))
    for bundles in ([other, hummers], [hummers, other]):
        with pytest.raises(BundleError, match="stands on another network than"):
            load_models(bundles)


def test_one_that_fails_on_the_golden_window_is_named(choir: Bundle, hummers: Bundle) -> None:
    class Dead:
        def infer(self, features: Array) -> tuple[Array, Array]:
            raise BackendError("no answer")

    loaded = load_model(hummers)
    loaded.backend = Dead()
    with pytest.raises(BundleError, match="choir: no answer"):
        on_network_of(loaded, load_bundle(choir.path))


def test_the_embedding_and_what_privacy_hears_are_the_trunks(
    choir: Bundle, hummers: Bundle
) -> None:
    alone = load_model(choir).predict(window(MID))
    for bundles in ([choir, hummers], [hummers, choir]):
        p = load_models(bundles).predict(window(MID))
        np.testing.assert_array_equal(p.embedding, alone.embedding)
        np.testing.assert_allclose(p.highest_scores, alone.scores, atol=1e-6)


def test_frames_of_the_trunk_say_when_each_label_is_there(tmp_path: Path) -> None:
    framed = choir_bundle(tmp_path / "framed", frame_threshold=0.5)
    head = tiny_head(tmp_path / "head", framed, {GROWLER: -1, HUMMER: 0})
    samples = LOW.copy()
    samples[4000:] = HIGH[4000:]
    below = load_model(framed).predict(window(samples)).frames
    frames = load_models([head, framed]).predict(window(samples)).frames
    assert below is not None
    assert frames is not None
    spans = [list(frames.spans(k)) for k in range(4)]
    assert spans == [[], *(list(below.spans(k)) for k in (0, 1, 2))]
    assert load_models([head, head]).predict(window(samples)).frames is None


@pytest.fixture(scope="module")
def layers(choir: Bundle, hummers: Bundle) -> Decision:
    return load_models([choir, hummers]).decision


@given(
    scores=st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4),
    novelties=st.lists(st.floats(0, 1), min_size=2, max_size=2),
)
def test_laws_of_the_decision(
    layers: Decision, scores: list[float], novelties: list[float]
) -> None:
    values = np.array(scores, np.float32)
    p = layers.averaged(
        prediction(0, "a"), scores=values, animal=None, novelties=np.array(novelties)
    )
    assert (p.label is None) == (p.novelty > 0.5)
    assert p.nearest in layers.labels
    assert len(set(given_labels(p))) == len(p.accepted)
    assert all(s.score == values[layers.index[s.label]] for s in (*p.accepted, *p.top))
    of_head = {"hummer", "growler"} & set(given_labels(p))
    assert bool(of_head) == (novelties[0] <= 0.5)
    if of_head:
        assert given_labels(p) == [layers.labels[int(values[:2].argmax())]]
    assert list(p.rule_novelties) == novelties


def listed(decision: Decision, p: Prediction, *names: str, off_list: OffList) -> Prediction:
    species = parse_species([*names])
    site = Site(species, clock_at=lambda sample: CLOCK, decision=decision, off_list=off_list)
    return site(p)


def test_lists_of_species_hold_for_all_labels(choir: Bundle, hummers: Bundle) -> None:
    model = load_models([choir, hummers])
    low, both = model.predict(window(LOW)), model.predict(window(MID + HIGH))
    decision = model.decision
    assert given_labels(listed(decision, low, "hummer", off_list="unknown")) == ["hummer"]
    absent = listed(decision, low, "mid_whistler", off_list="unknown")
    assert (absent.label, absent.nearest) == (None, "hummer")
    assert absent.novelty == pytest.approx(1 - low.novelty)
    assert sorted(given_labels(both)) == ["high_peeper", "mid_whistler"]
    # Among the trunk's labels its margin says whether one that is listed is believed.
    apart = load_model(choir)
    whole = apart.predict(window(MID + HIGH))
    for names in (("mid_whistler",), ("high_peeper",), ("mid_whistler", "high_peeper")):
        ours = listed(decision, both, *names, off_list="unknown")
        theirs = listed(apart.decision, whole, *names, off_list="unknown")
        assert given_labels(ours) == given_labels(theirs)
        assert ours.novelty == pytest.approx(theirs.novelty, abs=1e-3)
    # The best that is listed passes by the rule of its own layer.
    assert given_labels(listed(decision, both, "growler", off_list="next")) == []
    assert given_labels(listed(decision, both, "high_peeper", off_list="next")) == ["high_peeper"]
