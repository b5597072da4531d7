"""The rule language: named equations over what one synapse can sense.

See :func:`parse_rule` for reading a rule and :class:`CompiledRule` for running one.
"""

from biosim.equations.clock import Clock
from biosim.equations.compiled import CompiledRule
from biosim.equations.expression import Expression, parse_expression
from biosim.equations.products import PerformanceWarning
from biosim.equations.reading import check_rule, parse_rule
from biosim.equations.rule import Assignment, Competition, Rule
from biosim.equations.sensed import Known, Sensed
from biosim.equations.units import Quantity, parse_quantity, parse_rate, parse_seconds, parse_time, parse_voltage
from biosim.equations.vocabulary import BUILT_IN, Level

__all__ = [
    "BUILT_IN", "Assignment", "Clock", "Competition", "CompiledRule", "Expression", "Known", "Level", "PerformanceWarning",
    "Quantity", "Rule", "Sensed", "check_rule", "parse_expression", "parse_quantity", "parse_rate", "parse_rule",
    "parse_seconds", "parse_time", "parse_voltage",
]  # fmt: skip
