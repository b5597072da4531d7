"""The report of a run in which a network developed: methods side by side, development, circuits, rules."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from biosim.report.comparison import section
from biosim.report.comparison_figures import comparison_figures
from biosim.report.distributions import DISTRIBUTIONS, distributions
from biosim.report.figures import development, receptive_fields, survivors
from biosim.report.image_spikes import image_figures
from biosim.report.parts import Section, inline, noted, percent, rule_text, table
from biosim.rundir.artefacts import LOCAL
from biosim.store import Run

BESIDE = 5  # methods that the heading has room for, beside the local one


def drawings(run: Run) -> dict[str, Any]:
    """Return the figures of a run."""
    data, circuit = run.comparison, run.circuit
    own = {"development": development(run), "survivors": survivors(run), "receptive-fields": receptive_fields(run)}
    own |= (image_figures(run) if circuit.spiking is not None else {}) | distributions(run)
    return own if data is None else own | comparison_figures(data, {LOCAL: circuit, **run.rivals})


def _same_circuit(run: Run, drawn: Mapping[str, str]) -> str:
    """Return what the page says on whether methods left the same circuit."""
    data = run.comparison
    if data is not None:
        return section(data, drawn)
    if not run.results["comparisons"]:
        return ""
    note = """<p class=quiet>Jaccard index of the survivors of two methods on the same births, against two random masks of the same sizes.
Overlap of edges alone says little: two searches by the same method differ as much. <code>biosim compare</code> and the section
<code>comparisons</code> of a scenario put every measure between its null and its ceiling.</p>"""
    return _overlap(run.results["comparisons"], [name for name, _, _ in run.circuit.projections]) + note


_PLANTED = """ Precision: synapses kept that belong to the planted subnetwork, over synapses kept; recall: the same over
synapses planted; by chance: as many synapses kept in each layer, anywhere."""


def _planted(run: Run) -> bool:
    return any("precision" in row for row in run.table)


def _found(row: Mapping[str, Any]) -> list[str]:
    """Return how much of a planted subnetwork a circuit holds, with chance."""
    return [
        "n/a" if row.get(what) is None else f"{percent(row[what])} ({100 * np.mean(row[f'chance_{what}']):.1f})"
        for what in ("precision", "recall")
    ]


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
        line += _found(some) if _planted(run) else []
        rows.append([*line, _seconds(own), " ".join(f"[{notes.index(n) + 1}]" for n in said)])
    split = run.about["evaluated_on"]
    head = ["method", "locality", "density %", "effective %", "hidden neurons %", f"{' or '.join(untrained)}: {split} accuracy %"]
    head += [f"retrained: {split} accuracy %"] * retrained
    head += ["precision % (chance)", "recall % (chance)"] * _planted(run) + ["seconds", "note"]
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


def _overlap(comparisons: dict[str, Any], projections: list[str]) -> str:
    rows = []
    for rival, found in comparisons.items():
        for projection in projections:
            o = found["overlap"][projection]
            digits = {"jaccard": 3, "chance": 3, "deviation": 4, "kappa": 3}
            means = ["n/a" if o[key] is None else f"{np.mean(o[key]):.{n}f}" for key, n in digits.items()]
            rows.append([rival, projection, *means, percent(found["agreement"])])
    head = ["with", "projection", "Jaccard", "by chance", "sd of chance", "kappa", "predictions agree %"]
    return table(head, rows, "Overlap")


def others(about: dict[str, Any]) -> str:
    """Return what else takes part in development: plasticity, growth, a rule of the readout's own."""
    parts = [(f"Plasticity: {html.escape(about['plasticity']['name'])}", about["plasticity"])] if "plasticity" in about else []
    if "readout" in about:
        parts.append((f"Readout: {html.escape(about['readout']['name'])}", about["readout"]))
    if "growth" in about and about["growth"]["rule"] is not None:
        growth = about["growth"]
        share = f"from {100 * growth['start']:g} to {100 * growth['peak']:g} % of births"
        parts.append((f"Growth: {html.escape(growth['rule']['name'])}, {share}", growth["rule"]))
    return "".join(f"<h3>{title}</h3>{rule_text(rule)}" for title, rule in parts)


def answer(run: Run) -> str:
    """Return what the heading says the run came to: the local circuit, and what stands beside it."""
    rows = run.headline[: 1 + BESIDE]
    if not rows or rows[0] is not run.table[0]:
        return ""
    told = [f"{row['method']}{', retrained' * (row['regime'] == 'retrained')} {percent(row['accuracy'])}" for row in rows]
    beside = f"; {', '.join(told[1:])}" if rows[1:] else ""
    return f"{percent(rows[0]['density'])} % of the synapses are left; {run.about['evaluated_on']} accuracy in %: {told[0]}{beside}."


def facts(run: Run) -> list[str]:
    """Return what the heading says of such a run."""
    about = run.about
    return [
        f"Rule <b>{html.escape(about['rule']['name'])}</b>, locality <b>{html.escape(str(about['locality']))}</b>",
        f"data {html.escape(about['data_source'])}",
    ]


def body(run: Run, drawings: Mapping[str, str]) -> list[Section]:
    """Return the sections of the page of a run in which a network developed."""
    results = run.results
    head, rows, notes = table_rows(run)
    signals = html.escape("; ".join(run.about["signals"]) or "none")
    compared = {n: d for n, d in drawings.items() if n.startswith("compare-")}
    methods = f"""{table(head, rows, "Methods")}{noted(notes)}
<p class=quiet>Frozen: every weight as born; only the wiring was chosen. Retrained: the survivors trained by gradient descent from their
birth weights. Plastic: weights changed by local equations while synapses died. Hidden neurons: those with inputs and outputs left.
Density counts synapses left, effective density those on a path
from input to readout. Means and standard deviations over replicates. Synapses still silent when development ended, and eliminated
then: {percent(results["final_cut"])} % of births.{_PLANTED if _planted(run) else ""}</p>"""
    late = [n for n in ("survivors", *DISTRIBUTIONS, "receptive-fields") if n in drawings]
    first = {n: d for n, d in drawings.items() if n not in compared and n not in late}
    rule = rule_text(run.about["rule"]) + others(run.about)
    return [
        Section("Methods", methods),
        Section("Development", inline(first)),
        Section("Degrees, weights, survivors", inline({n: drawings[n] for n in late}), "Survivors"),
        Section("The same circuit?", _same_circuit(run, compared), "Same circuit?"),
        Section("The rule", f"{rule}<p class=quiet>Computed by drive and substrate, not by the rule: {signals}.</p>", "Rule"),
    ]


def summary(run: Run) -> dict[str, Any]:
    """Return what ``biosim run --json`` prints of a run in which a network developed."""
    table, results, others = run.table, run.results, run.headline[1:]

    def entry(row: dict[str, Any]) -> dict[str, Any]:
        metrics = {"accuracy": row["accuracy"]}
        kept = {"density": row["density"], "effective_density": row["effective_density"]}
        return {"regime": row["regime"], **kept, "metrics": metrics}

    return {
        "locality": run.about["locality"],
        "circuit": entry(table[0]) | {"final_cut": results["final_cut"]},
        "rules": {row["method"]: entry(row) for row in others if row["source"].startswith("rules.")},
        "rivals": {row["method"]: entry(row) for row in others if not row["source"].startswith("rules.")},
        "table": table,
        "comparisons": results["comparisons"],
    }
