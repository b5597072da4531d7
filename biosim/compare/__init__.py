"""Comparison of circuits: each measure next to its null, its ceiling and an effect size."""

from biosim.compare.comparison import Comparison
from biosim.compare.estimate import Estimate
from biosim.compare.families import FAMILIES, primary_null
from biosim.compare.function import accuracy, agreement
from biosim.compare.methods import compare
from biosim.compare.overlap import Overlap, overlap

__all__ = ["FAMILIES", "Comparison", "Estimate", "Overlap", "accuracy", "agreement", "compare", "overlap", "primary_null"]
