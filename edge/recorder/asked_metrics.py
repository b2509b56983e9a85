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
from edge.recorder.backlog import Backlog
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

        def family() -> Metric | None:
            metric = CounterMetricFamily(name, text, labels=[label])
            for value, count in read().items():
                metric.add_metric([value], count)
            return metric if metric.samples else None

        self._read.append(family)

    def watch_store(self, store: Callable[[], Store], *, sink: str = "mqtt") -> None:
        """Show the outbox of `sink`: its depth, and what its bound has cost.

        Nothing is shown while there is no such sink.
        """

        def depth(which: int) -> float | None:
            present = store()
            return present.depth(sink)[which] if sink in present.sinks else None

        def dropped() -> Mapping[str, int]:
            present = store()
            if sink not in present.sinks:
                return {}
            return dict.fromkeys(MESSAGE_KINDS, 0) | present.dropped(sink)

        def aside() -> Mapping[str, int]:
            present = store()
            if sink not in present.sinks:
                return {}
            return {str(reason): count for reason, count in present.aside(sink).items()}

        self.gauge("edge_outbox_rows", "Messages that wait for the broker.", lambda: depth(0))
        self.gauge("edge_outbox_bytes", "Bytes that wait for the broker.", lambda: depth(1))
        text = "Messages dropped for want of space."
        self.counter("edge_outbox_dropped", text, "kind", dropped)
        text = "Messages that cannot be sent, which wait apart."
        self.counter("edge_messages_set_aside", text, "reason", aside)

    def watch_history(self, store: Callable[[], Store], quarantines: Callable[[], int]) -> None:
        """Show what the history takes and what more it may take, and whether the file was sound."""
        self._read.append(
            lambda: CounterMetricFamily(
                "edge_store_quarantined", "Damaged stores set aside.", value=quarantines()
            )
        )
        self.gauge(
            "edge_history_bytes", "Detections and ledger kept.", lambda: store().history_size()[0]
        )
        self.gauge(
            "edge_history_room_bytes",
            "What the history may still grow by.",
            lambda: store().history_size()[1],
        )

    def watch_backlog(self, backlog: Backlog, in_memory: Callable[[], bool]) -> None:
        """Show what waits in memory for the store, and whether the store itself is in memory."""
        text = "Detections and minutes that wait in memory for the store."
        self.gauge("edge_backlog_rows", text, lambda: backlog.rows)
        text = "How many more detections may wait in memory before one is lost."
        self.gauge("edge_backlog_room_rows", text, lambda: backlog.room)
        text = "1 while the store is in memory, because its file cannot be used."
        self.gauge("edge_store_in_memory", text, lambda: float(in_memory()))

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

    def watch_heads(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Show what became of heads that were sent."""
        text = "Heads that were sent, by what became of them: taken, left again, or why refused."
        self.counter("edge_heads", text, "outcome", lambda: dict(counts()))

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
