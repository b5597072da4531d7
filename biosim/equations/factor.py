"""Split an expression over (sample, pre, post) into sums of ``f(pre side) x g(post side)``.

The mean over samples of such a product is one matrix product, so a rule written in a line runs at
BLAS speed. Three habits keep it exact: a side is never expanded (float32 covariance at offset 100
is 21 % wrong expanded, 1e-7 as a product), nothing is ever cancelled or divided out, and factors
without a sample axis (weights, states, parameters) are hoisted out of the mean.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace

from biosim.equations.expression import binary, constant_value, names_in, number
from biosim.equations.vocabulary import Axes

MAX_PRODUCTS = 16


@dataclass(frozen=True)
class Product:
    """``outside * mean_over_samples(pre_side x post_side)``; an absent factor is 1.

    Attributes
    ----------
    outside : ast.expr or None
        No sample axis: read once a synapse.
    pre_side, post_side : ast.expr or None
        Sample axis, one side each. A factor of samples alone (``reward``) goes to the post side.
    """

    outside: ast.expr | None = None
    pre_side: ast.expr | None = None
    post_side: ast.expr | None = None


class UnfactorisableError(Exception):
    """The expression mixes both sides inside one function; the caller evaluates it in chunks."""


def factorise(node: ast.expr, axes: Mapping[str, Axes]) -> list[Product]:
    """Return products whose sum is the sample mean of ``node``.

    Raises
    ------
    UnfactorisableError
        When no split by sides exists, or it would take more than 16 products.
    """
    products = _split(node, axes)
    if len(products) > MAX_PRODUCTS:
        raise UnfactorisableError(f"more than {MAX_PRODUCTS} products")
    return products


def axes_of(node: ast.expr, axes: Mapping[str, Axes]) -> Axes:
    """Return the union of the axes of the names that ``node`` reads."""
    return frozenset().union(*(axes[name] for name in names_in(node)))


def _split(node: ast.expr, axes: Mapping[str, Axes]) -> list[Product]:
    own = axes_of(node, axes)
    if "sample" not in own:
        return [Product(outside=node)]
    if "post" not in own and "pre" in own:
        return [Product(pre_side=node)]
    if "pre" not in own:
        return [Product(post_side=node)]
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            second = _split(right, axes)
            return _split(left, axes) + ([_negate(p) for p in second] if isinstance(op, ast.Sub) else second)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _multiply(_split(left, axes), _split(right, axes))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return [_divide(p, _single(right, axes)) for p in _split(left, axes)]
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(left, right, axes)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return [_negate(p) for p in _split(operand, axes)]
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _split(operand, axes)
        case ast.Call(func=ast.Name(id="abs" | "sign" as function), args=[argument]):
            return [_map(_single(argument, axes), function)]
        case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
            return _where(condition, yes, no, axes)
    raise UnfactorisableError(ast.unparse(node))


def _single(node: ast.expr, axes: Mapping[str, Axes]) -> Product:
    products = _split(node, axes)
    if len(products) != 1:
        raise UnfactorisableError(ast.unparse(node))
    return products[0]


def _times(a: ast.expr | None, b: ast.expr | None) -> ast.expr | None:
    return b if a is None else a if b is None else binary(a, ast.Mult(), b)


def _multiply(left: list[Product], right: list[Product]) -> list[Product]:
    if len(left) * len(right) > MAX_PRODUCTS:
        raise UnfactorisableError(f"more than {MAX_PRODUCTS} products")
    return [
        Product(_times(a.outside, b.outside), _times(a.pre_side, b.pre_side), _times(a.post_side, b.post_side)) for a in left for b in right
    ]


def _negate(product: Product) -> Product:
    return replace(product, outside=_times(number(-1.0), product.outside))


def _over(a: ast.expr | None, b: ast.expr | None) -> ast.expr | None:
    return a if b is None else binary(a or number(1.0), ast.Div(), b)


def _divide(top: Product, bottom: Product) -> Product:
    return Product(_over(top.outside, bottom.outside), _over(top.pre_side, bottom.pre_side), _over(top.post_side, bottom.post_side))


def _map(product: Product, function: str) -> Product:
    """abs and sign of a product are the products of abs and sign, exactly."""

    def call(node: ast.expr | None) -> ast.expr | None:
        return None if node is None else ast.Call(func=ast.Name(id=function), args=[node], keywords=[])

    return Product(call(product.outside), call(product.pre_side), call(product.post_side))


def _power(base: ast.expr, exponent: ast.expr, axes: Mapping[str, Axes]) -> list[Product]:
    value = constant_value(exponent)
    if value is None or value != int(value) or not 1 <= value <= 8:
        raise UnfactorisableError(f"{ast.unparse(base)} ** {ast.unparse(exponent)}")
    products = _split(base, axes)
    if len(products) == 1:
        parts = (products[0].outside, products[0].pre_side, products[0].post_side)
        return [Product(*(None if n is None else binary(n, ast.Pow(), exponent) for n in parts))]
    result = products
    for _ in range(int(value) - 1):
        result = _multiply(result, products)
    return result


def _where(condition: ast.expr, yes: ast.expr, no: ast.expr, axes: Mapping[str, Axes]) -> list[Product]:
    """A one-sided condition selects inside its own side's factor, so nothing leaks through 0*inf."""
    own = axes_of(condition, axes)
    if {"sample", "pre", "post"} <= own:
        raise UnfactorisableError(ast.unparse(condition))
    side = "outside" if "sample" not in own else "pre_side" if "pre" in own else "post_side"

    def gate(product: Product, taken: bool) -> Product:
        value = getattr(product, side) or number(1.0)
        branches = [value, number(0.0)] if taken else [number(0.0), value]
        return replace(product, **{side: ast.Call(func=ast.Name(id="where"), args=[condition, *branches], keywords=[])})

    halves = [(yes, True), (no, False)]
    return [gate(p, taken) for branch, taken in halves if constant_value(branch) != 0 for p in _split(branch, axes)]
