"""Carries a plan out, one result at a time."""

from specbench.execution.blocks import BlockStarted, Event, TrialStarted, execute

__all__ = ["BlockStarted", "Event", "TrialStarted", "execute"]
