"""Scorers: a non-local score for every birth edge, the rivals of the local rules.

This side of the wall never imports ``biosim.rules`` or ``biosim.develop``, and that side never
imports this one: what a comparison shows is a difference between the two, not a shared shortcut.
A scorer never thresholds; :func:`keep` does, and never scores.
"""

from biosim.scorers.base import Made, Maker, Scorer, Task, make, prune, regimes
from biosim.scorers.keep import SCOPES, Scope, keep, keep_counts
from biosim.scorers.load import load_scorer, scorer_names, variants
from biosim.scorers.training import Training, retrain

__all__ = [
    "SCOPES", "Made", "Maker", "Scope", "Scorer", "Task", "Training", "keep", "keep_counts", "load_scorer", "make", "prune", "regimes",
    "retrain", "scorer_names", "variants",
]  # fmt: skip
