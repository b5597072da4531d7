"""Dimension check: what an expression measures, or why it measures nothing."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from fractions import Fraction

from biosim.equations.expression import Expression, constant_value
from biosim.equations.units import NUMBER, Dimension, describe
from biosim.errors import EquationError

CONDITION = "condition"
ZERO = "zero"  # the literal 0 has every dimension
Kind = Dimension | str


def dimension_of(expression: Expression, names: Mapping[str, Dimension]) -> Kind:
    """Return the dimension of ``expression``, or ``"condition"``, or ``"zero"``.

    Raises
    ------
    EquationError
        When quantities of different dimension are added or compared, when a function that needs a
        pure number gets another, or when a condition is used as a number.
    """
    try:
        return _kind(expression.node, names)
    except EquationError as error:
        raise EquationError(f"'{expression}': {error.message}") from None


def require(kind: Kind, wanted: Dimension, what: str) -> None:
    """Raise unless ``kind`` is ``wanted`` (a literal zero always is)."""
    if kind == CONDITION:
        raise EquationError(f"{what} is a condition used as a number: write where(condition, a, b)")
    if kind not in (ZERO, wanted):
        assert not isinstance(kind, str)
        raise EquationError(f"{what} is {describe(kind)} where {describe(wanted)} is needed")


def _text(node: ast.expr) -> str:
    return ast.unparse(node)


def _numeric(node: ast.expr, names: Mapping[str, Dimension]) -> Dimension | None:
    """Return the dimension of a number; None for a literal zero."""
    kind = _kind(node, names)
    if kind == CONDITION:
        raise EquationError(f"'{_text(node)}' is a condition used as a number: write where(condition, a, b)")
    return None if kind == ZERO else kind  # type: ignore[return-value]


def _same(nodes: list[ast.expr], names: Mapping[str, Dimension], doing: str) -> Kind:
    found: Dimension | None = None
    for node in nodes:
        dim = _numeric(node, names)
        if dim is None:
            continue
        if found is not None and dim != found:
            raise EquationError(f"cannot {doing} {describe(found)} and {describe(dim)} ('{_text(node)}')")
        found = dim
    return ZERO if found is None else found


def _kind(node: ast.expr, names: Mapping[str, Dimension]) -> Kind:
    match node:
        case ast.Constant(value=value):
            return ZERO if value == 0 else NUMBER
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _require_condition(operand, names)
            return CONDITION
        case ast.UnaryOp(operand=operand):
            return _same([operand], names, "negate")
        case ast.BoolOp(values=values):
            for part in values:
                _require_condition(part, names)
            return CONDITION
        case ast.Compare(left=left, comparators=comparators):
            _same([left, *comparators], names, "compare")
            return CONDITION
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(left, op, right, names)
        case ast.Call(func=ast.Name(id=function), args=args):
            return _call(function, args, names)
    raise AssertionError(ast.dump(node))


def _require_condition(node: ast.expr, names: Mapping[str, Dimension]) -> None:
    if _kind(node, names) != CONDITION:
        raise EquationError(f"'{_text(node)}' is a number used as a condition: compare it with something")


def _binary(left: ast.expr, op: ast.operator, right: ast.expr, names: Mapping[str, Dimension]) -> Kind:
    if isinstance(op, (ast.Add, ast.Sub)):
        return _same([left, right], names, "add" if isinstance(op, ast.Add) else "subtract")
    if isinstance(op, ast.Pow):
        return _power(left, right, names)
    a, b = _numeric(left, names), _numeric(right, names)
    if a is None or (b is None and isinstance(op, ast.Mult)):
        return ZERO
    if b is None:
        raise EquationError(f"'{_text(left)}' is divided by zero")
    sign = 1 if isinstance(op, ast.Mult) else -1
    return tuple(x + sign * y for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def _power(base: ast.expr, exponent: ast.expr, names: Mapping[str, Dimension]) -> Kind:
    dim = _numeric(base, names)
    if _numeric(exponent, names) not in (None, NUMBER):
        raise EquationError(f"the exponent '{_text(exponent)}' must be a pure number")
    if dim is None or dim == NUMBER:
        return NUMBER
    value = constant_value(exponent)
    if value is None:
        raise EquationError(f"'{_text(base)}' is {describe(dim)}: its exponent must be a literal number")
    factor = Fraction(value).limit_denominator(64)
    return tuple(x * factor for x in dim)  # type: ignore[return-value]


def _call(function: str, args: list[ast.expr], names: Mapping[str, Dimension]) -> Kind:
    if function == "where":
        _require_condition(args[0], names)
        return _same(args[1:], names, "choose between")
    if function in ("min", "max", "clip"):
        return _same(args, names, f"take {function} of")
    dim = _numeric(args[0], names)
    if function == "abs":
        return ZERO if dim is None else dim
    if function == "sign":
        return NUMBER
    if function == "sqrt":
        return ZERO if dim is None else tuple(x / 2 for x in dim)  # type: ignore[return-value]
    if dim not in (None, NUMBER):
        raise EquationError(f"{function} needs a pure number, '{_text(args[0])}' is {describe(dim)}")
    return NUMBER
