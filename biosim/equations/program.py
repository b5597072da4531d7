"""The array program: a rule's per-synapse lines, run fused, in place, in one pass over memory.

Lines are compiled to a short stack program, and one numba kernel, compiled once for every rule,
runs it on blocks of synapses that stay in the first-level cache; each instruction is a vectorised
loop over the block. That is as fast as code generated for the rule (memory is the limit), starts
without a compile, and a rule from somebody else stays data: no source text is ever executed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from biosim.equations.evaluate import evaluate_constant
from biosim.equations.expression import constant_value, names_in
from biosim.equations.kernel import MAX_STACK, run_blocks
from biosim.equations.opcodes import Op
from biosim.errors import EquationError

ARRAYS = 16  # synapse arrays (and as many side vectors) one program may touch

_BINARY: dict[type[ast.AST], Op] = {
    ast.Add: Op.add, ast.Sub: Op.sub, ast.Mult: Op.mul, ast.Div: Op.div, ast.Pow: Op.pow,
    ast.Lt: Op.lt, ast.LtE: Op.le, ast.Gt: Op.gt, ast.GtE: Op.ge, ast.And: Op.and_, ast.Or: Op.or_,
}  # fmt: skip
_IMMEDIATE = {Op.add: Op.add_constant, Op.sub: Op.sub_constant, Op.mul: Op.mul_constant, Op.div: Op.div_constant}


@dataclass(frozen=True)
class Program:
    """A compiled sequence of lines.

    Attributes
    ----------
    code : (n, 2) int64
        Instruction and argument.
    constants : (n,) float64
    arrays, pre_vectors, post_vectors : tuple of str
        Names in slot order; arrays are (R, n_pre, n_post), vectors (R, n_pre) and (R, n_post).
    scalars : tuple of (ast.expr, int)
        Expressions over constants and over names whose value is given anew at every run (the step, hence
        ages), and their place among the constants: worked out once a run, not once a synapse.
    known : mapping
        Values of the constants that such expressions read.
    """

    code: npt.NDArray[np.int64]
    constants: npt.NDArray[np.float64]
    arrays: tuple[str, ...]
    pre_vectors: tuple[str, ...]
    post_vectors: tuple[str, ...]
    scalars: tuple[tuple[ast.expr, int], ...]
    known: Mapping[str, float]

    @cached_property
    def packed(self) -> Program:
        """The same program for packed synapses: every per-neuron value has been given to each of its synapses."""
        shift = len(self.post_vectors)
        code = self.code.copy()
        first = code[:, 0] == Op.pre
        code[first] = np.stack([np.full(first.sum(), Op.post), code[first, 1] + shift], 1)
        return replace(self, code=code, pre_vectors=(), post_vectors=(*self.post_vectors, *self.pre_vectors))


class Compiler:
    """Compiles nodes into one program; ``kinds`` says where each name lives.

    ``kinds[name]`` is ``"synapse"``, ``"pre"``, ``"post"``, ``"scalar"`` or a float (a constant).
    """

    def __init__(self, kinds: Mapping[str, str | float]) -> None:
        self.kinds = kinds
        self.code: list[tuple[int, int]] = []
        self.constants: list[float] = []
        self.scalars: list[tuple[ast.expr, int]] = []
        self.known = {name: kind for name, kind in kinds.items() if isinstance(kind, float)}
        self.slots: dict[str, list[str]] = {"synapse": [], "pre": [], "post": []}
        self.depth = self.deepest = 0

    def assign(self, name: str, node: ast.expr) -> None:
        """Append ``name = node``."""
        self._expression(node)
        self._emit(Op.store, self._slot("synapse", name), -1)

    def decide(self, node: ast.expr) -> None:
        """Append a condition; its truth goes to the boolean output."""
        self._expression(node)
        self._emit(Op.condition, 0, -1)

    def finish(self) -> Program:
        """Return the program."""
        for slots in self.slots.values():
            if len(slots) > ARRAYS:
                raise EquationError(f"a rule may read {ARRAYS} per-synapse values and as many per-neuron ones")
        if self.deepest > MAX_STACK:
            raise EquationError("an equation is nested too deeply: name a part of it as a state")
        code = np.array(self.code, np.int64).reshape(-1, 2)
        names = {kind: tuple(own) for kind, own in self.slots.items()}
        return Program(
            code, np.array(self.constants or [0.0]), names["synapse"], names["pre"], names["post"], tuple(self.scalars), self.known
        )

    def _emit(self, op: Op, argument: int, change: int) -> None:
        self.code.append((int(op), argument))
        self.depth += change
        self.deepest = max(self.deepest, self.depth)

    def _slot(self, kind: str, name: str) -> int:
        names = self.slots[kind]
        if name not in names:
            names.append(name)
        return names.index(name)

    def _name(self, name: str) -> None:
        kind = self.kinds[name]
        assert isinstance(kind, str)  # constants were folded before
        if name == "random":
            self._emit(Op.random, 0, 1)
        else:
            self._emit({"synapse": Op.synapse, "pre": Op.pre, "post": Op.post}[kind], self._slot(kind, name), 1)

    def _fold(self, parts: Sequence[ast.expr], op: Op) -> None:
        if op in (Op.add, Op.mul) and len(parts) == 2 and self._is_constant(parts[0]):
            parts = [parts[1], parts[0]]  # these two commute, to the bit
        self._expression(parts[0])
        for part in parts[1:]:
            if op in _IMMEDIATE and self._is_constant(part):
                self._emit(_IMMEDIATE[op], self._place(part), 0)
            else:
                self._expression(part)
                self._emit(op, 0, -1)

    def _is_constant(self, node: ast.expr) -> bool:
        """Whether a node has one value for all synapses."""
        return all(name in self.known or self.kinds[name] == "scalar" for name in names_in(node))

    def _place(self, node: ast.expr) -> int:
        """Put the value of a constant node among the constants; return where."""
        if names_in(node) <= self.known.keys():
            self.constants.append(evaluate_constant(node, self.known))
        else:
            self.scalars.append((node, len(self.constants)))
            self.constants.append(0.0)
        return len(self.constants) - 1

    def _expression(self, node: ast.expr) -> None:
        if self._is_constant(node):
            self._emit(Op.constant, self._place(node), 1)
            return
        match node:
            case ast.Name(id=name):
                self._name(name)
            case ast.BinOp(left=left, op=ast.Pow(), right=right) if constant_value(right) == 2:
                self._expression(left)
                self._emit(Op.square, 0, 0)
            case ast.BinOp(left=left, op=op, right=right):
                self._fold([left, right], _BINARY[type(op)])
            case ast.UnaryOp(op=op, operand=operand):
                self._expression(operand)
                if not isinstance(op, ast.UAdd):
                    self._emit(Op.not_ if isinstance(op, ast.Not) else Op.neg, 0, 0)
            case ast.BoolOp(op=op, values=values):
                self._fold(values, _BINARY[type(op)])
            case ast.Compare():
                self._compare(node)
            case ast.Call(func=ast.Name(id=function), args=args):
                self._call(function, args)
            case _:
                raise AssertionError(ast.dump(node))

    def _compare(self, node: ast.Compare) -> None:
        terms = [node.left, *node.comparators]
        for index, op in enumerate(node.ops):
            self._fold(terms[index : index + 2], _BINARY[type(op)])
            if index:
                self._emit(Op.and_, 0, -1)

    def _call(self, function: str, args: list[ast.expr]) -> None:
        if function in ("min", "max"):
            self._fold(args, Op[function])
        elif function == "clip":
            self._fold(args[:2], Op.max)
            self._expression(args[2])
            self._emit(Op.min, 0, -1)
        elif function == "where":
            for arg in args:
                self._expression(arg)
            self._emit(Op.where, 0, -2)
        else:
            self._expression(args[0])
            self._emit(Op[function], 0, 0)


def run_program(
    program: Program,
    arrays: Mapping[str, npt.NDArray[np.floating]],
    vectors: Mapping[str, npt.NDArray[np.floating]],
    streams: npt.NDArray[np.uint32],
    step: int,
    scalars: Mapping[str, float],
    truth: npt.NDArray[np.bool_] | None = None,
    edges: npt.NDArray[np.int32] | None = None,
    span: tuple[int, int] | None = None,
) -> None:
    """Run a program in place on (R, n_pre, n_post) arrays; ``truth`` receives a condition.

    Packed synapses are (1, 1, N) arrays; ``edges``, (2, N), then names the neurons of each. ``span`` is the first of the
    columns and how many the whole projection has; it may be left out where they are all of them and not packed.
    """
    first = arrays[program.arrays[0]] if program.arrays else None
    shape = first.shape if first is not None else truth.shape  # type: ignore[union-attr]
    kind = first.dtype if first is not None else np.dtype(np.float32)
    part = span is not None and edges is None and span[1] != shape[2]
    flat = not program.pre_vectors and not program.post_vectors and not part
    view = (shape[0], 1, shape[1] * shape[2]) if flat else shape
    synapse = tuple(arrays[n].reshape(view) for n in program.arrays)
    blank3, blank2 = np.zeros((1, 1, 1), kind), np.zeros((1, 1), kind)
    pre = tuple(np.ascontiguousarray(vectors[n], kind) for n in program.pre_vectors)
    post = tuple(np.ascontiguousarray(vectors[n], kind) for n in program.post_vectors)
    constants = program.constants.astype(kind)
    for node, place in program.scalars:
        constants[place] = evaluate_constant(node, {**program.known, **scalars})
    out = np.zeros((1, 1, 1), np.bool_) if truth is None else truth.reshape(view)
    run_blocks(
        program.code,
        constants,
        synapse + (blank3,) * (ARRAYS - len(synapse)),
        pre + (blank2,) * (ARRAYS - len(pre)),
        post + (blank2,) * (ARRAYS - len(post)),
        streams,
        np.uint32(step & 0xFFFFFFFF),
        out,
        np.array(view, np.int64),
        np.empty((2, 0), np.int32) if edges is None else edges,
        *(span or (0, view[2])),
    )
