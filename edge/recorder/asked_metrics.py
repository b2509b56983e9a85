"""Metrics that are read from their owner at the moment when Prometheus asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.errors import StoreError
from edge.recorder.clips import ClipWriter
from edge.store.outbox import MESSAGE_KINDS
from edge.store.store import Store

__all__ = ["AskedMetrics"]


class AskedMetrics(Collector):
    """Registers itself; the numbers are read on the server's thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._read: list[Callable[[], Metric | None]] = []
        registry.register(self)
        self.gauge("edge_resident_memory_bytes", "Memory of this process.", _resident_bytes)

    def gauge(self, name: str, text: str, read: Callable[[], float | None]) -> None:
        """Show the number that `read` returns; None is not shown."""

        def family() -> Metric | None:
            value = read()
            return None if value is None else GaugeMetricFamily(name, text, value=value)

        self._read.append(family)

    def counter(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[Any, int]]
    ) -> None:
        """Show the counts that `read` returns, each with the value of `label` that it is for."""

        def family() -> Metric:
            metric = CounterMetricFamily(name, text, labels=[label])
            for value, count in read().items():
                metric.add_metric([value], count)
            return metric

        self._read.append(family)

    def watch_store(self, store: Store, *, sink: str = "mqtt") -> None:
        """Show the outbox of `sink`: its depth, and what its bound has cost."""
        self.gauge(
            "edge_outbox_rows", "Messages that wait for the broker.", lambda: store.depth(sink)[0]
        )
        self.gauge(
            "edge_outbox_bytes", "Bytes that wait for the broker.", lambda: store.depth(sink)[1]
        )
        self.counter(
            "edge_outbox_dropped",
            "Messages dropped for want of space.",
            "kind",
            lambda: dict.fromkeys(MESSAGE_KINDS, 0) | store.dropped(sink),
        )
        self.counter(
            "edge_messages_set_aside",
            "Messages that cannot be sent, which wait apart.",
            "reason",
            lambda: store.aside(sink),
        )

    def watch_history(self, store: Store) -> None:
        """Show what the history takes and what more it may take, and whether the file was sound."""
        self._read.append(
            lambda: CounterMetricFamily(
                "edge_store_quarantined", "Damaged stores set aside.", value=store.quarantines
            )
        )
        self.gauge(
            "edge_history_bytes", "Detections and ledger kept.", lambda: store.history_size()[0]
        )
        self.gauge(
            "edge_history_room_bytes",
            "What the history may still grow by.",
            lambda: store.history_size()[1],
        )

    def watch_clips(self, clips: Callable[[], ClipWriter | None]) -> None:
        """Show what the clips take, and what more they may take before old ones go.

        Nothing is shown where none are kept.
        """
        self.gauge(
            "edge_clips_stored_bytes",
            "Clips on the disk.",
            lambda: w.stored_bytes if (w := clips()) else None,
        )
        self.gauge(
            "edge_clips_room_bytes",
            "What the clips may still grow by, of their budget and of the disk.",
            lambda: w.room_bytes() if (w := clips()) else None,
        )

    def watch_queue(self, depth_s: Callable[[], float]) -> None:
        """Show how much audio waits for the model, in seconds."""
        self.gauge("edge_queue_seconds", "Captured audio that waits for the model.", depth_s)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield what can be read now."""
        for read in list(self._read):
            try:
                metric = read()
            except (StoreError, OSError):
                continue  # a failing disk takes its own numbers away, not those that show it
            if metric is not None:
                yield metric


def _resident_bytes() -> float:
    """Return the resident memory; 0 where there is no /proc."""
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE")
