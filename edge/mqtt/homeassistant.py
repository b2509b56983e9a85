"""How a recorder announces itself to Home Assistant, by MQTT device discovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["discovery"]

PROJECT = "edge-monitor"
DIAGNOSTIC = {"entity_category": "diagnostic"}


def discovery(device: str, *, base: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload of `<prefix>/device/edge_<device>/config`: one device with its sensors.

    `base` is the recorder's own topic. Each sensor has one state topic.
    """
    unique = f"edge_{device}"
    version = info.get("version", "")
    name = info.get("site") or device
    return {
        "dev": {"ids": [unique], "name": name, "sw": version, "mf": PROJECT},
        "o": {"name": PROJECT, "sw": version},
        "cmps": _sensors(unique, base),
        "availability_topic": f"{base}/status",
        # One that was stopped on purpose is not available either, and Home Assistant passes over
        # words it does not know.
        "availability_template": "{{ 'online' if value == 'online' else 'offline' }}",
        "payload_available": "online",
        "payload_not_available": "offline",
        "qos": 1,
    }


def _sensors(unique: str, base: str) -> dict[str, dict[str, Any]]:
    detection = {
        "p": "sensor",
        "name": "Last detection",
        "unique_id": f"{unique}_detection",
        "icon": "mdi:waveform",
        "state_topic": f"{base}/detection/+",
        "value_template": "{{ value_json.common_name or 'unknown' }}",
        "json_attributes_topic": f"{base}/detection/+",
    }
    level = {
        "p": "sensor",
        "name": "Microphone level",
        "unique_id": f"{unique}_level",
        "state_topic": f"{base}/health",
        "value_template": "{{ value_json.rms_dbfs }}",
        "unit_of_measurement": "dB",
        **DIAGNOSTIC,
    }
    fault = {
        "p": "binary_sensor",
        "name": "Microphone fault",
        "unique_id": f"{unique}_fault",
        "device_class": "problem",
        "state_topic": f"{base}/health",
        "value_template": "{{ 'ON' if value_json.dead or value_json.stuck else 'OFF' }}",
        **DIAGNOSTIC,
    }
    heard = {
        "p": "sensor",
        "name": "Heard in the last minute",
        "unique_id": f"{unique}_heard",
        "device_class": "duration",
        "unit_of_measurement": "s",
        "state_topic": f"{base}/effort",
        "value_template": "{{ value_json.heard_s }}",
        **DIAGNOSTIC,
    }
    return {"detection": detection, "level": level, "fault": fault, "heard": heard}
