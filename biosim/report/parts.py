"""The pieces pages are made of: sections, numbers as text, tables, verdicts on checks."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from biosim.report.inline_svg import inline_svg

UNBROKEN = "\u00a0±\u00a0"
TALL = 25  # rows from which on a table scrolls within its box
CAPTIONS = {
    "development": "Density and activity (or accuracy) over development; the band is the range of the replicates.",
    "survivors": "Survivors of every projection, by method.",
    "degrees": "In- and out-degrees of the survivors, next to as many synapses placed at random.",
    "receptive-fields": "Surviving inputs of single neurons.",
    "weights": "Weights of all births and of the survivors.",
    "survival-by-weight": "Share of the births that survives, by weight: mean, range, and (dotted) the share of all births.",
    "rasters": "Spikes of the first replicate, as born and as it ended.",
    "raster": "Spikes for one image, as born and with the survivors.",
    "rates": "Rates of the hidden neurons, as born and with the survivors.",
    "survival": "Survivors of every projection over development.",
    "conditions": "Each replicate of each condition.",
    "histories": "Density over development, condition by condition.",
    "compare-measures": "Every measure between its null and its ceiling.",
    "compare-degrees": "Degrees of the same neurons in both circuits.",
    "compare-adjacency": "Both circuits and what they share, neurons sorted by community.",
    "compare-cka": "How alike populations respond.",
    "compare-two-paths": "Two-paths by sign, in excess of chance.",
    "compare-interventions": "Accuracy once the wiring is changed.",
}


@dataclass(frozen=True)
class Section:
    """A part of a page with an entry in its table of contents.

    Attributes
    ----------
    title : str
        Plain text.
    content : str
        HTML.
    short : str
        For the table of contents; the title where it is empty.
    """

    title: str
    content: str
    short: str = ""

    @property
    def place(self) -> str:
        """The section's identifier on the page."""
        return re.sub(r"[^a-z0-9]+", "-", (self.short or self.title).lower()).strip("-") or "section"


def percent(values: list[float]) -> str:
    """Return mean and standard deviation over replicates, in percent."""
    mean, deviation = 100 * float(np.mean(values)), 100 * float(np.std(values))
    return f"{mean:.1f}" if len(values) == 1 else f"{mean:.1f} ± {deviation:.1f}"


def counted(n: int, said: str = "") -> str:
    """Return how many replicates a figure shows; ``said``, of what is done with several, where there are several."""
    return f"n = {n} replicates{said}" if n > 1 else "n = 1 replicate"


def mean_and_deviation(values: Sequence[float | None]) -> tuple[str, str]:
    """Return mean and standard deviation over the replicates in which a metric is defined, as text."""
    known = np.array([v for v in values if v is not None])
    return f"{known.mean():.4g}" if len(known) else "n/a", f"{known.std():.2g}" if len(known) > 1 else ""


def scrolled(content: str, label: str, rows: int = 0) -> str:
    """Return a table or figure in a box that scrolls by itself, by keyboard too; a table of many rows in a box of some height."""
    kind = '"scroll tall"' if rows > TALL else "scroll"
    return f'<div class={kind} role=region tabindex=0 aria-label="{html.escape(label)}">{content}</div>'


def _cells(tag: str, row: Sequence[Any]) -> str:
    return "".join(f"<{tag}>{html.escape(str(c)).replace(' ± ', UNBROKEN)}</{tag.split()[0]}>" for c in row)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], label: str = "Table") -> str:
    """Return an HTML table of plain cells; one of many rows is as high as some of them."""
    lines = [_cells("td", row) for row in rows]
    return marked_table(head, lines, label, len(lines))


def marked_table(head: Sequence[str], rows: Iterable[str], label: str, high: int = 0) -> str:
    """Return an HTML table whose rows are markup; in a box of some height where ``high`` rows are many."""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return scrolled(f"<table><thead><tr>{_cells('th scope=col', head)}</tr></thead><tbody>{body}</tbody></table>", label, high)


def measured(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return the table of what was measured, and what its numbers are."""
    return table(head, rows, "Measured") + "<p class=quiet>Means and standard deviations over replicates.</p>"


def noted(notes: Sequence[str]) -> str:
    """Return the notes of a table, a line each."""
    return f"<p class=quiet>{'<br>'.join(html.escape(note) for note in notes)}</p>" if notes else ""


def facts_table(rows: Mapping[str, str], label: str) -> str:
    """Return names and what they are, escaped, as a table of two columns."""
    body = "".join(f"<tr><th scope=row>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in rows.items())
    return scrolled(f"<table class=facts><tbody>{body}</tbody></table>", label)


def verdict(check: Mapping[str, Any]) -> str:
    """Return a check's two numbers, or why it has none."""
    if check["value"] is None:
        return f"n/a: {check['note']}"
    return f"{check['value']:.4g} against {check['bound']:.4g}"


def checks_table(checks: list[dict[str, Any]]) -> str:
    """Return the verdicts on a run's checks as an HTML table."""
    if not checks:
        return "<p class=quiet>The scenario declares none.</p>"
    rows = []
    for c in checks:
        word = "pass" if c["passed"] else "fail"
        rows.append(
            f"<td class={word}>{word}</td><td>{html.escape(c['name'])}</td><td><code>{html.escape(c['needs'])}</code></td>"
            f"<td class=whole>{html.escape(verdict(c))}</td><td>{100 * c['holds_in']:.0f} %</td>"
        )
    return marked_table(("verdict", "check", "needs", "value", "holds in replicates"), rows, "Checks")


def inline(drawings: Mapping[str, str], captions: Mapping[str, str] | None = None) -> str:
    """Return SVG texts as figures within the page, each with its caption; ``captions`` beside those that every page knows."""
    known, parts = {**CAPTIONS, **(captions or {})}, []
    for name, text in drawings.items():
        caption = known.get(name, name.replace("-", " ").replace("_", " ").capitalize())
        try:
            drawn = inline_svg(text, name, caption)
        except ValueError as error:
            drawn = f"<p class=quiet>This figure cannot be shown: {html.escape(str(error))}.</p>"
        parts.append(f"<figure>{scrolled(drawn, f'Figure: {caption}')}<figcaption>{html.escape(caption)}</figcaption></figure>")
    return "".join(parts)


def rule_text(rule: dict[str, Any]) -> str:
    """Return the equations of a rule, as ``run.json`` has them."""
    lines = [f"parameters: {', '.join(f'{n} = {v}' for n, v in rule['parameters'].items()) or 'none'}"]
    lines += [f"state: {n} starts at {v}" for n, v in rule["state"].items()]
    for section in ("traces", "on_spike", "coincidences", "synapse", "on_pre", "on_post", "survivors"):
        lines += [f"{section}: {line}" for line in rule.get(section, ())]
    lines += [f"{name}: {rule[name]}" for name in ("silence", "eliminate", "regrow") if name in rule]
    return "<pre tabindex=0>" + html.escape("\n".join(lines)) + "</pre>"
