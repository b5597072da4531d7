"""Quantities with units, and the dimensions an expression is checked with.

A dimension is a triple of exponents of (time, voltage, current). Activities, weights and states
declared without a unit are pure numbers; a rate substrate's activity is in its own unit, a spiking
one's in Hz, and a rule that is to run on both reads it as a number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from biosim.errors import EquationError, did_you_mean

Dimension = tuple[Fraction, Fraction, Fraction]


def dimension(time: int = 0, voltage: int = 0, current: int = 0) -> Dimension:
    """Return the dimension with these exponents."""
    return Fraction(time), Fraction(voltage), Fraction(current)


NUMBER = dimension()
TIME = dimension(time=1)
RATE = dimension(time=-1)
VOLTAGE = dimension(voltage=1)
_AMPERE = dimension(current=1)
_SIEMENS = dimension(voltage=-1, current=1)
_FARAD = dimension(time=1, voltage=-1, current=1)

UNITS: dict[str, tuple[float, Dimension]] = {
    "us": (1e-6, TIME), "ms": (1e-3, TIME), "s": (1.0, TIME), "min": (60.0, TIME),
    "h": (3600.0, TIME), "day": (86400.0, TIME),
    "Hz": (1.0, RATE), "kHz": (1e3, RATE), "per_day": (1 / 86400.0, RATE),
    "V": (1.0, VOLTAGE), "mV": (1e-3, VOLTAGE),
    "A": (1.0, _AMPERE), "nA": (1e-9, _AMPERE), "pA": (1e-12, _AMPERE),
    "S": (1.0, _SIEMENS), "uS": (1e-6, _SIEMENS), "nS": (1e-9, _SIEMENS),
    "F": (1.0, _FARAD), "nF": (1e-9, _FARAD), "pF": (1e-12, _FARAD),
    "%": (0.01, NUMBER),
}  # fmt: skip
DEVELOPMENT = "% dev"
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S.*?)?\s*")


@dataclass(frozen=True)
class Quantity:
    """A number in SI units with its dimension.

    Attributes
    ----------
    value : float
        In SI units; for ``relative`` quantities a fraction of the developmental time.
    dimension : Dimension
        Exponents of (time, voltage, current).
    relative : bool
        True for ``2 % dev``: a time given as a fraction of development.
    text : str
        As the user wrote it.
    """

    value: float
    dimension: Dimension = NUMBER
    relative: bool = False
    text: str = ""

    def resolve(self, development: float) -> float:
        """Return the value in SI units when development lasts ``development`` seconds."""
        return self.value * development if self.relative else self.value


def parse_quantity(raw: object) -> Quantity:
    """Read ``500 ms``, ``0.05``, ``20 Hz`` or ``2 % dev``.

    Raises
    ------
    EquationError
        When the text is not a finite number followed by a known unit.
    """
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise EquationError(f"expected a number with an optional unit, such as 500 ms, not {raw!r}")
    match = _QUANTITY.fullmatch(str(raw))
    if match is None:
        raise EquationError(f"{raw!r} is not a number with an optional unit, such as 500 ms")
    number, unit = float(match[1]), " ".join((match[2] or "").split())
    if not math.isfinite(number):
        raise EquationError(f"{raw!r} is not finite")
    if unit == DEVELOPMENT:
        return Quantity(number / 100, TIME, True, str(raw))
    if unit and unit not in UNITS:
        known = [*UNITS, DEVELOPMENT]
        raise EquationError(f"unknown unit '{unit}'{did_you_mean(unit, known)}; units: {', '.join(known)}")
    scale, dim = UNITS[unit] if unit else (1.0, NUMBER)
    return Quantity(number * scale, dim, False, str(raw))


def parse_time(raw: object) -> Quantity:
    """Read a time; a bare number is refused, because its unit would be a guess."""
    quantity = parse_quantity(raw)
    if quantity.dimension != TIME:
        raise EquationError(f"{raw!r} needs a unit of time, such as 50 ms or 2 % dev")
    return quantity


def parse_seconds(raw: object) -> float:
    """Read a time longer than 0 that does not depend on development, in seconds."""
    quantity = parse_time(raw)
    if quantity.relative or quantity.value <= 0:
        raise EquationError(f"must be a positive time such as 50 ms, not {raw!r}")
    return quantity.value


def parse_rate(raw: object) -> float:
    """Read a rate in Hz; a bare number is refused, because its unit would be a guess."""
    quantity = parse_quantity(raw)
    if quantity.dimension != RATE:
        raise EquationError(f"{raw!r} needs a unit of rate, such as 200 Hz")
    return quantity.value


def parse_voltage(raw: object) -> float:
    """Read a potential in volts; a bare number is refused, because its unit would be a guess."""
    quantity = parse_quantity(raw)
    if quantity.dimension != VOLTAGE:
        raise EquationError(f"{raw!r} needs a unit of voltage, such as 20 mV")
    return quantity.value


def describe(dim: Dimension) -> str:
    """Return a dimension in words, such as ``time`` or ``1/time``."""
    if dim == NUMBER:
        return "a pure number"
    names = ("time", "voltage", "current")
    parts = [n if e == 1 else f"{n}^{e}" for n, e in zip(names, dim, strict=True) if e]
    return "a " + " ".join(parts)
