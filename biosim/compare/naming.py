"""The names by which checks refer to what a comparison finds.

    comparisons.METHOD.FAMILY.MEASURE[.PLACE][.FIELD]     against the local circuit
    comparisons.METHOD.interventions.INTERVENTION         accuracy; METHOD may be local

PLACE is nothing for the whole circuit (or the mean over layers), ``first`` or ``last`` for the first or last layer the
measure has; FIELD is nothing for the observed value, ``null``, ``ceiling``, ``effect`` (observed - null) or ``ratio``,
(observed - null) / (ceiling - null), which is not measured where it is suppressed. One value a birth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from biosim.compare.causal import INTERVENTIONS
from biosim.compare.comparison import Comparison
from biosim.compare.estimate import Estimate
from biosim.compare.families import FAMILIES
from biosim.rundir.artefacts import LOCAL

PLACES = ("", ".first", ".last")
FIELDS = ("", ".null", ".ceiling", ".effect", ".ratio")
LAYERED = {"jaccard", "kappa", "effective_jaccard", "effective_kappa", "out_degree", "in_degree", "out_strength", "in_strength", "sign",
           "percentile", "two_paths", "cka", "selectivity", "selectivity_same", "transplant"}  # fmt: skip


def comparison_metrics(methods: Sequence[str], families: Sequence[str]) -> list[str]:
    """Return the names that a comparison of the local circuit with these methods gives to checks."""
    found = []
    for method in methods:
        for family in families:
            for measure in FAMILIES[family].measures:
                for place in PLACES if measure in LAYERED else ("",):
                    found += [f"comparisons.{method}.{family}.{measure}{place}{field}" for field in FIELDS]
    if "causal" in families:
        found += [f"comparisons.{method}.interventions.{kind}" for method in (*methods, LOCAL) for kind in INTERVENTIONS]
    return found


def named_values(comparison: Comparison) -> dict[str, npt.NDArray[np.float64]]:
    """Return what a comparison found by those names, (n,) each; what is undefined is left out."""
    found: dict[str, npt.NDArray[np.float64] | None] = {}
    for method in comparison.estimates:
        by_measure: dict[str, list[Estimate]] = {}
        for estimate in comparison.primary(method):
            by_measure.setdefault(estimate.measure, []).append(estimate)
        for measure, own in by_measure.items():
            layers = [e for e in own if e.layer]
            places = {"": next((e for e in own if not e.layer), None)} | ({".first": layers[0], ".last": layers[-1]} if layers else {})
            for place, e in places.items():
                if e is not None:
                    values = (e.observed, e.null, e.ceiling, e.effect, e.ratios)
                    found |= {f"comparisons.{method}.{measure}{place}{field}": v for field, v in zip(FIELDS, values, strict=True)}
    for method, kinds in comparison.interventions.items():
        found |= {f"comparisons.{method}.interventions.{kind}": v for kind, v in kinds.items()}
    return {name: v for name, v in found.items() if v is not None and np.isfinite(v).all()}
