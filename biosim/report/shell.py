"""One HTML page: head, contents, sections, script. It loads nothing, and nothing but its own script can run in it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from biosim.errors import BiosimError
from biosim.report.assets import asset
from biosim.report.inline_svg import dark_colours
from biosim.report.parts import Section
from biosim.rundir.files import write_atomic

VIEWER = ("data.js", "heat.js", "network.js", "neuron.js", "viewer.js")
SWEEP = ("sweep.js",)


def page(title: str, heading: str, sections: Sequence[Section], scripts: Sequence[str] = ()) -> str:
    """Return a whole page.

    Parameters
    ----------
    title : str
        Plain text.
    heading : str
        HTML, what stands above the table of contents.
    sections : sequence of Section
    scripts : sequence of str
        Names of assets. The page's policy lets this very script run, and no other: markup that a run smuggled in would stay dead.
    """
    places: dict[str, Section] = {}
    for section in sections:
        place, k = section.place, 2
        while place in places:
            place, k = f"{section.place}-{k}", k + 1
        places[place] = section
    contents = "".join(f'<li><a href="#{p}">{html.escape(s.short or s.title)}</a></li>' for p, s in places.items())
    body = "".join(
        f'<section aria-labelledby="{p}"><h2 id="{p}">{html.escape(s.title)}</h2>{s.content}</section>' for p, s in places.items()
    )
    script = f'(()=>{{"use strict";\n{"".join(asset(n) for n in scripts)}}})();' if scripts else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'" + (
        f"; script-src 'sha256-{digest}'" if script else ""
    )
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{dark_colours(body)}}}}}"
    return f"""<!doctype html>
<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">
<meta http-equiv=Content-Security-Policy content="{policy}"><meta name=color-scheme content="light dark">
<title>{html.escape(title)}</title><style>{asset("page.css")}{asset("viewer.css")}{dark}</style></head>
<body><a class=skip href="#main">Skip to the content</a><header class=top>{heading}</header>
<nav class=toc aria-label=Contents><ul>{contents}</ul></nav>
<main id=main>{body}</main>
<footer class=quiet>Written by biosim. This page is one file and loads nothing from anywhere.</footer>
{f"<script>{script}</script>" if script else ""}</body></html>
"""


def embedded(data: Mapping[str, Any]) -> str:
    """Return plain data as JSON that no parser of a page takes for markup."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


@contextmanager
def told_of(path: Path | str) -> Iterator[None]:
    """Turn what goes wrong on data that nobody's run left into one line on the file it came from."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BiosimError(f"{path} does not hold what a report shows: {type(error).__name__}: {error}") from error


def write_page(path: Path, text: str) -> Path:
    """Write a page, whole or not at all."""
    write_atomic(path, text.encode())
    return path
