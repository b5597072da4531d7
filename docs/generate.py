"""Writes the pages that follow from the code: rules, scenario keys, command line, API, gallery. ``conf.py`` calls :func:`write`."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gallery
from prose import cell, markdown

API = {  # module: what the page says of it; every name in its __all__ is documented, or those given
    "biosim.graphs": "Graph measures on arrays. Conventions and definitions: [graphs](../graphs.md).",
    "biosim.graphs.nulls": "Null models of graphs and masks.",
    "biosim.spiking": "Descriptions of spiking networks, and the engine's order of events.",
    "biosim.compare": "Circuits beside their nulls and ceilings. How to read the numbers: [comparing](../comparing.md).",
    "biosim.connectomes": "Real wirings as graphs.",
    "biosim.spike_measures": "Measures of spike trains; the extra `spikes` brings elephant.",
    "biosim.torch_bridge": "Births from torch modules, and circuits back into them.",
    "biosim.substrates.brian": "Brian2 networks that lose synapses. Examples: [Brian2](../brian2.md).",
    "biosim.findings": "What analyses, measures and studies return.",
}
EXTRA = {  # beside what a module offers by name
    "biosim": ["biosim.develop.develop"],
    "biosim.spiking": ["biosim.spiking.simulation.Simulation", "biosim.spiking.simulation.Spikes"],
}


def write(folder: Path) -> None:
    """Write every generated page; a page that did not change is left alone, so that it is not built again."""
    folder.mkdir(exist_ok=True)
    pages = {
        "rules": rules(),
        "scenario-keys": scenario_keys(),
        "command-line": command_line(),
        "gallery": gallery.page(),
        "names": names(),
    }
    pages |= {f"api-{name.replace('.', '-')}": text for name, text in api()}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        text = text.rstrip() + "\n"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for path in folder.glob("*.md"):
        if path.stem not in pages:
            path.unlink()


def rules() -> str:
    """Return the page of all rules: equations, locality, parameters and source, by role."""
    from biosim.catalogue import rule_text
    from biosim.equations.rule import ROLES
    from biosim.rules import load_rule, rule_paths

    titles = {
        "pruning": "Which synapses are lost", "plasticity": "How weights change", "growth": "Where synapses form",
        "feedback": "How feedback wiring learns",
    }  # fmt: skip
    parts = [
        "# Rules",
        "Generated from the files in `biosim/rules/`. Equations stand as the file has them; the locality is computed from the names they "
        "read ([the ladder](../concepts/locality.md)). `biosim show rule NAME` prints the same, `biosim show rule NAME --cite` the BibTeX.",
    ]
    index: list[str] = []
    body: list[str] = []
    for role in ROLES:
        for spiking in (False, True):
            found = rule_paths(role, spiking=spiking)
            if not found:
                continue
            title = titles[role] + (" (spike-timing rules)" if spiking else "")
            index.append(f"\n**{title}:** " + ", ".join(f"[{n}](#{n})" for n in found))
            body.append(f"## {title}")
            for name in found:
                rule = load_rule(name, role)
                _, *equations = rule_text(rule).split("\n")
                source = next(k for k, line in enumerate(equations) if line.startswith("source: "))
                text = "\n".join(equations[:source]).strip()
                body += [
                    f"({name})=\n### {name}",
                    markdown(" ".join(rule.about.split())),
                    f"```text\n{text}\n```",
                    f"Source: {markdown(' '.join(rule.source.split()))}",
                    f":::{{dropdown}} BibTeX\n```text\n{rule.bibtex.strip()}\n```\n:::",
                ]
    return "\n\n".join([*parts, *index, *body])


def names() -> str:
    """Return the table of what an equation may read, from the vocabulary itself."""
    from biosim.equations.vocabulary import BUILT_IN

    lines = ["| name | what it is | axes | reading it makes the rule |", "|---|---|---|---|"]
    for name, entry in BUILT_IN.items():
        axes = ", ".join(a for a in ("sample", "pre", "post") if a in entry.axes) or "one number"
        lines.append(f"| `{name}` | {entry.meaning} | {axes} | {entry.level.name} |")
    return "---\norphan: true\n---\n\n" + "\n".join(lines)


def scenario_keys() -> str:
    """Return the page of every key a scenario may hold, from the JSON Schema."""
    from biosim.scenario.spec import json_schema

    schema = json_schema()["$defs"]
    order = {
        "ScenarioSpec": "A scenario that shows images", "ActivitySpec": "A scenario of activity", "SpikingSpec": "A spiking scenario",
        "StudyScenarioSpec": "A scenario of a study",
    }  # fmt: skip
    rest = [n for n in schema if n not in order]
    parts = [
        "# Scenario keys",
        "Generated from the JSON Schema that `biosim schema` prints. A file is of the kind that its sections say: with `drive: {kind: "
        "images}` and a rule the first, with a `measure:` the second, with a `simulation:` the third, with a `study:` the fourth; "
        "`conditions:` may be added to any. Every key can be set on the command line, `--set schedule.density=0.1`. "
        "Unknown keys are refused.",
    ]
    for name in [*order, *rest]:
        entry = schema[name]
        said = " ".join(entry.get("description", "").split())
        title = order.get(name) or f"`{(said or name).split(':')[0].strip('`')}:`"
        label = f"keys-{name.lower()}"
        about = said if name in order else said.partition("`` ")[2]
        rows = ["| key | type | default | |", "|---|---|---|---|"]
        needed = entry.get("required", [])
        for key, value in entry.get("properties", {}).items():
            default = "required" if key in needed else f"`{json.dumps(value['default'])}`" if "default" in value else ""
            rows.append(f"| `{key}` | {kind_of(value)} | {default.replace('|', chr(92) + '|')} | {cell(value.get('description', ''))} |")
        more = "\nFurther keys are arguments of what is named." if entry.get("additionalProperties") is True else ""
        level = "##" if name in order else "###"
        if rest and name == rest[0]:
            parts.append("## Sections")
        sentence = about[:1].upper() + about[1:]
        ended = sentence if not sentence or sentence.endswith(".") else sentence + "."
        parts += [f"({label})=\n{level} {title}", cell(ended), "\n".join(rows) + more]
    return "\n\n".join(parts)


def kind_of(value: Mapping[str, Any]) -> str:
    """Return what type a schema asks for, in words, with its limits."""
    if "$ref" in value:
        name = value["$ref"].split("/")[-1]
        return f"[section](#keys-{name.lower()})"
    if "anyOf" in value:
        kinds = list(dict.fromkeys(kind_of(v) for v in value["anyOf"] if v.get("type") != "null"))
        return " or ".join(kinds)
    if "enum" in value or "const" in value:
        return ", ".join(f"`{v}`" for v in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        inside = kind_of(value.get("items", {}))
        return f"list of {inside}" if inside else "list"
    words = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "object": "mapping"}
    limits = [
        f"{sign} {value[key]}"
        for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
        if key in value and value[key] != 2**32 - 1
    ]
    return " ".join([words.get(str(value.get("type")), ""), ", ".join(limits)]).strip()


def command_line() -> str:
    """Return the page of every command with its arguments and options, from typer."""
    import typer.main

    from biosim.cli import app

    group: Any = typer.main.get_command(app)
    parts = [
        "# Command line",
        "Generated from the program itself; `biosim COMMAND --help` prints the same. Exit status: 0; 2 for bad input, with one message "
        "that names file, line, key and remedy; 3 when a check that a scenario declares fails, or a run of a sweep; 130 when stopped.",
    ]
    for name, command in sorted(group.commands.items()):
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        usage = " ".join(["biosim", name, *(metavar(p) for p in arguments), *(["[OPTIONS]"] if options else [])])
        rows = ["| | | default |", "|---|---|---|"]
        for p in [*arguments, *options]:
            given = metavar(p) if p.param_type_name == "argument" else ", ".join(p.opts) + ("" if p.is_flag else f" {metavar(p)}")
            default = "" if p.default in (None, False, [], ()) or str(p.default).startswith("Sentinel") else f"`{p.default}`"
            rows.append(f"| `{given}` | {cell(p.help or '')} | {default} |")
        table = ["\n".join(rows)] if len(rows) > 2 else []
        parts += [f"## biosim {name}", cell(command.help or ""), f"```text\n{usage}\n```", *table]
    return "\n\n".join(parts)


def metavar(parameter: Any) -> str:
    """Return what stands for a parameter's value."""
    kind = " ".join(str(getattr(parameter, name, "")) for name in ("bare_type", "type", "type_descriptor"))  # versions of typer differ
    if parameter.metavar:
        text = str(parameter.metavar)
    elif parameter.param_type_name == "argument":
        text = str(parameter.name).upper()
    else:
        text = "N" if re.search(r"'int'|integer", kind, re.IGNORECASE) else "PATH" if re.search(r"\bpath", kind, re.IGNORECASE) else "TEXT"
    bare = parameter.param_type_name == "argument" and not parameter.required and not text.startswith("[")
    return f"[{text}]" if bare else text


