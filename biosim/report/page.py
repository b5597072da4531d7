"""One self-contained HTML page a run: no network, no script."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from biosim.report.figures import make_figures, svg
from biosim.store import FIGURES, REPORT, Run, write_atomic

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2733}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #dde3ea}
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.25rem .8rem .25rem 0;text-align:left;font-variant-numeric:tabular-nums}
th{font-weight:600;color:#56657a}code,pre{background:#f3f5f8;border-radius:4px}pre{padding:.6rem .8rem;overflow-x:auto}
.pass{color:#2a7d4f;font-weight:600}.fail{color:#c0392b;font-weight:600}.quiet{color:#56657a}svg{max-width:100%;height:auto}
"""


def percent(values: list[float]) -> str:
    """Return mean and standard deviation over replicates, in percent."""
    mean, deviation = 100 * float(np.mean(values)), 100 * float(np.std(values))
    return f"{mean:.1f}" if len(values) == 1 else f"{mean:.1f} ± {deviation:.1f}"


def table_rows(run: Run) -> tuple[list[str], list[list[str]], list[str]]:
    """Return heading, rows and numbered notes of the run's table, as text: a row a method and density."""
    retrained = any(r["regime"] == "retrained" for r in run.table)
    untrained = list(dict.fromkeys(r["regime"] for r in run.table if r["regime"] != "retrained"))
    cells: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for row in run.table:
        nothing = row["accuracy"] is None and not any(r["accuracy"] is not None and _place(r) == _place(row) for r in run.table)
        key = (_place(row)[0], row.get("note")) if nothing else _place(row)  # one line for all the cells of a method that mean nothing
        cells.setdefault(key, {}).setdefault(row["regime"], row)
    notes: list[str] = []
    rows = []
    for own in cells.values():
        local = "plastic" if "plastic" in own else "frozen"
        some = next((r for r in own.values() if r["accuracy"] is not None), next(iter(own.values())))
        said = list(dict.fromkeys(r["note"] for r in own.values() if r.get("note")))
        notes += [n for n in said if n not in notes]
        line = [some["method"], some["locality"], _percent(some["density"]), _percent(some["effective_density"]), _percent(some["neurons"])]
        line += [_percent(own[regime]["accuracy"]) if regime in own else "" for regime in (local, "retrained")[: 1 + retrained]]
        rows.append([*line, _seconds(own), " ".join(f"[{notes.index(n) + 1}]" for n in said)])
    split = run.about["evaluated_on"]
    head = ["method", "locality", "density %", "effective %", "hidden neurons %", f"{' or '.join(untrained)}: {split} accuracy %"]
    head += [f"retrained: {split} accuracy %"] * retrained + ["seconds", "note"]
    if not notes:
        head, rows = head[:-1], [row[:-1] for row in rows]
    return head, rows, [f"[{k}] {note}" for k, note in enumerate(notes, 1)]


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row.get("source", row["method"]), row["target_density"]


def _percent(values: list[float] | None) -> str:
    return "n/a" if values is None else percent(values)


