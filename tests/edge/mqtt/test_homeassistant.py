"""What a recorder tells Home Assistant: options that its documentation has, and templates that make
of each message what it should show.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edge.mqtt.homeassistant import EVENT_TYPE, discovery
from edge.mqtt.topics import Topics
from tests.support.store import health, payload

TOPICS = Topics(base="edge/r1")
INFO = {"version": "0.1.0", "site": "Pond"}
# Of the documentation of its MQTT integration (2024.12 and later): the options that every entity
# has, and those of the platforms that are used here.
COMMON = {
    "p",
    "unique_id",
    "name",
    "icon",
    "device_class",
    "entity_category",
    "state_topic",
    "value_template",
    "json_attributes_topic",
}
OPTIONS = {
    "event": COMMON | {"event_types"},
    "sensor": COMMON
    | {"unit_of_measurement", "state_class", "suggested_display_precision", "expire_after"},
    "binary_sensor": COMMON | {"payload_on", "payload_off", "expire_after", "off_delay"},
}
DEVICE = {"ids", "name", "mf", "mdl", "sw", "sa"}
SHARED = {
    "dev",
    "o",
    "cmps",
    "availability_topic",
    "availability_template",
    "payload_available",
    "payload_not_available",
    "qos",
}
NOTHING_YET = {
    "events": 0,
    "unnamed": 0,
    "label": None,
    "common_name": None,
    "scientific_name": None,
    "score": None,
}


@pytest.fixture
def announced() -> dict[str, Any]:
    return discovery("r1", topics=TOPICS, info=INFO)


def shown(announced: dict[str, Any], key: str, message: dict[str, Any]) -> str:
    """What an entity makes of a message, as Home Assistant renders its template."""
    template = announced["cmps"][key]["value_template"]
    return ImmutableSandboxedEnvironment().from_string(template).render(value_json=message)


def test_it_says_only_what_the_documentation_has(announced: dict[str, Any]) -> None:
    assert set(announced) == SHARED
    assert set(announced["dev"]) == DEVICE
    assert announced["o"]["name"]
    for entity in announced["cmps"].values():
        assert set(entity) <= OPTIONS[entity["p"]]
        assert {"unique_id", "name", "state_topic", "value_template"} <= set(entity)
    ids = [entity["unique_id"] for entity in announced["cmps"].values()]
    assert len(set(ids)) == len(ids)
    assert json.loads(json.dumps(announced)) == announced


def test_what_is_asked_for_is_there(announced: dict[str, Any]) -> None:
    platforms = {key: entity["p"] for key, entity in announced["cmps"].items()}
    assert platforms["event"] == "event"
    assert {"species", "score", "today"} <= {k for k, p in platforms.items() if p == "sensor"}
    assert platforms["listening"] == platforms["fault"] == "binary_sensor"


def test_two_recorders_of_a_site_have_names_of_their_own() -> None:
    names = {discovery(d, topics=TOPICS, info=INFO)["dev"]["name"] for d in ("r1", "r2")}
    assert names == {"Pond (r1)", "Pond (r2)"}
    nowhere = discovery("r1", topics=TOPICS, info={"site": ""})["dev"]
    assert nowhere["name"] == "r1"
    assert "sa" not in nowhere


def test_only_the_beginning_of_a_named_event_is_one(announced: dict[str, Any]) -> None:
    for name in ("Low hummer", 'Cooper\'s <hawk> & "co"', "Mönchsgrasmücke", "{{ 1 / 0 }}"):
        event = json.loads(shown(announced, "event", payload(1, state="new", common_name=name)))
        assert event["event_type"] == EVENT_TYPE
        assert event["event_type"] in announced["cmps"]["event"]["event_types"]
        assert event["common_name"] == name
    for state in ("update", "end"):
        assert shown(announced, "event", payload(1, state=state)) == ""
    assert shown(announced, "event", payload(3, state="new")) == ""  # of no known species


def test_what_has_no_value_is_none_and_never_unknown(announced: dict[str, Any]) -> None:
    for key in ("species", "score"):
        assert shown(announced, key, NOTHING_YET) == "None"
    assert "unknown" not in json.dumps(announced)


def test_the_states_of_the_day_and_of_the_microphone(announced: dict[str, Any]) -> None:
    assert shown(announced, "unnamed", {**NOTHING_YET, "unnamed": 4}) == "4"
    today = {**NOTHING_YET, "events": 3, "label": "hawk", "common_name": "Hawk", "score": 0.75}
    assert [shown(announced, key, today) for key in ("species", "score", "today")] == [
        "Hawk",
        "0.75",
        "3",
    ]
    assert shown(announced, "species", {**today, "common_name": None}) == "hawk"
    assert shown(announced, "listening", {"heard_s": 12.5}) == "ON"
    assert shown(announced, "listening", {"heard_s": 0.0}) == "OFF"
    assert shown(announced, "listening", {"heard_s": 0.0, "private_s": 60.0}) == "ON"
    assert shown(announced, "fault", {**health(), "stuck": False}) == "OFF"
    assert shown(announced, "fault", {**health(), "stuck": True}) == "ON"
    assert shown(announced, "level", health()) == "-40.0"


@pytest.mark.parametrize(
    ("status", "available"), [("online", True), ("stopped", False), ("offline", False)]
)
def test_a_recorder_that_stopped_is_not_available(
    announced: dict[str, Any], status: str, available: bool
) -> None:
    assert announced["availability_topic"] == "edge/r1/status"
    template = ImmutableSandboxedEnvironment().from_string(announced["availability_template"])
    expected = announced["payload_available" if available else "payload_not_available"]
    assert template.render(value=status) == expected
