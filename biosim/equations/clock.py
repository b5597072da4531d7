"""Developmental time."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

from biosim.equations.expression import binary, number


@dataclass(frozen=True)
class Clock:
    """Developmental time: ``samples`` presentations of ``presentation`` seconds are one step.

    Attributes
    ----------
    presentation : float
        Seconds one sample lasts.
    samples : int
        Samples in a step.
    steps : int
        Steps in the whole of development.
    """

    presentation: float
    samples: int
    steps: int

    @property
    def dt(self) -> float:
        """Seconds a step lasts."""
        return self.presentation * self.samples

    @property
    def duration(self) -> float:
        """Seconds that development lasts; what ``% dev`` is a fraction of."""
        return self.dt * self.steps


class Clockwork(ast.NodeTransformer):
    """Spell the times a synapse knows in terms of stored steps: age and silent_for."""

    def __init__(self, ageless: bool) -> None:
        self.ageless = ageless

    def spell(self, node: ast.expr) -> ast.expr:
        """Return a copy of ``node`` in which every time is spelled out."""
        return self.visit(copy.deepcopy(node))  # type: ignore[no-any-return]

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a time by what it is computed from."""
        start = {"silent_for": "_since", "age": "" if self.ageless else "_born"}.get(node.id)
        if start is None:
            return node
        now = ast.Name(id="_now", ctx=ast.Load())
        steps = binary(now, ast.Sub(), ast.Name(id=start, ctx=ast.Load())) if start else now
        clipped = ast.Call(func=ast.Name(id="max", ctx=ast.Load()), args=[steps, number(0.0)], keywords=[])
        return binary(clipped, ast.Mult(), ast.Name(id="dt", ctx=ast.Load()))
