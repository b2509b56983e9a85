"""How a recorder announces itself to Home Assistant, by MQTT device discovery.

`unknown` is that program's own word for an entity without a value, so nothing here says it: what
has no value yet is `None`, which it takes for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.mqtt.topics import Topics

__all__ = ["EVENT_TYPE", "discovery"]

PROJECT = "edge-monitor"
DIAGNOSTIC = {"entity_category": "diagnostic"}
EVENT_TYPE = "detected"
# Only the beginning of an event of a named species is one for Home Assistant, which passes over an
# empty result.
EVENT_TEMPLATE = (
    "{% if value_json.state == 'new' and value_json.label %}"
    "{{ {'event_type': '" + EVENT_TYPE + "', 'label': value_json.label,"
    " 'common_name': value_json.common_name, 'scientific_name': value_json.scientific_name,"
    " 'score': value_json.score, 'id': value_json.id, 'start_utc': value_json.start_utc}"
    " | tojson }}"
    "{% endif %}"
)
SILENT_S = 180  # three minutes without a minute of the ledger: nobody knows whether it listens


def discovery(device: str, *, topics: Topics, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload of `<prefix>/device/edge_<device>/config`: one device with its entities.

    The names of entities are short: Home Assistant puts the device's before them.
    """
    unique = f"edge_{device}"
    version = info.get("version", "")
    site = info.get("site")
    about = {
        "ids": [unique],
        # Two recorders may stand at one site.
        "name": f"{site} ({device})" if site else device,
        "sw": version,
        "mf": PROJECT,
        "mdl": "Recorder",
    }
    entities = {**_events(topics), **_totals(topics), **_microphone(topics)}
    return {
        "dev": {**about, "sa": site} if site else about,
        "o": {"name": PROJECT, "sw": version},
        "cmps": {
            key: {"unique_id": f"{unique}_{key}", **entity} for key, entity in entities.items()
        },
        "availability_topic": topics.status,
        # One that was stopped on purpose is not available either, and Home Assistant passes over
        # words it does not know.
        "availability_template": "{{ 'online' if value == 'online' else 'offline' }}",
        "payload_available": "online",
        "payload_not_available": "offline",
        "qos": 1,
    }


def _events(topics: Topics) -> dict[str, dict[str, Any]]:
    """Return the entities of what was found."""
    event = {
        "p": "event",
        "name": "Detection",
        "icon": "mdi:waveform",
        "event_types": [EVENT_TYPE],
        "state_topic": f"{topics.base}/detection/+",
        "value_template": EVENT_TEMPLATE,
    }
    species = {
        "p": "sensor",
        "name": "Last species",
        "icon": "mdi:paw",
        "state_topic": topics.today,
        "value_template": "{{ value_json.common_name or value_json.label }}",
        "json_attributes_topic": topics.today,
    }
    score = {
        "p": "sensor",
        "name": "Last score",
        "icon": "mdi:gauge",
        "state_topic": topics.today,
        "value_template": "{{ value_json.score }}",
        "suggested_display_precision": 2,
    }
    return {"event": event, "species": species, "score": score}


def _totals(topics: Topics) -> dict[str, dict[str, Any]]:
    """Return the entities of how much was found today."""
    today = {
        "p": "sensor",
        "name": "Detections today",
        "icon": "mdi:counter",
        "state_class": "total_increasing",
        "state_topic": topics.today,
        "value_template": "{{ value_json.events }}",
    }
    unnamed = {
        "p": "sensor",
        "name": "Unnamed animals today",
        "icon": "mdi:help-circle-outline",
        "state_class": "total_increasing",
        "state_topic": topics.today,
        "value_template": "{{ value_json.unnamed }}",
    }
    return {"today": today, "unnamed": unnamed}


def _microphone(topics: Topics) -> dict[str, dict[str, Any]]:
    """Return the entities of how well it hears."""
    listening = {
        "p": "binary_sensor",
        "name": "Listening",
        "device_class": "running",
        "state_topic": f"{topics.base}/effort",
        "value_template": (
            "{{ 'ON' if value_json.heard_s + value_json.private_s | default(0) > 0 else 'OFF' }}"
        ),
        "expire_after": SILENT_S,
    }
    fault = {
        "p": "binary_sensor",
        "name": "Microphone fault",
        "device_class": "problem",
        "state_topic": f"{topics.base}/health",
        "value_template": "{{ 'ON' if value_json.dead or value_json.stuck else 'OFF' }}",
        **DIAGNOSTIC,
    }
    level = {
        "p": "sensor",
        "name": "Microphone level",
        "icon": "mdi:microphone",
        "state_class": "measurement",
        "unit_of_measurement": "dB",
        "state_topic": f"{topics.base}/health",
        "value_template": "{{ value_json.rms_dbfs }}",
        **DIAGNOSTIC,
    }
    heard = {
        "p": "sensor",
        "name": "Heard in the last minute",
        "device_class": "duration",
        "unit_of_measurement": "s",
        "state_topic": f"{topics.base}/effort",
        "value_template": "{{ value_json.heard_s }}",
        **DIAGNOSTIC,
    }
    return {"listening": listening, "fault": fault, "level": level, "heard": heard}
