"""Scorers: a non-local score for every birth edge, the rivals of the local rules.

This side of the wall never imports ``biosim.rules`` or ``biosim.develop``, and that side never
imports this one: what a comparison shows is a difference between the two, not a shared shortcut.
A scorer never thresholds; :func:`keep` does, and never scores.
"""

from biosim.scorers.base import Scorer, check_scorers, load_scorer, prune, scorer_names
from biosim.scorers.keep import SCOPES, Scope, keep
from biosim.scorers.sources import Source, find_source, sources

__all__ = ["SCOPES", "Scope", "Scorer", "Source", "check_scorers", "find_source", "keep", "load_scorer", "prune", "scorer_names", "sources"]
