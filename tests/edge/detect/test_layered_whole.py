"""Heads on a trunk, in replay and recorder: configuration, lists, places, messages, smoothing."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.bundle import Bundle, Label, write_bundle
from edge.bundle.rules import MaxLogit
from edge.cli import main
from edge.config.config import load_config
from edge.detect.layered import Layered
from edge.detect.smoothing import SmoothingConfig
from edge.errors import BundleError
from edge.recorder.daemon import Daemon
from edge.recorder.plan import make_plan
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.types import Array
from edge.wire import info_payload
from tests.edge.detect.test_layered import GROWLER, HUMMER, NEVER
from tests.edge.detect.test_place import model as occurrence
from tests.edge.recorder.test_check import findings
from tests.edge.recorder.test_daemon import rows, states
from tests.edge.test_wire import SCHEMA
from tests.support.audio import noise, write_audio
from tests.support.bundles import LABELS, SPEC, banded_bundle, choir_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.heads import tiny_head


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("bundle") / "choir")


@pytest.fixture(scope="module")
def garden(choir: Bundle) -> Bundle:
    """Knows the hummer by another name, and never takes a whistler for one."""
    whistler = dataclasses.replace(LABELS[1], label="whistler")
    labels = {HUMMER: 0, GROWLER: -1, whistler: 1}
    return tiny_head(choir.path.with_name("garden"), choir, labels, bias=(0, 0, NEVER))


def sounds() -> Array:
    """A hummer, a whistler with a peeper, and a whistler; 12 s with faint noise."""
    samples = noise(12, level=1e-4)
    samples[8_000:24_000] += tone(300, 2)
    samples[40_000:56_000] += tone(1000, 2) + tone(3000, 2)
    samples[64_000:80_000] += tone(1000, 2)
    return samples


@pytest.fixture
def dawn(tmp_path: Path) -> str:
    return write_audio(tmp_path / "20240501_053000.wav", sounds())


def replayed(recording: str, *words: object, options: tuple[str, ...] = ()) -> Result:
    bundles = [part for word in words for part in ("--bundle", str(word))]
    arguments = ["replay", *bundles, "--hop-s", "0.5", "--format", "jsonl", *options, recording]
    return CliRunner().invoke(main, arguments)


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def named(found: list[dict[str, Any]]) -> list[str]:
    return [d["label"] for d in found if d["label"] is not None]


def test_a_replay_names_each_sound_once(dawn: str, choir: Bundle, garden: Bundle) -> None:
    alone = lines(replayed(dawn, choir.path))
    assert named(alone) == ["low_hummer", "mid_whistler", "high_peeper"]
    both = lines(replayed(dawn, choir.path, f"{choir.path}+{garden.path}"))
    # The whistlers are the head's, which refuses them.
    assert named(both) == ["hummer", "high_peeper"]
    for d in both:
        jsonschema.validate(d, SCHEMA)
        assert d["bundles"] == [choir.digest, garden.digest]
        assert d["trunk"] == choir.trunk_digest
        assert d["bundle"] not in d["bundles"]
        assert all(s["label"] not in ("low_hummer", "mid_whistler") for s in d["top"])
    assert {(d["label"], d["scientific_name"]) for d in both if d["label"] == "hummer"} == {
        ("hummer", "bombus GRAVIS")
    }


def test_a_head_alone_is_named_with_its_trunk(dawn: str, choir: Bundle, garden: Bundle) -> None:
    found = lines(replayed(dawn, f"{choir.path}+{garden.path}"))
    assert named(found) == ["hummer"]
    for d in found:
        jsonschema.validate(d, SCHEMA)
        assert (d["bundle"], d["trunk"]) == (garden.digest, choir.trunk_digest)
        assert "bundles" not in d
    assert not {"trunk", "bundles"} & lines(replayed(dawn, choir.path))[0].keys()


@pytest.mark.parametrize("slide_s", [0.0, 1.0])
def test_any_block_gives_the_same(dawn: str, choir: Bundle, garden: Bundle, slide_s: float) -> None:
    def heard(block_s: float) -> object:
        settings = ReplaySettings(
            bundle=garden.path,
            more_bundles=(choir.path,),
            hop_s=0.5,
            block_s=block_s,
            smoothing=SmoothingConfig(slide_s=slide_s),
        )
        return Replayer(settings).replay(dawn)

    assert heard(0.013) == heard(60.0)


def test_smoothing_and_windows_are_of_all_labels(dawn: str, choir: Bundle, garden: Bundle) -> None:
    words = (choir.path, garden.path)
    smooth = lines(replayed(dawn, *words, options=("--slide-s", "1", "--boost", "1.2")))
    assert set(named(smooth)) == {"hummer", "high_peeper"}
    windows = lines(replayed(dawn, *words, options=("--format", "windows")))
    assert {s["label"] for w in windows for s in w["labels"]} == {"hummer", "high_peeper"}
    assert all((w["label"] is None) == (w["novelty"] > 0.5) for w in windows)


def test_lists_take_names_of_heads_and_trunk(
    dawn: str, choir: Bundle, garden: Bundle, tmp_path: Path
) -> None:
    species = tmp_path / "species.yaml"
    words = (choir.path, garden.path)
    for listed, expected in (
        (["Bombus gravis", "high_peeper"], ["hummer", "high_peeper"]),
        (["Growler", "High Peeper"], ["high_peeper"]),
        (["hummer"], ["hummer"]),
        (["low_hummer", "Mid Whistler"], ["hummer"]),  # as the trunk calls them
    ):
        species.write_text(json.dumps(listed), encoding="utf-8")
        found = lines(replayed(dawn, *words, options=("--species", str(species))))
        assert named(found) == expected
    species.write_text('["low_hammer"]', encoding="utf-8")
    refused = replayed(dawn, *words, options=("--species", str(species)))
    assert "the bundle has no label 'low_hammer'" in refused.stderr


def test_a_place_is_what_the_trunk_knows_of_it(tmp_path: Path, dawn: str) -> None:
    trunk = banded_bundle(tmp_path / "banded", SPEC, {}, occurrence=occurrence())
    names = {HUMMER: 0, GROWLER: -1}
    head = tiny_head(tmp_path / "head", trunk, names, threshold=9.0)
    north, south = ("--lat", "47.8", "--lon", "16.3"), ("--lat", "-40", "--lon", "16.3")
    both = (trunk.path, head.path)
    assert "hummer" in named(lines(replayed(dawn, *both, options=north)))
    assert "hummer" not in named(lines(replayed(dawn, *both, options=south)))
    model = Replayer(ReplaySettings(bundle=trunk.path, more_bundles=(head.path,))).model
    known = model.bundle.occurrence
    assert known is not None
    chances = known.probabilities(-40, 16.3)
    assert model.decision.labels[:3] == ("hummer", "growler", "mid_whistler")
    assert chances.shape == (48, 4)
    assert (chances[:, 0] < 0.01).all()  # in the north only
    assert (chances[:, 1] > 0.99).all()  # the trunk does not know it: it may live anywhere
    assert trunk.occurrence is not None
    np.testing.assert_array_equal(chances[:, 2], trunk.occurrence.probabilities(-40, 16.3)[:, 1])


def test_languages_are_those_of_the_trunk_too(tmp_path: Path) -> None:
    plain = choir_bundle(tmp_path / "plain")
    labels = [dataclasses.replace(x, names={"de": f"{x.label} auf deutsch"}) for x in plain.labels]
    trunk = write_bundle(
        tmp_path / "german",
        dataclasses.replace(plain.manifest, labels=tuple(labels)),
        model=plain.model_path.read_bytes(),
        rule=MaxLogit(),
        golden=plain.golden,
        card="# German\n",
    )
    head = tiny_head(tmp_path / "head", trunk, {HUMMER: 0, GROWLER: -1})
    settings = ReplaySettings(bundle=trunk.path, more_bundles=(head.path,), language="de")
    names = {k: v.common_name for k, v in Replayer(settings).provenance.labels.items()}
    assert names["hummer"] == "low_hummer auf deutsch"
    assert names["growler"] == "Growler"


def test_the_configuration_names_them(tmp_path: Path, choir: Bundle, garden: Bundle) -> None:
    word = f"{choir.path}+{garden.path}"
    one = make_plan(load_config(write_config(tmp_path, Path(word))))
    assert one.model.digest == garden.digest
    words = [str(choir.path), word]
    plan = make_plan(load_config(write_config(tmp_path, choir.path, model={"bundles": words})))
    assert isinstance(plan.model, Layered)
    assert len(plan.bundle.labels) == 4
    # Embeddings are the trunk's, whatever stands on it.
    alone = make_plan(load_config(write_config(tmp_path, choir.path)))
    assert {one.network, plan.network, alone.network} == {choir.trunk_digest}
    info = info_payload(
        device="r1",
        site="",
        boot_id="b",
        version="0",
        provenance=plan.provenance,
        started=datetime(2024, 5, 1, tzinfo=timezone.utc),
    )
    assert info["labels"] == ["growler", "high_peeper", "hummer", "whistler"]
    assert info["bundles"] == [
        {"name": "choir", "digest": choir.digest},
        {"name": "garden", "digest": garden.digest, "trunk": choir.trunk_digest},
    ]
    text = findings(tmp_path, {"model": {"bundle": None, "bundles": [word, "nobody+garden"]}})
    assert text["model"] is not None
    assert text["model"].startswith(f"model.bundles = {word}, nobody+garden: nobody")


def test_people_are_heard_by_the_trunk(tmp_path: Path) -> None:
    """Though the study has another name for what they sound like."""
    plain = choir_bundle(tmp_path / "plain")
    people = (dataclasses.replace(plain.labels[0], kind="human"), *plain.labels[1:])
    trunk = write_bundle(
        tmp_path / "people",
        dataclasses.replace(plain.manifest, labels=people),
        model=plain.model_path.read_bytes(),
        rule=MaxLogit(),
        golden=plain.golden,
        card="# People\n",
    )
    frog = Label(label="frog", common_name="Frog", scientific_name="Bombus gravis")
    head = tiny_head(tmp_path / "head", trunk, {frog: 0})
    config = write_config(
        tmp_path, trunk.path, model={"bundles": [str(trunk.path), str(head.path)]}
    )
    plan = make_plan(load_config(config))
    assert plan.privacy.summary.startswith("no clip with low_hummer")
    assert "low_hummer" not in plan.model.decision.labels


def test_a_running_daemon_hears_with_both(tmp_path: Path, choir: Bundle, garden: Bundle) -> None:
    model = {"bundles": [str(choir.path), str(garden.path)], "hop_s": 0.5}
    config = write_config(tmp_path, choir.path, model=model)
    daemon = Daemon(config, audio=RealTimeAudio(tone(300, 2)), deliveries=lambda *parts: [])
    with running(daemon):
        until(lambda: ("hummer", "new") in states(tmp_path))
    bundles = rows(tmp_path, "SELECT DISTINCT json_extract(payload, '$.bundles') FROM detections")
    assert bundles == [(json.dumps([choir.digest, garden.digest], separators=(",", ":")),)]
    with pytest.raises(BundleError, match="nobody"):
        make_plan(load_config(write_config(tmp_path, Path("nobody+garden"))))
