"""Expressions: Python syntax, read by a whitelist over ``ast``, never evaluated by Python.

An :class:`Expression` is a checked syntax tree. Everything downstream (dimension check, locality,
factoriser, the array program, the torch evaluator) walks this tree; nothing is ever handed to
``eval`` and no algebra system rewrites it, so what runs is what was written.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property

from biosim.errors import EquationError, did_you_mean

MAX_LENGTH, MAX_NODES, MAX_DEPTH, MAX_EXPONENT = 2000, 400, 40, 16

FUNCTIONS: dict[str, tuple[int, int]] = {  # name: fewest and most arguments
    "exp": (1, 1), "log": (1, 1), "sqrt": (1, 1), "abs": (1, 1), "sign": (1, 1), "tanh": (1, 1),
    "min": (2, 8), "max": (2, 8), "clip": (3, 3), "where": (3, 3),
}  # fmt: skip
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_SPELLING: dict[type[ast.AST], str] = {
    ast.Eq: "'==' (compare with < or >: equality of floats is an accident)",
    ast.NotEq: "'!='", ast.Attribute: "attributes", ast.Subscript: "subscripts: a synapse has no access to other"
    " neurons", ast.Lambda: "lambda", ast.IfExp: "'if' (use where(condition, a, b))",
    ast.FloorDiv: "'//'", ast.Mod: "'%'", ast.MatMult: "'@'", ast.BitXor: "'^' (a power is **)",
    ast.List: "lists", ast.Tuple: "tuples", ast.Dict: "dicts", ast.ListComp: "comprehensions",
    ast.NamedExpr: "':='", ast.Starred: "'*' arguments", ast.JoinedStr: "strings", ast.Await: "await",
}  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """One checked expression: its text and its syntax tree."""

    text: str
    node: ast.expr

    @cached_property
    def names(self) -> frozenset[str]:
        """Every variable the expression reads."""
        return names_in(self.node)

    def __str__(self) -> str:
        return self.text


def names_in(node: ast.expr) -> frozenset[str]:
    """Return the variables ``node`` reads (function names are not variables)."""
    called = {id(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in called)


def parse_expression(text: object) -> Expression:
    """Parse one expression of the rule language.

    Raises
    ------
    EquationError
        On anything outside the grammar, with what is allowed instead.
    """
    source = str(text) if isinstance(text, (int, float)) and not isinstance(text, bool) else text
    if not isinstance(source, str) or not source.strip():
        raise EquationError(f"expected an expression, not {text!r}")
    if len(source) > MAX_LENGTH:
        raise EquationError(f"an expression may have {MAX_LENGTH} characters, this one has {len(source)}")
    try:
        tree = ast.parse(source.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise EquationError(f"cannot read '{source.strip()}': {reason}") from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise EquationError(f"'{source[:40]}...' is too long: more than {MAX_NODES} terms")
    _check(tree.body, source.strip(), 0)
    return Expression(source.strip(), tree.body)


def _refuse(node: ast.AST, source: str) -> EquationError:
    what = _SPELLING.get(type(node), type(node).__name__.lower())
    allowed = "+ - * / ** < <= > >= and or not, numbers, names, " + " ".join(FUNCTIONS)
    return EquationError(f"'{source}': {what} cannot be used here; allowed: {allowed}")


def _check(node: ast.expr, source: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise EquationError(f"'{source[:40]}...' is nested more than {MAX_DEPTH} deep")
    for child in _children(node, source):
        _check(child, source, depth + 1)


def _children(node: ast.expr, source: str) -> list[ast.expr]:
    """Return the operands of a whitelisted node; raise on any other."""
    match node:
        case ast.Constant(value=bool()) | ast.Constant(value=complex()):
            raise _refuse(node, source)
        case ast.Constant(value=int() | float() as value):
            if not -1e300 < value < 1e300:
                raise EquationError(f"'{source}': a number in it is too large to be one")
            return []
        case ast.Name():
            return []
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _OPERATORS):
            if isinstance(op, ast.Pow):
                _check_exponent(right, source)
            return [left, right]
        case ast.BinOp(op=op):
            raise _refuse(op, source)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
            return [operand]
        case ast.BoolOp(values=values):
            return list(values)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for comparison in ops:
                if not isinstance(comparison, _COMPARISONS):
                    raise _refuse(comparison, source)
            return [left, *comparators]
        case ast.Call():
            return _call_arguments(node, source)
        case _:
            raise _refuse(node, source)


def _check_exponent(node: ast.expr, source: str) -> None:
    value = constant_value(node)
    if value is not None and abs(value) > MAX_EXPONENT:
        raise EquationError(f"'{source}': exponents beyond {MAX_EXPONENT} are refused")


def _call_arguments(node: ast.Call, source: str) -> list[ast.expr]:
    if not isinstance(node.func, ast.Name):
        raise _refuse(node.func, source)
    name = node.func.id
    if name not in FUNCTIONS:
        hint = did_you_mean(name, list(FUNCTIONS))
        raise EquationError(f"'{source}': unknown function '{name}'{hint}; functions: {', '.join(FUNCTIONS)}")
    low, high = FUNCTIONS[name]
    if node.keywords or not low <= len(node.args) <= high:
        count = str(low) if low == high else f"{low} to {high}"
        raise EquationError(f"'{source}': {name} takes {count} arguments by position")
    return node.args


def constant_value(node: ast.expr) -> float | None:
    """Return the value of a literal number, signed or not; None for anything else."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = constant_value(operand)
            return None if inner is None else -inner
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return constant_value(operand)
        case _:
            return None


def number(value: float) -> ast.expr:
    """Return a literal node."""
    return ast.Constant(value=float(value))


def binary(left: ast.expr, op: ast.operator, right: ast.expr) -> ast.expr:
    """Return the node ``left op right``."""
    return ast.BinOp(left=left, op=op, right=right)
