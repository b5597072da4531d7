"""Where a run came from, and how to make it again: the last sections of a page."""

from __future__ import annotations

import base64
import html
import io
import json
from typing import Any

from biosim.report.parts import Section, facts_table, marked_table
from biosim.store import Run


def scenario_text(run: Run) -> str:
    """Return the scenario that the run was made from as YAML, settings of the command line included."""
    from ruamel.yaml import YAML

    try:
        data: Any = json.loads(run.about["document"])
    except (KeyError, TypeError, ValueError):  # a run from before documents were kept
        data = run.about["scenario"]
    text = io.StringIO()
    writer: Any = YAML(typ="safe", pure=True)
    writer.default_flow_style, writer.width = None, 120
    writer.sort_base_mapping_type_on_output = False  # the order of the file, where that is known
    writer.dump(data, text)
    return text.getvalue()


def command(run: Run) -> str:
    """Return the command that makes the run again from its scenario file."""
    device = run.about.get("device", "cpu")
    return f"biosim run {run.name}.yaml" + (f" --device {device}" if device != "cpu" else "")


def scenario_section(run: Run) -> Section:
    """Return the scenario, folded, and the command."""
    text = scenario_text(run)
    address = base64.b64encode(text.encode()).decode()
    version, identity = (html.escape(str(v)) for v in (run.about["versions"].get("biosim", "?"), run.about["id"]))
    name = html.escape(run.name)
    link = f'<a download="{name}.yaml" href="data:text/yaml;base64,{address}">{name}.yaml</a>'
    return Section(
        "Scenario, and how to reproduce it",
        f"""<details><summary>The scenario as YAML</summary><pre tabindex=0>{html.escape(text)}</pre></details>
<p>Save it as {link}, then, with biosim {version}:</p>
<pre tabindex=0>{html.escape(command(run))}</pre>
<p class=quiet>The same version on the same kind of device gives the run {identity} again, circuit for circuit to the last bit.
Files that the scenario names by their path (a model, scorer or data set of one's own) must lie where they did.</p>""",
        "Reproduce",
    )


def provenance_section(run: Run) -> Section:
    """Return seeds, versions, sources and checksums."""
    about = run.about
    seeds = ", ".join(map(str, about["seeds"]))
    rows = {"run": str(about["id"]), "kind": run.kind, "status": str(about["status"]), "seeds": seeds}
    if "births_seeds" in about:
        rows["seeds of births"] = ", ".join(map(str, about["births_seeds"]))
    rows |= {"versions": ", ".join(f"{n} {v}" for n, v in about["versions"].items()), "device": str(about.get("device", ""))}
    rows["seconds"] = f"{run.results['seconds']:.1f}"
    for key, title in (("data_source", "data"), ("data_sha256", "SHA-256 of the data"), ("evaluated_on", "evaluated on")):
        if key in about:
            rows[title] = str(about[key])
    rows |= {f"SHA-256 of the {k.removesuffix('_source_sha256')}": str(v) for k, v in about.items() if k.endswith("_source_sha256") and v}
    if source := about["scenario"].get("source"):
        rows["literature"] = str(source)
    files = about.get("files", {})
    listed = ""
    if files:
        rows_of = (f"<td>{html.escape(str(n))}</td><td><code>{html.escape(str(d))}</code></td>" for n, d in sorted(files.items()))
        box = marked_table(("file", "SHA-256"), rows_of, "Checksums of files")
        listed = f"<details><summary>Files and their checksums ({len(files)})</summary>{box}</details>"
    return Section("Provenance", facts_table(rows, "Provenance") + listed)
