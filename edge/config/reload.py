"""What becomes of each key when a running recorder reads its configuration again.

Nothing is applied by half: a key takes effect at once, everywhere, or the recorder says that it
waits for a restart and goes on with the value that it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from edge.config.config import Config

__all__ = ["TAKES_EFFECT", "When", "merged", "waiting_for_restart"]

# `stream`: the stream ends, and its events with it; the next one begins with the new value.
# `delivery`: the broker is left and connected to anew. `page`: the page is opened anew.
# `notify`: only `edge notify` uses it, and reads it when it is started again.
# `restart`: the value that is in use stays until the recorder is started again.
When = Literal["stream", "delivery", "page", "notify", "restart"]

TAKES_EFFECT: Mapping[str, When] = {
    "device.id": "delivery",
    "device.site": "delivery",
    "site.species": "stream",
    "site.latitude": "stream",
    "site.longitude": "stream",
    "site.occurrence": "stream",
    "site.timezone": "stream",
    "site.language": "stream",
    "site.offlist": "stream",
    "audio.device": "stream",
    "audio.channel": "stream",
    "audio.rate_hz": "stream",
    "audio.buffer_s": "stream",
    "audio.memory_mb": "stream",
    "model.bundle": "stream",
    "model.bundles": "stream",
    "model.hop_s": "stream",
    "model.slide_s": "stream",
    "model.boost": "stream",
    "model.boost_s": "stream",
    "model.backend": "stream",
    "model.engines": "stream",
    "model.precision": "stream",
    "model.trusted_keys": "stream",
    # What was sent is believed by the same rules until the recorder is started again.
    "heads.broker": "restart",
    "heads.folder": "restart",
    "heads.url": "restart",
    "heads.every_s": "restart",
    "heads.kept": "restart",
    "tracker.cooldown_s": "stream",
    "tracker.longest_s": "stream",
    "tracker.update_s": "stream",
    "tracker.narrow": "stream",
    "health.dead_dbfs": "stream",
    "health.stuck_dc": "stream",
    "health.clip_level": "stream",
    "health.railed_ratio": "stream",
    "events.unknown": "stream",
    "events.kinds": "stream",
    "privacy.speech": "stream",
    "privacy.dog": "stream",
    "privacy.labels": "stream",
    "privacy.threshold": "stream",
    # The database is one file, which is locked, bounded and has its ballast from the start.
    "store.path": "restart",
    "store.outbox_mb": "restart",
    "store.history_mb": "restart",
    "store.ballast_mb": "restart",
    "clips.enabled": "stream",
    "clips.folder": "stream",
    "clips.budget_mb": "stream",
    "clips.reserve_mb": "stream",
    "clips.padding_s": "stream",
    "clips.format": "stream",
    "mqtt.enabled": "delivery",
    "mqtt.host": "delivery",
    "mqtt.port": "delivery",
    "mqtt.protocol": "delivery",
    "mqtt.tls": "delivery",
    "mqtt.ca_file": "delivery",
    "mqtt.cert_file": "delivery",
    "mqtt.key_file": "delivery",
    "mqtt.username_file": "delivery",
    "mqtt.password_file": "delivery",
    "mqtt.topic_prefix": "delivery",
    "mqtt.keepalive_s": "delivery",
    "mqtt.rate_per_s": "delivery",
    "mqtt.wait_for_sync_s": "delivery",
    "mqtt.home_assistant": "delivery",
    "mqtt.home_assistant_prefix": "delivery",
    "metrics.enabled": "page",
    "metrics.address": "page",
    "metrics.port": "page",
    "notify.services_file": "notify",
    "notify.first_ever": "notify",
    "notify.first_today": "notify",
    "notify.species": "notify",
    "notify.probability": "notify",
    "notify.score": "notify",
    "notify.every_s": "notify",
    "notify.most_per_day": "notify",
    "notify.quiet": "notify",
    "notify.microphone": "notify",
    "notify.recorder": "notify",
    "notify.disk_free_mb": "notify",
    "notify.after_s": "notify",
    "notify.page": "notify",
}


def waiting_for_restart(used: Config, wanted: Config) -> list[str]:
    """Return the keys whose value in `wanted` takes a restart."""
    return [key for key in _restart() if _value(used, key) != _value(wanted, key)]


def merged(used: Config, wanted: Config) -> Config:
    """Return `wanted`, with the values in use of the keys that take a restart."""
    kept: dict[str, dict[str, object]] = {}
    for key in _restart():
        section, _, name = key.partition(".")
        kept.setdefault(section, {})[name] = _value(used, key)
    sections = {
        section: getattr(wanted, section).model_copy(update=values)
        for section, values in kept.items()
    }
    return wanted.model_copy(update=sections)


def _restart() -> Iterator[str]:
    return (key for key, when in TAKES_EFFECT.items() if when == "restart")


def _value(config: Config, key: str) -> object:
    section, _, name = key.partition(".")
    value: object = getattr(getattr(config, section), name)
    return value
