"""Scorers: a non-local score for every birth edge, the rivals of the local rules.

This side of the wall never imports ``biosim.rules`` or ``biosim.develop``, and that side never
imports this one: what a comparison shows is a difference between the two, not a shared shortcut.
A scorer never thresholds; :func:`keep` does, and never scores.
"""

from biosim.scorers.base import Scorer, load_scorer, prune, scorer_names
from biosim.scorers.keep import SCOPES, Scope, keep

__all__ = ["SCOPES", "Scope", "Scorer", "keep", "load_scorer", "prune", "scorer_names"]
