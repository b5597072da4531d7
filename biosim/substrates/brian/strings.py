"""Expressions of the rule language as Brian2 strings, written from the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from brian2.core.functions import Function

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.And: "and", ast.Or: "or",
    ast.USub: "-", ast.UAdd: "+", ast.Not: "not ",
}  # fmt: skip
_CHOSEN = {"where": "choose", "min": "smaller", "max": "larger"}  # functions of the language that Brian2 lacks


def brian_string(node: ast.expr, names: Mapping[str, str]) -> str:
    """Return ``node`` in Brian2's syntax; all numbers are in SI units and dimensionless.

    Parameters
    ----------
    node : ast.expr
        Of a checked expression.
    names : mapping
        What each name it reads is called, or spelled out, on the Brian2 side.
    """
    match node:
        case ast.Constant(value=int() | float() as value):
            return repr(float(value))
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int() | float() as power)) if power == int(power):
            return f"({brian_string(left, names)} ** {int(power)})"
        case ast.BinOp(left=left, op=op, right=right):
            return f"({brian_string(left, names)} {_OPERATORS[type(op)]} {brian_string(right, names)})"
        case ast.UnaryOp(op=op, operand=operand):
            return f"({_OPERATORS[type(op)]}{brian_string(operand, names)})"
        case ast.BoolOp(op=op, values=parts):
            return "(" + f" {_OPERATORS[type(op)]} ".join(brian_string(part, names) for part in parts) + ")"
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            terms = [brian_string(part, names) for part in (left, *comparators)]
            pairs = [f"({a} {_OPERATORS[type(op)]} {b})" for op, a, b in zip(ops, terms, terms[1:], strict=False)]
            return pairs[0] if len(pairs) == 1 else "(" + " and ".join(pairs) + ")"
        case ast.Call(func=ast.Name(id=function), args=args):
            given = [brian_string(argument, names) for argument in args]
            if function in ("min", "max"):
                return reduce(lambda a, b: f"{_CHOSEN[function]}({a}, {b})", given)
            return f"{_CHOSEN.get(function, function)}({', '.join(given)})"
    raise AssertionError(ast.dump(node))


def _function(name: str, python: Callable[..., Any], arguments: str, c: str) -> Function:
    """Return a Brian2 function of dimensionless arguments with its form in numpy, Cython and C++."""
    kinds = arguments.split()
    function = Function(python, arg_units=[bool if kind == "bool" else 1 for kind in kinds], return_unit=1)
    letters = "abc"[: len(kinds)]
    c_list = ", ".join(f"{kind} {letter}" for kind, letter in zip(kinds, letters, strict=True))
    py_list = ", ".join(f"{'bint' if kind == 'bool' else kind} {letter}" for kind, letter in zip(kinds, letters, strict=True))
    test, first, second = c.split("|")
    function.implementations.add_implementation("numpy", python)
    function.implementations.add_implementation(
        "cpp", f"static inline double {name}({c_list})\n{{\n    return {test} ? {first} : {second};\n}}\n", name=name
    )
    function.implementations.add_implementation(
        "cython", f"cdef double {name}({py_list}):\n    return {first} if {test} else {second}\n", name=name
    )
    return function


FUNCTIONS: dict[str, Function] = {
    "choose": _function("choose", np.where, "bool double double", "a|b|c"),
    "smaller": _function("smaller", np.minimum, "double double", "a < b|a|b"),
    "larger": _function("larger", np.maximum, "double double", "a > b|a|b"),
}
