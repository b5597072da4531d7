"""Runs scenarios and stores one figure of each under ``docs/gallery/``; the gallery page is made of them.

python docs/gallery.py              every scenario of ``cards.yaml`` whose figure is not that of the present scenario
python docs/gallery.py dice fashion these, whether or not they changed
python docs/gallery.py --check      run nothing: exit status 1 when a scenario has no card or a card no figure

``cards.yaml`` says for each scenario which settings make it small, and which figure is shown. What was run, with which seeds, how long
it took and how many checks held at that size is recorded in ``made.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prose import markdown

from biosim import __version__
from biosim.errors import BiosimError
from biosim.yamlfile import read_yaml

HERE = Path(__file__).parent / "gallery"
SCENARIOS = Path(__file__).parents[1] / "scenarios"
MOST = 100_000  # bytes of a stored figure
NUMBER = re.compile(r"(?<![\w#.])-?\d+\.\d{2,}")


def cards() -> dict[str, dict[str, Any]]:
    """Return what ``cards.yaml`` says of each scenario."""
    return dict(read_yaml(HERE / "cards.yaml").data)


def made() -> dict[str, dict[str, Any]]:
    """Return the record of the figures that are stored."""
    path = HERE / "made.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def command(name: str, card: dict[str, Any]) -> list[str]:
    """Return the command line that runs a scenario at the size of its card."""
    settings = [part for setting in card.get("set", []) for part in ("--set", setting)]
    replicates = ["--replicates", str(card["replicates"])] if "replicates" in card else []
    return ["biosim", "run", name, *settings, *replicates]


def make(name: str, card: dict[str, Any]) -> dict[str, Any]:
    """Run a scenario, store its figure, and return the record of it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        asked = command(name, card)
        done = _biosim([*asked[1:], "--force", "--json", "--out", str(run)], (0, 3))
        result = json.loads(done.splitlines()[-1])
        seconds = time.monotonic() - began
        shown = card["figure"]
        if "analysis" in card:
            _biosim(["analyse", card["analysis"], str(run), "--out", str(run / "shown")], (0,))
            text = (run / "shown" / f"{shown}.svg").read_text()
        else:
            text = (run / f"{shown}.svg").read_text()
        seeds = json.loads((run / "run.json").read_text())["seeds"]
    small = lighter(text)
    if len(small.encode()) > MOST:
        raise BiosimError(f"{name}: the figure {shown} has {len(small.encode())} bytes, more than {MOST}")
    (HERE / f"{name}.svg").write_text(small)
    checks = [{"name": c["name"], "passed": c["passed"]} for c in result["checks"]]
    return {
        "command": " ".join(quoted(part) for part in asked),
        "analysis": card.get("analysis"),
        "seeds": [min(seeds), max(seeds)],
        "seconds": round(seconds),
        "biosim": __version__,
        "checks": checks,
        "scenario": fingerprint(name, card),
    }


def quoted(part: str) -> str:
    """Return one word of a command line as a shell needs it."""
    return part if re.fullmatch(r"[\w=./:,\[\]%-]+", part) else f"'{part}'"


def fingerprint(name: str, card: dict[str, Any]) -> str:
    """Return a hash of the scenario file and its card: another one means that the figure is out of date."""
    made_by = {key: card[key] for key in ("figure", "analysis", "replicates", "set") if key in card}
    text = (SCENARIOS / f"{name}.yaml").read_text() + json.dumps(made_by, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def lighter(text: str) -> str:
    """Return an SVG without metadata, names of parts and indentation, its coordinates to a tenth of a point."""
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"; font-family: [^;\"]*", "", text).replace("<svg ", "<svg font-family=\"'DejaVu Sans', sans-serif\" ", 1)
    text = re.sub(r'<g id="\w+?_\d+">', "<g>", text)

    def short(attribute: re.Match[str]) -> str:
        return NUMBER.sub(lambda m: f"{float(m[0]):.1f}".removesuffix(".0"), " ".join(attribute[0].split()))

    text = re.sub(r'\b(?:d|x|y)="[^"]*"|translate\([^)]*\)|rotate\([^)]*\)', short, text)
    return re.sub(r">\s+<", ">\n<", text).strip() + "\n"