def _seconds(own: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the seconds of a search and, after a plus, of the training that followed."""
    spent = {regime: row["seconds"] for regime, row in own.items() if row["seconds"] is not None}
    if not spent:
        return ""
    if len(spent) == 1:
        return f"{next(iter(spent.values())):.0f}"
    search = next(seconds for regime, seconds in spent.items() if regime != "retrained")
    return f"{search:.0f} + {spent['retrained'] - search:.0f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    def cells(tag: str, row: list[str]) -> str:
        return "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in row)

    return f"<table><tr>{cells('th', head)}</tr>" + "".join(f"<tr>{cells('td', r)}</tr>" for r in rows) + "</table>"


def verdict(check: Mapping[str, Any]) -> str:
    """Return a check's two numbers, or why it has none."""
    if check["value"] is None:
        return f"n/a: {check['note']}"
    return f"{check['value']:.4g} against {check['bound']:.4g}"


def _checks(checks: list[dict[str, Any]]) -> str:
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


def _overlap(comparisons: dict[str, Any]) -> str:
    rows = []
    for rival, found in comparisons.items():
        for projection, o in found["overlap"].items():
            means = [float(np.mean(o[key])) for key in ("jaccard", "chance", "deviation", "kappa")]
            rows.append(
                [rival, projection, *(f"{m:.3f}" for m in means[:2]), f"{means[2]:.4f}", f"{means[3]:.3f}", percent(found["agreement"])]
            )
    head = ["with", "projection", "Jaccard", "by chance", "sd of chance", "kappa", "predictions agree %"]
    return _table(head, rows) if rows else "<p class=quiet>No rivals were run.</p>"


def _rule(rule: dict[str, Any]) -> str:
    lines = [f"parameters: {', '.join(f'{n} = {v}' for n, v in rule['parameters'].items()) or 'none'}"]
    lines += [f"state: {n} starts at {v}" for n, v in rule["state"].items()]
    for section in ("traces", "coincidences", "synapse", "survivors"):
        lines += [f"{section}: {line}" for line in rule[section]]
    lines += [f"{name}: {rule[name]}" for name in ("silence", "eliminate", "regrow") if name in rule]
    return "<pre>" + html.escape("\n".join(lines)) + "</pre>"


def _others(about: dict[str, Any]) -> str:
    """Return what else takes part in development: plasticity, growth, a rule of the readout's own."""
    parts = [(f"Plasticity: {html.escape(about['plasticity']['name'])}", about["plasticity"])] if "plasticity" in about else []
    if "readout" in about:
        parts.append((f"Readout: {html.escape(about['readout']['name'])}", about["readout"]))
    if "growth" in about and about["growth"]["rule"] is not None:
        growth = about["growth"]
        share = f"from {100 * growth['start']:g} to {100 * growth['peak']:g} % of births"
        parts.append((f"Growth: {html.escape(growth['rule']['name'])}, {share}", growth["rule"]))
    return "".join(f"<h2>{title}</h2>{_rule(rule)}" for title, rule in parts)


def _heading(run: Run) -> str:
    about, scenario = run.about, run.about["scenario"]
    first, last = about["seeds"][0], about["seeds"][-1]
    facts = [
        f"Rule <b>{html.escape(about['rule']['name'])}</b>, locality <b>{about['locality']}</b>",
        f"{len(about['seeds'])} replicates, seeds {first} to {last}" if last > first else f"seed {first}",
        f"data {html.escape(about['data_source'])}",
        f"run {about['id']}, biosim {about['versions']['biosim']}, {about['results']['seconds']:.0f} s on {about['device']}",
    ]
    return f"<h1>{html.escape(run.name)}</h1><p>{html.escape(scenario['question'])}</p><p class=quiet>{'; '.join(facts)}.</p>"


def _body(run: Run, drawings: Mapping[str, str]) -> str:
    results = run.about["results"]
    head, rows, notes = table_rows(run)
    inline = "".join(f"<figure>{text[text.index('<svg') :]}</figure>" for text in drawings.values())
    signals = html.escape("; ".join(run.about["signals"]) or "none")
    return f"""{_heading(run)}
<h2>Methods</h2>{_table(head, rows)}
<p class=quiet>{"<br>".join(html.escape(note) for note in notes)}</p>
<p class=quiet>Frozen: every weight as born; only the wiring was chosen. Retrained: the survivors trained by gradient descent from their
birth weights. Plastic: weights changed by local equations while synapses died. Hidden neurons: those with inputs and outputs left.
Density counts synapses left, effective density those on a path
from input to readout. Means and standard deviations over replicates. Synapses still silent when development ended, and eliminated
then: {percent(results["final_cut"])} % of births.</p>
<h2>Checks</h2>{_checks(results["checks"])}
<h2>Development</h2>{inline}
<h2>The same circuit?</h2>{_overlap(results["comparisons"])}
<p class=quiet>Jaccard index of the survivors of two methods on the same births, against two random masks of the same sizes.
Overlap of edges alone says little: two searches by the same method differ as much.</p>
<h2>The rule</h2>{_rule(run.about["rule"])}{_others(run.about)}
<p class=quiet>Computed by drive and substrate, not by the rule: {signals}.</p>"""


def write_report(run: Run) -> Path:
    """Write ``figures/*.svg`` and ``report.html``; return the page's path."""
    drawings = {name: svg(figure) for name, figure in make_figures(run).items()}
    folder = run.folder / FIGURES
    folder.mkdir(exist_ok=True)
    for name, text in drawings.items():
        write_atomic(folder / f"{name}.svg", text.encode())
    head = f"<meta charset=utf-8><title>{html.escape(run.name)}: biosim</title><style>{_STYLE}</style>"
    path = run.folder / REPORT
    write_atomic(path, f"<!doctype html><html lang=en>{head}{_body(run, drawings)}</html>\n".encode())
    return path