def api() -> Iterator[tuple[str, str]]:
    """Yield the name and the page of every documented module."""
    import biosim

    head = "Generated from the docstrings. Shapes lead with the replicate: (R, n_pre, n_post)."
    exported = [f"biosim.{n}" for n in sorted(biosim._EXPORTS)]
    yield "biosim", "\n\n".join(["# biosim", head + " All names are imported from `biosim`.", *documented([*EXTRA["biosim"], *exported])])
    for module, about in API.items():
        loaded = importlib.import_module(module)
        own = [f"{module}.{n}" for n in public(loaded)]
        intro = [f"```{{eval-rst}}\n.. automodule:: {module}\n```"] if inspect.getdoc(loaded) and module == "biosim.spiking" else []
        yield module, "\n\n".join([f"# {module}", about, *intro, *documented([*own, *EXTRA.get(module, [])])])


def public(module: Any) -> list[str]:
    """Return the names a module offers: its ``__all__``, or what it defines without a leading underscore."""
    if hasattr(module, "__all__"):
        return [n for n in module.__all__ if callable(getattr(module, n))]
    return [n for n, v in vars(module).items() if not n.startswith("_") and callable(v) and getattr(v, "__module__", "") == module.__name__]


def documented(paths: list[str]) -> Iterator[str]:
    """Yield one autodoc directive for each class and function, under the name it is imported by."""
    for path in paths:
        module, _, name = path.rpartition(".")
        value = getattr(importlib.import_module(module), name)
        if not callable(value) or not inspect.getdoc(value):
            continue
        where = f"```{{eval-rst}}\n.. currentmodule:: {module}\n"
        if isinstance(value, type):
            yield f"## {name}\n\n{where}.. autoclass:: {name}\n   :members:\n```"
        elif inspect.isfunction(value) or hasattr(value, "__wrapped__"):
            yield f"## {name}\n\n{where}.. autofunction:: {name}\n```"
