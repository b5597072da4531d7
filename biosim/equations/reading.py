"""Read a rule from a mapping (YAML sections), checking every line and collecting every mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from biosim.equations.dimensions import CONDITION, ZERO, Kind, dimension_of, require
from biosim.equations.expression import FUNCTIONS, Expression, parse_expression
from biosim.equations.linear import split_linear
from biosim.equations.rule import SECTIONS, Assignment, Competition, Decision, Rule, role_fault
from biosim.equations.units import NUMBER, Dimension, Quantity, parse_quantity
from biosim.equations.vocabulary import BUILT_IN, NONE, POST, PRE, SAMPLED, SYNAPSE, Axes, unknown_name
from biosim.errors import EquationError, InputError, Key, did_you_mean

_ASSIGN = re.compile(r"([A-Za-z_]\w*)\s*=(?!=)(.*)", re.DOTALL)
_DERIVATIVE = re.compile(r"d([A-Za-z_]\w*)\s*/\s*dt\s*=(?!=)(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z]\w*")
_TEXTS = ("name", "role", "during", "about", "source", "bibtex", "feedback")
_CONDITION_NAMES = frozenset(BUILT_IN) - SAMPLED


def parse_rule(data: Mapping[str, Any], name: str = "inline") -> Rule:
    """Parse a rule mapping; raise the first of the errors that ``check_rule`` finds.

    Examples
    --------
    >>> from biosim import parse_rule
    >>> rule = parse_rule({
    ...     "parameters": {"tau": "5 % dev"},
    ...     "state": {"tag": 0},
    ...     "synapse": ["dtag/dt = (pre*mean_post - tag)/tau"],
    ...     "eliminate": "tag < 0.01",
    ... })
    >>> rule.level().name  # it reads what its target knows of itself
    'neuron'
    >>> parse_rule({"eliminate": "gradient < 0.1"})
    Traceback (most recent call last):
        ...
    biosim.errors.LocalityError: eliminate: 'gradient' is of level gradient, which only scorers may read...
    """
    rule, errors = check_rule(data, name)
    if errors or rule is None:
        raise errors[0]
    return rule


def check_rule(data: Mapping[str, Any], name: str = "inline") -> tuple[Rule | None, list[InputError]]:
    """Parse a rule mapping and collect every error, each with the key it belongs to."""
    reader = _Reader(dict(data))
    fields = reader.read()
    if reader.errors:
        return None, reader.errors
    return Rule(**{"name": name, **fields}), []


class _Reader:
    """Reads the sections in order, so that each knows the names declared before it."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.errors: list[InputError] = []
        self.dimensions: dict[str, Dimension] = {n: e.dimension for n, e in BUILT_IN.items()}
        self.declared: dict[str, Axes] = {}
        self.means: set[str] = set()  # coincidences: nothing else may assign them

    def read(self) -> dict[str, Any]:
        for key in self.data:
            if key not in (*_TEXTS, *SECTIONS):
                known = [*_TEXTS, *SECTIONS]
                self._fail((str(key),), f"unknown section{did_you_mean(str(key), known)}; sections: {', '.join(SECTIONS)}")
        fields: dict[str, Any] = {k: str(self.data[k]).strip() for k in _TEXTS if self.data.get(k) is not None}
        fields["parameters"] = self._parameters()
        self._declare_traces()
        fields["state"] = self._state()
        fields["state_dimensions"] = {n: self.dimensions[n] for n in fields["state"]}
        fields["traces"] = self._lines("traces", self._trace_names, derivative=True)
        fields["on_spike"] = self._on_spike()
        fields["coincidences"] = self._coincidences()
        fields["synapse"] = self._lines("synapse", self._synapse_names)
        fields["on_pre"] = self._lines("on_pre", self._event_names, derivative=False)
        fields["on_post"] = self._lines("on_post", self._event_names, derivative=False)
        for section in ("silence", "eliminate", "regrow"):
            fields[section] = self._decision(section)
        fields["survivors"] = self._lines("survivors", self._synapse_names, derivative=False)
        if not self.errors and (fault := role_fault(fields)):
            self._fail(*fault)
        return fields

    # -- declarations ---------------------------------------------------------------------------
    def _fail(self, key: Key, message: str) -> None:
        self.errors.append(EquationError(message, key))

    def _mapping(self, section: str) -> dict[str, Any]:
        value = self.data.get(section) or {}
        if not isinstance(value, Mapping):
            self._fail((section,), f"expected 'name: value' lines, not {value!r}")
            return {}
        return {str(k): v for k, v in value.items()}

    def _declare(self, name: str, dim: Dimension, axes: Axes, key: Key) -> bool:
        if not _NAME.fullmatch(name) or name in FUNCTIONS:
            self._fail(key, f"'{name}' cannot be a name")
        elif name in BUILT_IN or name in self.declared:
            self._fail(key, f"'{name}' is already a name: {BUILT_IN[name].meaning if name in BUILT_IN else 'declared above'}")
        else:
            self.declared[name], self.dimensions[name] = axes, dim
            return True
        return False

    def _parameters(self) -> dict[str, Quantity]:
        found = {}
        for name, raw in self._mapping("parameters").items():
            key = ("parameters", name)
            try:
                quantity = parse_quantity(raw)
            except EquationError as error:
                self._fail(key, error.message)
                quantity = None
            if self._declare(name, quantity.dimension if quantity else NUMBER, NONE, key) and quantity:
                found[name] = quantity
        return found

    def _state(self) -> dict[str, Expression]:
        found = {}
        for name, raw in self._mapping("state").items():
            key = ("state", name)
            try:
                expression, dim = self._initial(raw)
            except EquationError as error:
                self._fail(key, error.message)
                expression, dim = parse_expression("0"), NUMBER
            if self._declare(name, dim, SYNAPSE, key):
                found[name] = expression
        return found

    def _initial(self, raw: object) -> tuple[Expression, Dimension]:
        """A state starts at a quantity (``0 s``) or at an expression over the newborn synapse."""
        try:
            quantity = parse_quantity(raw)
        except EquationError:
            expression = parse_expression(raw)
            allowed = {n for n, axes in self.declared.items() if axes == NONE}
            allowed |= {"weight", "random", "degree_pre", "degree_post", "weight_sum_pre", "weight_sum_post"}
            self._check_names(expression, allowed, "an initial value")
            kind = dimension_of(expression, self.dimensions)
            if kind == CONDITION:
                raise EquationError(f"'{expression}' is a condition, not an initial value") from None
            return expression, NUMBER if kind == ZERO else kind  # type: ignore[return-value]
        if quantity.relative:
            raise EquationError(f"'{raw}': declare a time that depends on development as a parameter")
        return parse_expression(repr(quantity.value)), quantity.dimension

    def _declare_traces(self) -> None:
        for index, text in enumerate(self._listing("traces")):
            match = _DERIVATIVE.fullmatch(str(text).strip())
            key = ("traces", index)
            if match is None:
                self._fail(key, f"a trace is written dNAME_pre/dt = ... or dNAME_post/dt = ..., not '{text}'")
            elif not match[1].endswith(("_pre", "_post")):
                self._fail(key, f"the trace '{match[1]}' must end in _pre or _post: it belongs to one neuron")
            else:
                self._declare(match[1], NUMBER, PRE if match[1].endswith("_pre") else POST, key)

    # -- what each section may read -------------------------------------------------------------
    def _of(self, *axes: Axes) -> set[str]:
        return {n for n, own in self.declared.items() if own in axes}

    def _trace_names(self, line: Assignment) -> set[str]:
        side = PRE if line.target.endswith("_pre") else POST
        own = {n for n, e in BUILT_IN.items() if e.axes - {"sample"} in (side, NONE)}  # its own, or global: reward, dt
        return own | self._of(side, NONE)

    def _synapse_names(self, line: Assignment) -> set[str]:
        return set(BUILT_IN if line.derivative else _CONDITION_NAMES) | set(self.declared)

    def _event_names(self, line: Assignment) -> set[str]:
        return {"weight", "random", "age"} | set(self.declared)

    def _check_names(self, expression: Expression, allowed: set[str], where: str) -> None:
        for name in sorted(expression.names - allowed):
            raise unknown_name(name, allowed, where)

    # -- sections of lines ----------------------------------------------------------------------
    def _listing(self, section: str) -> list[Any]:
        value = self.data.get(section)
        if value is None:
            return []
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            self._fail((section,), f"expected a list of equations, not {value!r}")
            return []
        return value

    def _lines(self, section: str, names: Callable[[Assignment], set[str]], derivative: bool | None = None) -> tuple[Assignment, ...]:
        found = []
        for index, text in enumerate(self._listing(section)):
            key = (section, index)
            try:
                line = _read_line(text, key)
                self._check_line(line, names(line), derivative)
                found.append(line)
            except InputError as error:
                self.errors.append(type(error)(error.message, key))
        return tuple(found)

    def _check_line(self, line: Assignment, allowed: set[str], derivative: bool | None) -> None:
        section = str(line.key[0])
        if derivative is not None and line.derivative != derivative:
            raise EquationError(f"'{line}': {section} takes {'dNAME/dt = ...' if derivative else 'NAME = ...'} lines")
        self._check_target(line, section)
        self._check_names(line.expression, allowed, f"'{line.target}' in {section}")
        dim = self.dimensions[line.target]
        wanted: Dimension = (dim[0] - 1, dim[1], dim[2]) if line.derivative else dim
        require(dimension_of(line.expression, self.dimensions), wanted, f"'{line.expression}'")
        if line.derivative:
            constants = {n for n, axes in self.declared.items() if axes == NONE}
            split_linear(line.expression, line.target, constants)

    def _check_target(self, line: Assignment, section: str) -> None:
        own = self._of(PRE, POST) if section == "traces" else self._of(SYNAPSE) - self.means | {"weight"}
        if line.target not in own:
            raise EquationError(
                f"'{line.target}' cannot be assigned in {section}{did_you_mean(line.target, sorted(own))}; "
                f"it may assign: {', '.join(sorted(own))}"
            )

    def _coincidences(self) -> tuple[Assignment, ...]:
        found: list[Assignment] = []
        allowed = set(BUILT_IN) | set(self.declared)
        for index, text in enumerate(self._listing("coincidences")):
            key = ("coincidences", index)
            try:
                line = _read_line(text, key)
                if line.derivative:
                    raise EquationError(f"'{line}': coincidences takes NAME = ... lines")
                self._check_names(line.expression, allowed, f"'{line.target}' in coincidences")
                kind = dimension_of(line.expression, self.dimensions)
                if kind == CONDITION:
                    raise EquationError(f"'{line.expression}' is a condition: write where(condition, a, b)")
                if self._declare(line.target, _number(kind), SYNAPSE, key):
                    found.append(line)
            except InputError as error:
                self.errors.append(type(error)(error.message, key))
        self.means = {line.target for line in found}
        return tuple(found)

    def _on_spike(self) -> tuple[Assignment, ...]:
        found = []
        for name, text in self._mapping("on_spike").items():
            key = ("on_spike", name)
            try:
                if name not in self._of(PRE, POST):
                    raise EquationError(f"'{name}' is not a trace; traces: {', '.join(sorted(self._of(PRE, POST))) or 'none'}")
                expression = parse_expression(text)
                side = self.declared[name]
                self._check_names(expression, self._of(side, NONE), f"'{name}' in on_spike")
                require(dimension_of(expression, self.dimensions), NUMBER, f"'{expression}'")
                found.append(Assignment(name, expression, False, key))
            except InputError as error:
                self.errors.append(type(error)(error.message, key))
        return tuple(found)

    def _decision(self, section: str) -> Decision | None:
        value = self.data.get(section)
        if value is None:
            return None
        try:
            if isinstance(value, Mapping):
                return self._competition(section, dict(value))
            expression = parse_expression(value)
            self._check_names(expression, set(_CONDITION_NAMES) | set(self.declared), section)
            if dimension_of(expression, self.dimensions) != CONDITION:
                raise EquationError(f"'{expression}' is not a condition: compare something, or use compete: {{within, by}}")
            return expression
        except InputError as error:
            self.errors.append(type(error)(error.message, error.key or (section,)))
            return None

    def _competition(self, section: str, value: dict[str, Any]) -> Competition:
        body = value.get("compete")
        if set(value) != {"compete"} or not isinstance(body, Mapping) or set(body) != {"within", "by"}:
            raise EquationError("expected a condition or compete: {within: post, by: expression}", (section,))
        if body["within"] not in ("pre", "post"):
            raise EquationError(
                f"synapses compete within one neuron: 'pre' or 'post', not {body['within']!r} (ranks across neurons are for scorers)",
                (section, "compete", "within"),
            )
        try:
            by = parse_expression(body["by"])
            self._check_names(by, set(_CONDITION_NAMES) | set(self.declared), f"{section}.compete.by")
            if dimension_of(by, self.dimensions) == CONDITION:
                raise EquationError(f"'{by}' is a condition; a competition needs a number to rank by")
        except InputError as error:
            raise type(error)(error.message, (section, "compete", "by")) from None
        return Competition(str(body["within"]), by)


def _number(kind: Kind) -> Dimension:
    return NUMBER if isinstance(kind, str) else kind


def _read_line(text: object, key: Key) -> Assignment:
    source = str(text).strip()
    if match := _DERIVATIVE.fullmatch(source):
        return Assignment(match[1], parse_expression(match[2]), True, key)
    if match := _ASSIGN.fullmatch(source):
        return Assignment(match[1], parse_expression(match[2]), False, key)
    raise EquationError(f"an equation is written NAME = expression or dNAME/dt = expression, not '{source}'")
