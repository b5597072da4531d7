"""Checks: the inequalities a scenario declares as its headline.

``{value: circuit.accuracy, needs: ">= rivals.edge-popup.accuracy - 0.02"}`` holds for a replicate when
the inequality does; a check passes when it holds in at least 80 % of the replicates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from biosim.equations.evaluate import evaluate
from biosim.equations.expression import parse_expression
from biosim.errors import InputError, did_you_mean

SHARE = 0.8
LISTED = 30  # names an error lists
METRICS = ("accuracy", "density", "effective_density", "neurons")
LIVED = ("final_cut", "peak_density")  # of the development itself, not of the circuit it leaves
PLANTED = ("precision", "recall", "chance_precision", "chance_recall")  # where the births hide a known subnetwork
_NEEDS = re.compile(r"\s*(>=|<=|>|<)\s*(.+)", re.DOTALL)
_PATH = re.compile(r"[A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*)+")


@dataclass(frozen=True)
class Check:
    """One declared inequality, parsed."""

    name: str
    value: str
    needs: str

    def result(self, metrics: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Any]:
        """Evaluate the check on (R,) metrics by dotted name."""
        match = _NEEDS.fullmatch(self.needs)
        assert match is not None
        try:
            value, bound = _evaluate(self.value, metrics), _evaluate(match[2], metrics)
            defined = np.isfinite(value + bound)
            if not defined.any():
                raise InputError("it is not defined in any replicate")
        except InputError as error:
            needs = f"{self.value} {self.needs}"
            return {
                "name": self.name,
                "passed": False,
                "value": None,
                "bound": None,
                "needs": needs,
                "holds_in": 0.0,
                "note": error.message,
            }
        value, bound = np.broadcast_arrays(value, bound)
        compare = {">=": np.greater_equal, "<=": np.less_equal, ">": np.greater, "<": np.less}[match[1]]
        holds = compare(value, bound)  # it does not hold where one of them is not defined
        share = float(np.mean(holds))
        return {
            "name": self.name,
            "passed": share >= SHARE,
            "value": float(np.mean(value[defined])),
            "bound": float(np.mean(bound[defined])),
            "needs": f"{self.value} {self.needs}",
            "holds_in": share,
        }


def metric_prefix(source: str, regime: str = "frozen", density: float | None = None) -> str:
    """Return what stands before a metric's name: ``rivals.snip.at5.retrained`` is SNIP at 5 %, retrained.

    Without ``at`` it is the density the local circuit was left at; 0.5 % is written ``at0_5``.
    """
    percent = "" if density is None else f"{100 * density:g}".replace(".", "_")
    place = f".at{percent}" if percent else ""
    return source + place + (".retrained" if regime == "retrained" else "")


def known_metrics(
    rivals: Mapping[str, Sequence[str]], densities: Sequence[float] = (), retrain: bool = False, rules: Sequence[str] = ()
) -> list[str]:
    """Return the dotted names that checks may use, given each rival's regimes and the labels of further rules."""
    local = dict.fromkeys(("circuit", *(f"rules.{label}" for label in rules)), ("frozen", "retrained"))
    sources = local | {f"rivals.{name}": tuple(regimes) for name, regimes in rivals.items()}
    prefixes = [
        metric_prefix(source, regime, density)
        for source, own in sources.items()
        for density in (None, *densities)
        for regime in own
        if regime == "frozen" or retrain or own == ("retrained",)
    ]
    found = [*(f"circuit.{m}" for m in LIVED), *(f"{prefix}.{m}" for prefix in prefixes for m in METRICS)]
    return [*found, *(f"{prefix}.{m}" for prefix in prefixes for m in PLANTED), *(f"planted.{m}" for m in METRICS)]


def parse_check(name: str, value: str, needs: str, known: Sequence[str]) -> Check:
    """Read a check and make sure that everything it names will be measured."""
    if not _NEEDS.fullmatch(needs):
        raise InputError(f"must start with >=, <=, > or <, not {needs!r}", ("needs",))
    for key, text in (("value", value), ("needs", _NEEDS.fullmatch(needs)[2])):  # type: ignore[index]
        try:
            _names(text, known)
        except InputError as error:
            raise InputError(error.message, (key,)) from None
    return Check(name, value, needs)


def named_in(value: str, needs: str, known: Sequence[str]) -> list[str]:
    """Return the metrics that a check refers to, in the order in which they stand."""
    match = _NEEDS.fullmatch(needs)
    return [path for text in (value, match[2] if match else "") if text for path in _names(text, known)[1].values()]


def _names(text: str, known: Sequence[str]) -> tuple[Any, dict[str, str]]:
    """Return the parsed expression and the metric behind each placeholder in it."""
    holders: dict[str, str] = {}

    def place(match: re.Match[str]) -> str:
        path = match[0]
        while path not in known and "-" in path:  # 'accuracy-0.02': give the tail back to the arithmetic
            path = path[: path.rindex("-")]
        if path not in known:
            listing = ", ".join(known[:LISTED]) + (" and more" if len(known) > LISTED else "")
            raise InputError(f"'{match[0]}' is not measured{did_you_mean(match[0], list(known))}; there are: {listing}")
        holder = f"metric{len(holders)}"
        holders[holder] = path
        return holder + match[0][len(path) :]

    expression = parse_expression(_PATH.sub(place, text))
    if unknown := sorted(expression.names - holders.keys()):
        raise InputError(f"'{unknown[0]}' is not measured; metrics have names such as {', '.join(known[:LISTED])}")
    return expression, holders


def _evaluate(text: str, metrics: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    expression, holders = _names(text, list(metrics))
    values = {h: torch.from_numpy(np.asarray(metrics[path], np.float64)) for h, path in holders.items()}
    return np.asarray(evaluate(expression.node, values))
