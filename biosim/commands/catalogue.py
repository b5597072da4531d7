"""``biosim list``, ``biosim show`` and ``biosim schema``: what there is to name in a scenario, and what it may say."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from biosim.errors import BiosimError


def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from biosim.scenario.spec import json_schema

    print(json.dumps(json_schema(), indent=1))


def list_(
    kind: Annotated[
        str | None, typer.Argument(help="rules, models, drives, substrates, measures, scenarios, scorers, studies or analysis")
    ] = None,
) -> None:
    """List what there is to name in a scenario."""
    from biosim.catalogue import KINDS, entries

    if kind is not None and kind not in KINDS:
        raise BiosimError(f"there is no kind '{kind}'; there are: {', '.join(KINDS)}")
    for name in [kind] if kind else KINDS:
        print(f"{name}:")
        for entry, line in entries(name).items():
            print(f"  {entry:<20} {line}")


def show(
    name: Annotated[str, typer.Argument(help="a name, or a kind (rule, model, scenario, scorer, study, analysis) followed by one")],
    second: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    cite: Annotated[bool, typer.Option(help="print only the BibTeX of a rule")] = False,
) -> None:
    """Show a rule's equations, locality, parameters and source; or what a scenario, model, scorer or analysis is."""
    from biosim.catalogue import describe

    print(describe(name if second is None else second, None if second is None else name, cite))
