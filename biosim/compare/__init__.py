"""Comparison of circuits: function, and overlap against chance."""

from biosim.compare.function import accuracy, agreement
from biosim.compare.overlap import Overlap, overlap

__all__ = ["Overlap", "accuracy", "agreement", "overlap"]
