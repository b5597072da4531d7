"""What there is to name in a scenario, and what each thing is."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from biosim.errors import BiosimError, did_you_mean
from biosim.library import names
from biosim.scorer_sources import find_source, sources

if TYPE_CHECKING:
    from biosim.equations import Rule  # loads numpy, which listing scenarios can do without

KINDS = ("rules", "models", "drives", "substrates", "measures", "scenarios", "scorers", "studies", "analysis")


def entries(kind: str) -> dict[str, str]:
    """Return every entry of a kind with one line on it."""
    if kind == "rules":
        found = {}
        for name, rule in _rules().items():
            role = f"{rule.role}: " if rule.role != "pruning" else "spiking: " if rule.event_driven else ""
            found[name] = f"[{_level(rule)}] {role}{' '.join(rule.about.split())}"
        return found
    if kind == "scorers":
        return {n: _first(s.about) for n, s in sources().items()}
    if kind == "scenarios":
        return {n: _question(p) for n, p in names("scenarios").items()}
    return {n: _first(_docstring(p)) for n, p in names(kind).items()}  # type: ignore[arg-type]


def _rules() -> dict[str, Rule]:
    """Return every rule by name, whatever its role."""
    from biosim.equations.rule import ROLES
    from biosim.rules import load_rule, rule_paths

    return {name: load_rule(name, role) for role in ROLES for name in [*rule_paths(role), *rule_paths(role, spiking=True)]}


def describe(name: str, kind: str | None = None, cite: bool = False) -> str:
    """Return what ``name`` is, in full.

    Raises
    ------
    BiosimError
        When nothing has that name.
    """
    plural = next((k for k in KINDS if kind in (k, "study" if k == "studies" else k.removesuffix("s"))), kind)
    if plural is not None and plural not in KINDS:
        raise BiosimError(f"there is no kind '{kind}'; there are: {', '.join(KINDS)}")
    if plural == "scorers" and name.endswith(".py"):
        return _describe("scorers", name, cite)
    everything: list[str] = []
    for candidate in [plural] if plural else KINDS:
        known = entries(candidate)
        if name in known:
            return _describe(candidate, name, cite)
        everything += known
    raise BiosimError(f"nothing is called '{name}'{did_you_mean(name, everything)}; biosim list shows what there is")


def _describe(kind: str, name: str, cite: bool) -> str:
    if kind == "rules":
        rule = _rules()[name]
        return rule.bibtex if cite else rule_text(rule)
    if cite:
        raise BiosimError(f"--cite is for rules; '{name}' is one of the {kind}")
    if kind == "scorers":
        source = find_source(name)
        return source.about.strip() if source.own else f"{source.path}\n\n{source.about.strip()}"
    path = names(kind)[name]  # type: ignore[arg-type]
    return path.read_text().strip() if kind == "scenarios" else f"{path}\n\n{_docstring(path)}"


def rule_text(rule: Rule) -> str:
    """Return equations, locality, parameters and source of a rule, ready to read."""
    lines = [f"{rule.name}: {' '.join(rule.about.split())}", "", f"locality: {_level(rule)}"]
    if rule.role != "pruning":
        lines.append(f"role: {rule.role}" + (f", learns during {rule.during}" if rule.during else ""))
    elif rule.plastic:
        lines.append("weights: changed by this rule")
    if rule.feedback:
        lines.append(f"feedback: {rule.feedback} (random, direct and feedback rules: broadcast; reciprocal: transport)")
    lines += ["parameters:"] + [f"  {n} = {q.text}" for n, q in rule.parameters.items()]
    lines += ["equations:"] + [f"  {n} starts at {e}" for n, e in rule.state.items()]
    lines += [f"  {line}" for line in rule.lines]
    lines += [f"  {name}: {decision}" for name, decision in rule.decisions.items()]
    return "\n".join([*lines, "", f"source: {' '.join(rule.source.split())}"])


def _level(rule: Rule) -> str:
    from biosim.rules.feedback_kinds import feedback_level

    return rule.level(feedback_level(rule.feedback)).name


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def _first(text: str) -> str:
    return text.strip().split("\n")[0]


def _question(path: Path) -> str:
    from biosim.yamlfile import read_yaml

    return " ".join(str(read_yaml(path).data.get("question", "")).split())
