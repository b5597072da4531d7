"""The rule language: named equations over what one synapse can sense.

See :func:`parse_rule` for reading a rule. What runs one (:mod:`biosim.equations.compiled`) is imported from where it is: it loads
torch, which reading and listing rules can do without.
"""

from biosim.equations.clock import Clock
from biosim.equations.expression import Expression, parse_expression
from biosim.equations.reading import check_rule, parse_rule
from biosim.equations.rule import Assignment, Competition, Rule
from biosim.equations.units import Quantity, parse_quantity, parse_rate, parse_seconds, parse_time, parse_voltage
from biosim.equations.vocabulary import BUILT_IN, Level

__all__ = [
    "BUILT_IN", "Assignment", "Clock", "Competition", "Expression", "Level", "Quantity", "Rule", "check_rule", "parse_expression",
    "parse_quantity", "parse_rate", "parse_rule", "parse_seconds", "parse_time", "parse_voltage",
]  # fmt: skip
