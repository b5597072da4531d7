"""The instructions of array programs."""

from __future__ import annotations

from enum import IntEnum


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
    add_constant = 30  # these take their right operand from the constants, not from the stack
    sub_constant = 31
    mul_constant = 32
    div_constant = 33
