"""The pieces pages are made of: numbers as text, tables, verdicts on checks."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def percent(values: list[float]) -> str:
    """Return mean and standard deviation over replicates, in percent."""
    mean, deviation = 100 * float(np.mean(values)), 100 * float(np.std(values))
    return f"{mean:.1f}" if len(values) == 1 else f"{mean:.1f} ± {deviation:.1f}"


def mean_and_deviation(values: Sequence[float | None]) -> tuple[str, str]:
    """Return mean and standard deviation over the replicates in which a metric is defined, as text."""
    known = np.array([v for v in values if v is not None])
    return f"{known.mean():.4g}" if len(known) else "n/a", f"{known.std():.2g}" if len(known) > 1 else ""


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return an HTML table."""

    def cells(tag: str, row: list[str]) -> str:
        return "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in row)

    return f"<table><tr>{cells('th', head)}</tr>" + "".join(f"<tr>{cells('td', r)}</tr>" for r in rows) + "</table>"


def verdict(check: Mapping[str, Any]) -> str:
    """Return a check's two numbers, or why it has none."""
    if check["value"] is None:
        return f"n/a: {check['note']}"
    return f"{check['value']:.4g} against {check['bound']:.4g}"


def checks_table(checks: list[dict[str, Any]]) -> str:
    """Return the verdicts on a run's checks as an HTML table."""
    if not checks:
        return "<p class=quiet>The scenario declares none.</p>"
    rows = ""
    for c in checks:
        word = "pass" if c["passed"] else "fail"
        rows += (
            f"<tr><td class={word}>{word}</td><td>{html.escape(c['name'])}</td><td><code>{html.escape(c['needs'])}</code></td>"
            f"<td>{html.escape(verdict(c))}</td><td>{100 * c['holds_in']:.0f} % of replicates</td></tr>"
        )
    return f"<table>{rows}</table>"


def inline(drawings: Mapping[str, str]) -> str:
    """Return SVG texts as figures within the page."""
    return "".join(f"<figure>{text[text.index('<svg') :]}</figure>" for text in drawings.values())


def rule_text(rule: dict[str, Any]) -> str:
    """Return the equations of a rule, as ``run.json`` has them."""
    lines = [f"parameters: {', '.join(f'{n} = {v}' for n, v in rule['parameters'].items()) or 'none'}"]
    lines += [f"state: {n} starts at {v}" for n, v in rule["state"].items()]
    for section in ("traces", "on_spike", "coincidences", "synapse", "on_pre", "on_post", "survivors"):
        lines += [f"{section}: {line}" for line in rule.get(section, ())]
    lines += [f"{name}: {rule[name]}" for name in ("silence", "eliminate", "regrow") if name in rule]
    return "<pre>" + html.escape("\n".join(lines)) + "</pre>"
