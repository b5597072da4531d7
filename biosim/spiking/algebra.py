"""Algebra on a rule's event equations: bounds, what is added to a weight, and whether that can be negative.

It walks the syntax tree of what was written and answers questions; nothing here rewrites what runs.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from biosim.equations.evaluate import evaluate_constant
from biosim.equations.expression import Expression, binary, constant_value, names_in, number
from biosim.equations.factor import UnfactorisableError, factorise
from biosim.equations.linear import split_linear
from biosim.equations.vocabulary import NONE, POST, PRE, SAMPLE, Axes
from biosim.errors import EquationError

Values = Mapping[str, float]
Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)


@dataclass(frozen=True)
class Sum:
    """``min(high, max(low, weight + added))``."""

    low: float
    high: float
    added: ast.expr


@dataclass(frozen=True)
class Term:
    """``pre * post``, each a node over one side's traces and constants; None stands for 1."""

    pre: ast.expr | None
    post: ast.expr | None


def bounds(node: ast.expr, constants: Values) -> tuple[float, float, ast.expr]:
    """Return (low, high, inner) with ``node = min(high, max(low, inner))``, peeling clip, min and max with constant bounds."""
    low, high = ANY
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("clip", "min", "max"):
        fixed = [a for a in node.args if names_in(a) <= constants.keys()]
        moving = [a for a in node.args if a not in fixed]
        if len(moving) != 1 or (node.func.id == "clip" and moving[0] is not node.args[0]):
            break
        values = [evaluate_constant(a, constants) for a in fixed]
        floor = values[0] if node.func.id == "clip" else max(values) if node.func.id == "max" else -math.inf
        roof = values[1] if node.func.id == "clip" else min(values) if node.func.id == "min" else math.inf
        if floor > high or roof < low or floor > roof:
            break
        low, high, node = max(low, floor), min(high, roof), moving[0]
    return low, high, node


def weight_plus(node: ast.expr, constants: Values) -> Sum | None:
    """Return ``node`` as bounds of ``weight`` plus something free of it; None where it is anything else."""
    low, high, inner = bounds(node, constants)
    try:
        factor, rest = split_linear(Expression("", inner), "weight", set(constants))
    except EquationError:
        return None
    if factor is None or evaluate_constant(factor, constants) != 1.0:
        return None
    return Sum(low, high, rest if rest is not None else number(0.0))


def terms(node: ast.expr, pre: set[str], post: set[str], constants: Values) -> list[Term] | None:
    """Return products of a presynaptic and a postsynaptic factor that add up to ``node``; None where it does not split."""
    if not names_in(node) <= pre | post | constants.keys():
        return None
    axes: dict[str, Axes] = dict.fromkeys(constants, NONE)
    axes |= dict.fromkeys(pre, SAMPLE | PRE) | dict.fromkeys(post, SAMPLE | POST)
    try:
        products = factorise(node, axes)
    except UnfactorisableError:
        return None
    return [Term(p.pre_side, times(p.outside, p.post_side)) for p in products]


def times(a: ast.expr | None, b: ast.expr | None) -> ast.expr | None:
    """Return the node ``a*b``; None stands for 1."""
    return b if a is None else a if b is None else binary(a, ast.Mult(), b)


def plus(nodes: list[ast.expr | None]) -> ast.expr:
    """Return the node of a sum of at least one node; None stands for 1."""
    total: ast.expr | None = None
    for node in nodes:
        own = number(1.0) if node is None else node
        total = own if total is None else binary(total, ast.Add(), own)
    assert total is not None
    return total


def monomial(node: ast.expr | None, constants: Values) -> tuple[dict[str, int], float] | None:
    """Return powers and coefficient with ``node = coefficient * product(name**power)``; None where it is no such product."""
    match node:
        case None:
            return {}, 1.0
        case ast.Name(id=name) if name not in constants:
            return {name: 1}, 1.0
        case _ if names_in(node) <= constants.keys():
            return {}, evaluate_constant(node, constants)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = monomial(operand, constants)
            return None if inner is None else (inner[0], -inner[1])
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
            a, b = monomial(left, constants), monomial(right, constants)
            if a is None or b is None or (isinstance(op, ast.Div) and b[0]):
                return None
            powers = {n: a[0].get(n, 0) + b[0].get(n, 0) for n in {**a[0], **b[0]}}
            return powers, a[1] * b[1] if isinstance(op, ast.Mult) else a[1] / b[1]
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            power, base = constant_value(right), monomial(left, constants)
            if power is None or base is None or power != int(power) or power < 1:
                return None
            return {n: e * int(power) for n, e in base[0].items()}, base[1] ** power
    return None


def shared_product(nodes: Sequence[ast.expr | None], constants: Values) -> tuple[dict[str, int], list[float]] | None:
    """Return the powers that all nodes share as monomials, and the coefficient of each; None where they do not."""
    own = [m for node in nodes if (m := monomial(node, constants)) is not None]
    if not own or len(own) < len(nodes) or any(powers != own[0][0] for powers, _ in own):
        return None
    return own[0][0], [coefficient for _, coefficient in own]


def product_of(powers: Mapping[str, int]) -> ast.expr | None:
    """Return the node of ``product(name**power)``; None stands for 1."""
    node: ast.expr | None = None
    for name, power in sorted(powers.items()):
        for _ in range(power):
            node = times(node, ast.Name(id=name, ctx=ast.Load()))
    return node


# -- ranges -------------------------------------------------------------------------------------
def range_of(node: ast.expr, known: Mapping[str, Range]) -> Range:
    """Return bounds that the value of ``node`` cannot leave, given those of the names it reads."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value), float(value)
        case ast.Name(id=name):
            return known.get(name, ANY)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            low, high = range_of(operand, known)
            return -high, -low
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return range_of(operand, known)
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(range_of(left, known), op, range_of(right, known), constant_value(right))
        case ast.Call(func=ast.Name(id=function), args=args):
            return _call(function, [range_of(a, known) for a in args])
    return ANY


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _binary(a: Range, op: ast.operator, b: Range, power: float | None) -> Range:
    if isinstance(op, ast.Add):
        return a[0] + b[0], a[1] + b[1]
    if isinstance(op, ast.Sub):
        return a[0] - b[1], a[1] - b[0]
    if isinstance(op, ast.Mult):
        corners = [_product(x, y) for x in a for y in b]
        return min(corners), max(corners)
    if isinstance(op, ast.Div) and (b[0] > 0 or b[1] < 0):
        corners = [_product(x, 1 / y if math.isfinite(y) else 0.0) for x in a for y in b]
        return min(corners), max(corners)
    if isinstance(op, ast.Pow) and power is not None and (a[0] >= 0 or power % 2 == 0):
        return 0.0, math.inf
    return ANY


def _call(function: str, args: list[Range]) -> Range:
    lows, highs = [a[0] for a in args], [a[1] for a in args]
    if function == "min":
        return min(lows), min(highs)
    if function == "max":
        return max(lows), max(highs)
    if function == "clip":
        return min(max(lows[0], lows[1]), lows[2]), min(max(highs[0], highs[1]), highs[2])
    if function == "where":
        return min(lows[1:]), max(highs[1:])
    if function in ("exp", "sqrt", "abs"):
        return 0.0, math.inf
    return ((0.0 if lows[0] >= 0 else -1.0), 1.0) if function in ("sign", "tanh") else ANY
