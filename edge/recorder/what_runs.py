"""What a recorder runs, as the log and the metrics show it."""

from __future__ import annotations

import logging

from edge.detect.precision import describe
from edge.recorder.deliveries import program_version
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan

__all__ = ["log_privacy", "log_what_runs", "show_what_runs"]

log = logging.getLogger(__name__)


def log_what_runs(plan: RecorderPlan) -> None:
    """Log device, bundle, engine and configuration."""
    what = plan.provenance
    bundle, config = what.bundle[:12], what.config[:12]
    engine = f"{what.backend}/{what.variant}"
    log.info("device %s, bundle %s on %s, configuration %s", plan.device, bundle, engine, config)
    if what.bundles:
        log.info("bundle %s is %s", bundle, ", ".join(map(str, what.parts)))
    if plan.least_scores is not None:
        text = describe(plan.least_scores, plan.model.decision.labels)
        log.info("precision %g: %s", plan.config.model.precision, text)
    log_privacy(plan)


def log_privacy(plan: RecorderPlan) -> None:
    """Log what is withheld, and what was asked for in vain."""
    if plan.privacy.summary:
        log.info("privacy: %s", plan.privacy.summary)
    for warning in plan.privacy.warnings:
        log.warning("%s", warning)


def show_what_runs(metrics: Metrics, plan: RecorderPlan) -> None:
    """Show digests, engine and the species of the bundle as metrics."""
    what = plan.provenance
    metrics.digests(
        bundle=what.bundle,
        config=what.config,
        code=what.code,
        version=program_version(),
        device=plan.device,
    )
    metrics.engine(plan.model.engine)
    metrics.show_labels(plan.model.decision.labels)
