"""Carries a plan out, one result at a time."""

from specbench.execution.blocks import BlockStarted, TrialStarted, execute

__all__ = ["BlockStarted", "TrialStarted", "execute"]
