"""Linear equations, solved exactly: ``dx/dt = a*x + b`` with constant ``a``.

Over S presentations of length h with ``b`` constant within each,

    x(t + S*h) = exp(a*S*h) * x(t) + sum_s w_s * b_s,    w_s = exp(a*h)**(S-1-s) * (exp(a*h) - 1)/a

so one step over a batch equals sample-by-sample updating at every batch size (an Euler step over
the batch explodes as soon as the batch lasts longer than the time constant).
"""

from __future__ import annotations

import ast
import math

import numpy as np
import numpy.typing as npt

from biosim.equations.expression import Expression, binary, names_in, number
from biosim.errors import EquationError


def split_linear(expression: Expression, name: str, constants: set[str]) -> tuple[ast.expr | None, ast.expr | None]:
    """Return nodes (a, b) with ``expression = a*name + b``; None stands for zero.

    Raises
    ------
    EquationError
        When the expression is not linear in ``name`` or its rate is not constant.
    """
    rate, rest = _split(expression.node, name, str(expression))
    if rate is not None and (moving := sorted(names_in(rate) - constants)):
        raise EquationError(f"d{name}/dt must be linear in {name} with a constant rate; here the rate depends on {', '.join(moving)}")
    return rate, rest


def _split(node: ast.expr, name: str, text: str) -> tuple[ast.expr | None, ast.expr | None]:
    if name not in names_in(node):
        return None, node
    match node:
        case ast.Name():
            return number(1.0), None
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
            a, b = _split(operand, name, text)
            return _wrap(op, a), _wrap(op, b)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            a, b = _split(left, name, text)
            c, d = _split(right, name, text)
            return _join(a, op, c), _join(b, op, d)
        case ast.BinOp(left=left, op=ast.Mult() as op, right=right):
            inner, factor, flip = (left, right, False) if name in names_in(left) else (right, left, True)
            if name not in names_in(factor):
                a, b = _split(inner, name, text)
                return _times(a, op, factor, flip), _times(b, op, factor, flip)
        case ast.BinOp(left=left, op=ast.Div() as op, right=right) if name not in names_in(right):
            a, b = _split(left, name, text)
            return _times(a, op, right, False), _times(b, op, right, False)
    raise EquationError(f"d{name}/dt must be linear in {name}; '{text}' is not")


def _wrap(op: ast.unaryop, node: ast.expr | None) -> ast.expr | None:
    return None if node is None else ast.UnaryOp(op=op, operand=node)


def _join(left: ast.expr | None, op: ast.operator, right: ast.expr | None) -> ast.expr | None:
    if right is None:
        return left
    if left is None:
        return right if isinstance(op, ast.Add) else ast.UnaryOp(op=ast.USub(), operand=right)
    return binary(left, op, right)


def _times(node: ast.expr | None, op: ast.operator, factor: ast.expr, flip: bool) -> ast.expr | None:
    if node is None:
        return None
    return binary(factor, op, node) if flip else binary(node, op, factor)


def decay(rate: float, duration: float) -> float:
    """Return ``exp(rate*duration)``."""
    return math.exp(rate * duration)


def sample_weights(rate: float, presentation: float, samples: int) -> npt.NDArray[np.float64]:
    """Return w_s for s = 0 .. samples-1 (seconds), the weight of each sample's ``b``."""
    gain = presentation if rate == 0 else math.expm1(rate * presentation) / rate
    age = np.arange(samples - 1, -1, -1, dtype=np.float64)
    return np.asarray(gain * np.exp(rate * presentation * age))
