"""The array program: a rule's per-synapse lines, run fused, in place, in one pass over memory.

Lines are compiled to a short stack program, and one numba kernel, compiled once for every rule,
runs it on blocks of synapses that stay in the first-level cache; each instruction is a vectorised
loop over the block. That is as fast as code generated for the rule (memory is the limit), starts
without a compile, and a rule from somebody else stays data: no source text is ever executed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numba
import numpy as np
import numpy.typing as npt

from biosim.equations.expression import constant_value
from biosim.errors import EquationError
from biosim.streams import hash32, unit

BLOCK = 2048
MAX_STACK = 24
ARRAYS = 16  # synapse arrays (and as many side vectors) one program may touch


class Op(IntEnum):
    """Instructions. Operands come from a stack of blocks; loads take one argument."""

    synapse = 0
    pre = 1
    post = 2
    constant = 3
    random = 4
    add = 5
    sub = 6
    mul = 7
    div = 8
    pow = 9
    neg = 10
    lt = 11
    le = 12
    gt = 13
    ge = 14
    and_ = 15
    or_ = 16
    not_ = 17
    exp = 18
    log = 19
    sqrt = 20
    abs = 21
    sign = 22
    tanh = 23
    min = 24
    max = 25
    where = 26
    store = 27
    square = 28
    condition = 29  # store into the boolean output


_BINARY: dict[type[ast.AST], Op] = {
    ast.Add: Op.add, ast.Sub: Op.sub, ast.Mult: Op.mul, ast.Div: Op.div, ast.Pow: Op.pow,
    ast.Lt: Op.lt, ast.LtE: Op.le, ast.Gt: Op.gt, ast.GtE: Op.ge, ast.And: Op.and_, ast.Or: Op.or_,
}  # fmt: skip


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
    scalars : tuple of (str, int)
        Names whose value is given anew at every run, and their place among the constants.
    """

    code: npt.NDArray[np.int64]
    constants: npt.NDArray[np.float64]
    arrays: tuple[str, ...]
    pre_vectors: tuple[str, ...]
    post_vectors: tuple[str, ...]
    scalars: tuple[tuple[str, int], ...]


class Compiler:
    """Compiles nodes into one program; ``kinds`` says where each name lives.

    ``kinds[name]`` is ``"synapse"``, ``"pre"``, ``"post"``, ``"scalar"`` or a float (a constant).
    """

    def __init__(self, kinds: Mapping[str, str | float]) -> None:
        self.kinds = kinds
        self.code: list[tuple[int, int]] = []
        self.constants: list[float] = []
        self.scalars: list[tuple[str, int]] = []
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
        return Program(code, np.array(self.constants or [0.0]), names["synapse"], names["pre"], names["post"], tuple(self.scalars))

    def _emit(self, op: Op, argument: int, change: int) -> None:
        self.code.append((int(op), argument))
        self.depth += change
        self.deepest = max(self.deepest, self.depth)

    def _slot(self, kind: str, name: str) -> int:
        names = self.slots[kind]
        if name not in names:
            names.append(name)
        return names.index(name)

    def _constant(self, value: float) -> None:
        self.constants.append(value)
        self._emit(Op.constant, len(self.constants) - 1, 1)

    def _name(self, name: str) -> None:
        kind = self.kinds[name]
        if isinstance(kind, float):
            self._constant(kind)
        elif kind == "scalar":
            self.scalars.append((name, len(self.constants)))
            self._constant(0.0)
        elif name == "random":
            self._emit(Op.random, 0, 1)
        else:
            self._emit({"synapse": Op.synapse, "pre": Op.pre, "post": Op.post}[kind], self._slot(kind, name), 1)

    def _fold(self, parts: Sequence[ast.expr], op: Op) -> None:
        self._expression(parts[0])
        for part in parts[1:]:
            self._expression(part)
            self._emit(op, 0, -1)

    def _expression(self, node: ast.expr) -> None:
        value = constant_value(node)
        if value is not None:
            self._constant(value)
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
) -> None:
    """Run a program in place on (R, n_pre, n_post) arrays; ``truth`` receives a condition."""
    first = arrays[program.arrays[0]] if program.arrays else None
    shape = first.shape if first is not None else truth.shape  # type: ignore[union-attr]
    kind = first.dtype if first is not None else np.dtype(np.float32)
    flat = not program.pre_vectors and not program.post_vectors
    view = (shape[0], 1, shape[1] * shape[2]) if flat else shape
    synapse = tuple(arrays[n].reshape(view) for n in program.arrays)
    blank3, blank2 = np.zeros((1, 1, 1), kind), np.zeros((1, 1), kind)
    pre = tuple(np.ascontiguousarray(vectors[n], kind) for n in program.pre_vectors)
    post = tuple(np.ascontiguousarray(vectors[n], kind) for n in program.post_vectors)
    constants = program.constants.astype(kind)
    for name, place in program.scalars:
        constants[place] = scalars[name]
    out = np.zeros((1, 1, 1), np.bool_) if truth is None else truth.reshape(view)
    _run(
        program.code,
        constants,
        synapse + (blank3,) * (ARRAYS - len(synapse)),
        pre + (blank2,) * (ARRAYS - len(pre)),
        post + (blank2,) * (ARRAYS - len(post)),
        streams,
        np.uint32(step & 0xFFFFFFFF),
        out,
        np.array(view, np.int64),
    )