def _biosim(arguments: list[str], good: tuple[int, ...]) -> str:
    done = subprocess.run([sys.executable, "-m", "biosim", *arguments], capture_output=True, text=True, check=False)
    if done.returncode not in good:
        raise BiosimError(f"biosim {' '.join(arguments)}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def page() -> str:
    """Return the page with a card for every scenario."""
    known, record = cards(), made()
    parts = [
        "# Gallery",
        "Every scenario that comes with biosim. The figures come from the runs named on the cards, most of them smaller than the "
        "scenario itself; `make gallery` makes those again whose scenario or card changed. A check that fails at the small size is "
        "counted as it is: what holds at full size stands on the linked pages.",
    ]
    for group in dict.fromkeys(card["group"] for card in known.values()):
        parts.append(f"## {group}")
        for name, card in known.items():
            if card["group"] == group:
                parts.append(_card(name, card, record.get(name), read_yaml(SCENARIOS / f"{name}.yaml").data))
    return "\n\n".join(parts)


def _card(name: str, card: Mapping[str, Any], record: Mapping[str, Any] | None, scenario: Mapping[str, Any]) -> str:
    question, headline, source = (" ".join(str(scenario.get(k, "")).split()) for k in ("question", "headline", "source"))
    title = f"({name}-card)=\n### {name}"
    if record is None:
        raise ValueError(f"{name} has no figure: make gallery")
    held = [c["passed"] for c in record["checks"]]
    failing = [c["name"] for c in record["checks"] if not c["passed"]]
    first, last = record["seeds"]
    seeds = f"seeds {first} to {last}" if last > first else f"seed {first}"
    how = f"Figure: `{record['command']}`" + (f", then `biosim analyse {record['analysis']} RUN`" if record["analysis"] else "")
    counted = f"{sum(held)} of {len(held)} checks hold" if held else "without checks"
    fails = f" (not: {'; '.join(failing)})" if failing else ""
    small = len(record["command"].split()) > 3
    told = f" Source: {markdown(source)}" if source else ""
    size = "at this size" if small else "at full size"
    return "\n\n".join(
        [
            title,
            f"**{markdown(question)}**",
            markdown(headline),
            f"![{name}: {Path(card['figure']).name.replace('_', ' ')}](../gallery/{name}.svg)",
            f"{how}; {seeds}, {record['seconds']} s on one shared core, {counted} {size}{markdown(fails)}.",
            f"Full size: `biosim run {name}`. More: [{Path(card['page']).stem}](../{card['page']})." + told,
        ]
    )


def main() -> None:
    """Make the figures that are asked for, or those that are out of date."""
    parser = argparse.ArgumentParser(description="make the figures of the gallery")
    parser.add_argument("names", nargs="*", help="scenarios; those out of date when left out")
    parser.add_argument("--check", action="store_true", help="run nothing; exit status 1 when a card or a figure is missing")
    given = parser.parse_args()
    known, record = cards(), made()
    every = sorted(p.stem for p in SCENARIOS.glob("*.yaml"))
    if unknown := [n for n in (*given.names, *known) if n not in every] + [n for n in every if n not in known]:
        parser.exit(1, f"scenarios without a card, or cards without a scenario: {', '.join(unknown)}\n")
    stale = [n for n in every if record.get(n, {}).get("scenario") != fingerprint(n, known[n]) or not (HERE / f"{n}.svg").exists()]
    if given.check:
        parser.exit(bool(stale), f"out of date: {', '.join(stale)}\n" if stale else "")
    failed = []
    for name in given.names or stale:
        try:
            record[name] = make(name, known[name])
        except (BiosimError, OSError) as error:  # the others are made all the same
            failed.append(name)
            print(f"{name}: {error}", flush=True)
            continue
        (HERE / "made.json").write_text(json.dumps(dict(sorted(record.items())), indent=1) + "\n")
        held = [c["passed"] for c in record[name]["checks"]]
        print(f"{name}: {record[name]['seconds']} s, {sum(held)} of {len(held)} checks hold", flush=True)
    parser.exit(bool(failed), f"not made: {', '.join(failed)}\n" if failed else "")


if __name__ == "__main__":
    main()
