"""Evaluate a checked syntax tree on torch tensors, exactly as it was written.

Used for one-sided factors, for initial values, for anything on an accelerator, and as the chunked
path of coincidences that no factorisation reaches.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache, reduce

import torch
from torch import Tensor

_BINARY: dict[type[ast.operator], Callable[[Tensor, Tensor], Tensor]] = {
    ast.Add: torch.add, ast.Sub: torch.sub, ast.Mult: torch.mul, ast.Div: torch.div, ast.Pow: torch.pow,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Tensor, Tensor], Tensor]] = {
    ast.Lt: torch.lt, ast.LtE: torch.le, ast.Gt: torch.gt, ast.GtE: torch.ge,
}  # fmt: skip
_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "abs": torch.abs, "sign": torch.sign, "tanh": torch.tanh,
}  # fmt: skip


def evaluate(node: ast.expr, values: Mapping[str, Tensor]) -> Tensor:
    """Return the value of ``node`` with names bound to mutually broadcastable tensors."""
    like = next(iter(values.values())) if values else torch.zeros((), dtype=torch.float64)
    return _evaluate(node, values, like)


def _evaluate(node: ast.expr, values: Mapping[str, Tensor], like: Tensor) -> Tensor:
    match node:
        case ast.Constant(value=int() | float() as value):
            return _constant(float(value), like.dtype, like.device)
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int() | float() as power)):
            return torch.pow(_evaluate(left, values, like), power)
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_evaluate(left, values, like), _evaluate(right, values, like))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, values, like)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return torch.logical_not(_evaluate(operand, values, like))
        case ast.UnaryOp(operand=operand):
            return _evaluate(operand, values, like)
        case ast.BoolOp(op=op, values=parts):
            join = torch.logical_and if isinstance(op, ast.And) else torch.logical_or
            return reduce(join, [_evaluate(part, values, like) for part in parts])
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            terms = [_evaluate(part, values, like) for part in [left, *comparators]]
            pairs = [_COMPARE[type(op)](a, b) for op, a, b in zip(ops, terms, terms[1:], strict=False)]
            return reduce(torch.logical_and, pairs)
        case ast.Call(func=ast.Name(id=function), args=args):
            return _call(function, [_evaluate(arg, values, like) for arg in args])
    raise AssertionError(ast.dump(node))


@cache
def _constant(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a constant where the other values are; made once, since an accelerator waits for every number it is sent.

    It is kept for good: a recorded graph reads it where it lies.
    """
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype, device=device)


def _call(function: str, args: list[Tensor]) -> Tensor:
    if function == "where":
        return torch.where(args[0], args[1], args[2])
    if function == "min":
        return reduce(torch.minimum, args)
    if function == "max":
        return reduce(torch.maximum, args)
    if function == "clip":
        return torch.minimum(torch.maximum(args[0], args[1]), args[2])
    return _UNARY[function](args[0])


def evaluate_constant(node: ast.expr | None, constants: Mapping[str, float]) -> float:
    """Return the value of a node over constants alone, in float64; an absent node is 0."""
    if node is None:
        return 0.0
    quick = _arithmetic(node, constants)
    if quick is not None:
        return quick
    return float(evaluate(node, {n: torch.tensor(v, dtype=torch.float64) for n, v in constants.items()}))


def _arithmetic(node: ast.expr, constants: Mapping[str, float]) -> float | None:
    """Return the value of plain arithmetic (needed at every step); None where torch must decide."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return constants[name]
        case ast.Call(func=ast.Name(id="max"), args=[first, second]):
            a, b = _arithmetic(first, constants), _arithmetic(second, constants)
            return None if a is None or b is None else max(a, b)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _arithmetic(left, constants), _arithmetic(right, constants)
            if a is None or b is None:
                return None
            if isinstance(op, ast.Add):
                return a + b
            if isinstance(op, ast.Sub):
                return a - b
            if isinstance(op, ast.Mult):
                return a * b
            return a / b if isinstance(op, ast.Div) and b != 0 else None
    return None
