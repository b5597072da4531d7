"""The numba kernel that runs array programs: a stack machine over blocks that stay in cache."""

from __future__ import annotations

import numba
import numpy as np

from biosim.equations.opcodes import Op
from biosim.streams import hash32, unit

BLOCK = 1024  # synapses worked on at a time
MAX_STACK = 24


@numba.njit(cache=True, error_model="numpy")
def apply(op, top, reg, n):  # type: ignore[no-untyped-def]  # numba infers these
    """Run one arithmetic instruction on the stack; return its new height."""
    a = reg[top - 1]
    b = reg[top] if top < reg.shape[0] else reg[0]
    if Op.add <= op <= Op.pow or Op.lt <= op <= Op.or_ or op == Op.min or op == Op.max:
        top -= 1
        a, b = reg[top - 1], reg[top]
        if op == Op.add:
            for q in range(n):
                a[q] = a[q] + b[q]
        elif op == Op.sub:
            for q in range(n):
                a[q] = a[q] - b[q]
        elif op == Op.mul:
            for q in range(n):
                a[q] = a[q] * b[q]
        elif op == Op.div:
            for q in range(n):
                a[q] = a[q] / b[q]
        elif op == Op.pow:
            for q in range(n):
                a[q] = a[q] ** b[q]
        elif op == Op.lt:
            for q in range(n):
                a[q] = 1 if a[q] < b[q] else 0
        elif op == Op.le:
            for q in range(n):
                a[q] = 1 if a[q] <= b[q] else 0
        elif op == Op.gt:
            for q in range(n):
                a[q] = 1 if a[q] > b[q] else 0
        elif op == Op.ge:
            for q in range(n):
                a[q] = 1 if a[q] >= b[q] else 0
        elif op == Op.and_:
            for q in range(n):
                a[q] = a[q] * b[q]
        elif op == Op.or_:
            for q in range(n):
                a[q] = 1 if (a[q] != 0) or (b[q] != 0) else 0
        elif op == Op.min:
            for q in range(n):
                a[q] = a[q] if (a[q] < b[q] or a[q] != a[q]) else b[q]
        else:
            for q in range(n):
                a[q] = a[q] if (a[q] > b[q] or a[q] != a[q]) else b[q]
    elif op == Op.where:
        top -= 2
        a, b, c = reg[top - 1], reg[top], reg[top + 1]
        for q in range(n):
            a[q] = b[q] if a[q] != 0 else c[q]
    elif op == Op.neg:
        for q in range(n):
            a[q] = -a[q]
    elif op == Op.not_:
        for q in range(n):
            a[q] = 1 - a[q]
    elif op == Op.exp:
        for q in range(n):
            a[q] = np.exp(a[q])
    elif op == Op.log:
        for q in range(n):
            a[q] = np.log(a[q])
    elif op == Op.sqrt:
        for q in range(n):
            a[q] = np.sqrt(a[q])
    elif op == Op.abs:
        for q in range(n):
            a[q] = abs(a[q])
    elif op == Op.sign:
        for q in range(n):
            a[q] = 1 if a[q] > 0 else (-1 if a[q] < 0 else a[q])
    elif op == Op.tanh:
        for q in range(n):
            a[q] = np.tanh(a[q])
    elif op == Op.square:
        for q in range(n):
            a[q] = a[q] * a[q]
    return top


@numba.njit(cache=True, error_model="numpy")
def apply_constant(op, a, value, n):  # type: ignore[no-untyped-def]
    """Run one instruction whose right-hand side is a constant."""
    if op == Op.add_constant:
        for q in range(n):
            a[q] = a[q] + value
    elif op == Op.sub_constant:
        for q in range(n):
            a[q] = a[q] - value
    elif op == Op.mul_constant:
        for q in range(n):
            a[q] = a[q] * value
    else:
        for q in range(n):
            a[q] = a[q] / value


@numba.njit(cache=True, parallel=True, error_model="numpy")
def run_blocks(code, constants, synapse, pre, post, streams, step, truth, view, edges, first, total):  # type: ignore[no-untyped-def]
    """Run ``code`` on every block of (R, rows, columns) arrays; ``truth`` receives a condition.

    ``edges`` holds, for packed synapses, the two neurons of each; else nothing. Column j is ``first + j`` of ``total``.
    """
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
                if op == Op.synapse:
                    source, target = synapse[argument][r, i, j : j + n], reg[top]
                    for q in range(n):
                        target[q] = source[q]
                    top += 1
                elif op == Op.pre:
                    reg[top, :n].fill(pre[argument][r, i])
                    top += 1
                elif op == Op.post:
                    source, target = post[argument][r, j : j + n], reg[top]
                    for q in range(n):
                        target[q] = source[q]
                    top += 1
                elif op == Op.constant:
                    reg[top, :n].fill(constants[argument])
                    top += 1
                elif op == Op.random:
                    packed = edges.shape[1] > 0
                    for q in range(n):
                        place = np.int64(edges[0, j + q]) * total + edges[1, j + q] if packed else i * total + j + q
                        reg[top, q] = unit(hash32(streams[r], step, np.uint64(first + place)))
                    top += 1
                elif op >= Op.add_constant:
                    apply_constant(op, reg[top - 1], constants[argument], n)
                elif op == Op.store:
                    top -= 1
                    source, target = reg[top], synapse[argument][r, i, j : j + n]
                    for q in range(n):
                        target[q] = source[q]
                elif op == Op.condition:
                    top -= 1
                    source, answer = reg[top], truth[r, i, j : j + n]
                    for q in range(n):
                        answer[q] = source[q] != 0
                else:
                    top = apply(op, top, reg, n)