@numba.njit(cache=True, error_model="numpy")
def _apply(op, top, reg, n):  # type: ignore[no-untyped-def]  # numba infers these
    """Run one arithmetic instruction on the stack; return its new height."""
    a = reg[top - 1]
    b = reg[top] if top < reg.shape[0] else reg[0]
    if 5 <= op <= 9 or 11 <= op <= 16 or op == 24 or op == 25:
        top -= 1
        a, b = reg[top - 1], reg[top]
        if op == 5:
            for q in range(n):
                a[q] = a[q] + b[q]
        elif op == 6:
            for q in range(n):
                a[q] = a[q] - b[q]
        elif op == 7:
            for q in range(n):
                a[q] = a[q] * b[q]
        elif op == 8:
            for q in range(n):
                a[q] = a[q] / b[q]
        elif op == 9:
            for q in range(n):
                a[q] = a[q] ** b[q]
        elif op == 11:
            for q in range(n):
                a[q] = 1 if a[q] < b[q] else 0
        elif op == 12:
            for q in range(n):
                a[q] = 1 if a[q] <= b[q] else 0
        elif op == 13:
            for q in range(n):
                a[q] = 1 if a[q] > b[q] else 0
        elif op == 14:
            for q in range(n):
                a[q] = 1 if a[q] >= b[q] else 0
        elif op == 15:
            for q in range(n):
                a[q] = a[q] * b[q]
        elif op == 16:
            for q in range(n):
                a[q] = 1 if (a[q] != 0) or (b[q] != 0) else 0
        elif op == 24:
            for q in range(n):
                a[q] = a[q] if (a[q] < b[q] or a[q] != a[q]) else b[q]
        else:
            for q in range(n):
                a[q] = a[q] if (a[q] > b[q] or a[q] != a[q]) else b[q]
    elif op == 26:
        top -= 2
        a, b, c = reg[top - 1], reg[top], reg[top + 1]
        for q in range(n):
            a[q] = b[q] if a[q] != 0 else c[q]
    elif op == 10:
        for q in range(n):
            a[q] = -a[q]
    elif op == 17:
        for q in range(n):
            a[q] = 1 - a[q]
    elif op == 18:
        for q in range(n):
            a[q] = np.exp(a[q])
    elif op == 19:
        for q in range(n):
            a[q] = np.log(a[q])
    elif op == 20:
        for q in range(n):
            a[q] = np.sqrt(a[q])
    elif op == 21:
        for q in range(n):
            a[q] = abs(a[q])
    elif op == 22:
        for q in range(n):
            a[q] = np.sign(a[q])
    elif op == 23:
        for q in range(n):
            a[q] = np.tanh(a[q])
    elif op == 28:
        for q in range(n):
            a[q] = a[q] * a[q]
    return top


@numba.njit(cache=True, parallel=True, error_model="numpy")
def _run(code, constants, synapse, pre, post, streams, step, truth, view):  # type: ignore[no-untyped-def]
    replicates, rows, columns = view[0], view[1], view[2]
    blocks = (columns + BLOCK - 1) // BLOCK
    tasks = replicates * rows * blocks
    chunk = max(1, min(64, tasks // 16))
    for group in numba.prange((tasks + chunk - 1) // chunk):
        reg = np.empty((MAX_STACK, BLOCK), constants.dtype)
        for task in range(group * chunk, min(tasks, (group + 1) * chunk)):
            r = task // (rows * blocks)
            i = (task // blocks) % rows
            j = (task % blocks) * BLOCK
            n = min(BLOCK, columns - j)
            top = 0
            for line in range(code.shape[0]):
                op, argument = code[line, 0], code[line, 1]
                if op == 0:
                    source, target = synapse[argument][r, i, j : j + n], reg[top]
                    for q in range(n):
                        target[q] = source[q]
                    top += 1
                elif op == 1:
                    reg[top, :n].fill(pre[argument][r, i])
                    top += 1
                elif op == 2:
                    source, target = post[argument][r, j : j + n], reg[top]
                    for q in range(n):
                        target[q] = source[q]
                    top += 1
                elif op == 3:
                    reg[top, :n].fill(constants[argument])
                    top += 1
                elif op == 4:
                    for q in range(n):
                        edge = np.uint64(i * columns + j + q)
                        reg[top, q] = unit(hash32(streams[r], step, edge))
                    top += 1
                elif op == 27:
                    top -= 1
                    source, target = reg[top], synapse[argument][r, i, j : j + n]
                    for q in range(n):
                        target[q] = source[q]
                elif op == 29:
                    top -= 1
                    source, answer = reg[top], truth[r, i, j : j + n]
                    for q in range(n):
                        answer[q] = source[q] != 0
                else:
                    top = _apply(op, top, reg, n)
