"""Every command of the README and the docs exists, takes those options and names what is there; every Python block runs.

Long runs are validated as written, which reads the scenario, its settings, rule, model and data, and really run when slow tests are asked
for. What a page leaves to the reader (RUN, a folder of one's own) stands for something small.
"""

from __future__ import annotations

import contextlib
import json
import re
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from documented import ROOT, SYNOPSIS, Snippet, commands, snippets, words, wrong, yaml_of

from biosim.cli import main
from biosim.commands.exchange import export
from biosim.equations import parse_rule
from biosim.runner import run
from biosim.scenario import read_scenario
from biosim.yamlfile import read_yaml

Cli = Callable[..., tuple[int, str, str]]
SMALL = """\
name: small
model: {name: mlp, hidden: [16, 12]}
drive: {kind: images, dataset: digits, batch: 64, epochs: 1, train_size: 256}
rule: {name: three-factor, feedback: random}
schedule: {density: 0.3}
rivals: [edge-popup, snip, random]
densities: [0.5]
local_densities: true
comparisons: {rivals: [edge-popup], searches: 2, nulls: 3, samples: 50, measures: [overlap, function]}
replicates: 2
moments: 4
"""
LEAN = (
    SMALL.split("densities")[0].replace("name: small", "name: lean").replace("[edge-popup, snip, random]", "[]")
    + "replicates: 2\nmoments: 4\n"
)
PARTED = SMALL.split("densities")[0].replace("name: small", "name: parted").replace("[edge-popup, snip, random]", "[random]") + (
    "replicates: 1\nmoments: 4\nconditions:\n  rates: {}\n  spikes: {rule.feedback: direct}\n"
)
STANDS_FOR = {
    "RUN_A": "RUN",
    "RUN_B": "other",
    "my.yaml": "my-scenario.yaml",
    "DIR": "out",
    "SWEEP": "swept",
}
SHIPPED = {p.stem: p for p in (ROOT / "scenarios").glob("*.yaml")}
NEVER = {  # commands that are checked for their words only, and why
    "biosim doctor --compile": "compiles the spiking engine for a minute",
    "biosim resume RUN --processes 2": "starts processes of its own; the tests of sharding do",
    "biosim analyse spike-timing RUN": "needs a spiking run; tests/test_spike_timing.py makes one",
    "biosim analyse on-brian2 RUN": "needs a spiking run; tests/test_spike_timing.py makes one",
    "biosim analyse connectome-comparison RUN": "tests/test_connectomes.py runs it; it needs the extra connectome",
}
BEFORE = {  # what the text around an indented fragment says is there
    "docs/exchange.md": """
import torch
from biosim import open_run
sizes = [size for _, size, _ in open_run("RUN").circuit.populations]
linear_layers = [torch.nn.Linear(a, b, bias=False) for a, b in zip(sizes, sizes[1:])]
module = torch.nn.Sequential(*[layer for linear in linear_layers for layer in (linear, torch.nn.ReLU())][:-1])
""",
}
NOT_RUN = {  # Python that is not run here, and why
    ("docs/brian2.md", "import numpy as np"): "tests/test_brian_network.py runs it",
    ("docs/brian2.md", "from biosim.substrates.brian import eliminate"): "the lines of the block below it, which test_brian_network runs",
    ("docs/brian2.md", "simulation = brian_network"): "tests/test_brian_network.py runs these calls on networks of its own",
    ("docs/sweeps.md", "from dask_jobqueue"): "needs a Slurm cluster",
    ("docs/sharding.md", "from biosim.processes.distributed import joined"): "is started by torchrun, in several processes",
    ("docs/runs.md", "kept = writer"): "shows the form of a call, with dots",
}
SHORTER = (  # in Python: fewer epochs and nulls, and a run that is there
    (r"epochs=(20|30)\b", "epochs=1"),
    (r"runs/(local-vs-global-\.\.\.|NAME)", "RUN"),
    (r"nulls=\d+", "nulls=2"),
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder as a reader has it who followed the pages: the examples, two runs, a data set, an exported graph."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "docs" / "examples", folder, dirs_exist_ok=True)
    for name, text, seed in (("RUN", SMALL, 0), ("other", LEAN, 0), ("parted", PARTED, 0)):
        (folder / f"{name}.yaml").write_text(text)
        settings = ["rule.feedback=direct"] if name == "other" else []
        run(read_scenario(folder / f"{name}.yaml", [f"seed={seed}", *settings]), folder / name, report=False)
    with contextlib.chdir(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["make_data.py", "bars"])
            runpy.run_path("make_data.py", run_name="__main__")
        exec(next(s.text for s in snippets() if "np.savez" in s.text), {})
        sweep = ["biosim", "sweep", "RUN.yaml", "--over", "schedule.density=.3,.2", "--set", "rivals=[]", "--set", "comparisons=null"]
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit, match=r"^0$"):
            patch.setattr(sys, "argv", [*sweep, "--set", "densities=[]", "--seeds", "0..0", "--workers", "1", "--out", "swept"])
            main()
        export(Path("RUN"), "graphml", out=Path("connectome.graphml"))
        export(Path("RUN"), "torch-prune", out=Path("local.torch-prune.safetensors"))
    for name, text in re.findall(r"Save this as `([\w.-]+)`:\n\n```\w+\n(.*?)```", (ROOT / "docs/start.md").read_text(), re.DOTALL):
        (folder / name).write_text(text)
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("generated", "*.svg", "*.png"))
    return folder


def unique(kind: Callable[[Snippet], bool]) -> list[Snippet]:
    """Return one snippet for each text."""
    return list({s.text.removeprefix(".venv/bin/"): s for s in commands() if kind(s)}.values())


def program(snippet: Snippet) -> list[str]:
    return words(snippet.text.removeprefix(".venv/bin/"))


def is_run(snippet: Snippet) -> bool:
    """Tell a run or sweep that could be started as it stands."""
    parts = program(snippet)
    return parts[0] == "biosim" and parts[1] in ("run", "sweep", "validate") and len(parts) > 2 and not SYNOPSIS.search(snippet.text) and (
        parts[2] not in ("NAME", "SCENARIO", "show")
    )  # fmt: skip


def is_done_at_once(snippet: Snippet) -> bool:
    """Tell a command that takes no long."""
    parts = program(snippet)
    if parts[0] != "biosim" or SYNOPSIS.search(snippet.text) or "NAME" in parts or snippet.text.removeprefix(".venv/bin/") in NEVER:
        return False
    if parts[1] in ("run", "sweep", "validate", "resume"):
        return parts[1] == "resume"
    return len(parts) > 2 or parts[1] in ("list", "doctor", "schema")


def test_there_is_something_to_test() -> None:
    found = commands()
    assert len(found) > 80 and len([s for s in snippets() if s.language == "python"]) > 8
    for page in ("README.md", "docs/start.md", "docs/howto/rule.md", "docs/comparing.md", "docs/sweeps.md"):
        assert any(s.page == page for s in found), page
    for text in NEVER:
        assert any(s.text == text for s in found), f"{text} stands on no page any more"


@pytest.mark.parametrize("page", sorted({s.page for s in commands()}))
def test_every_command_exists_with_its_options(page: str) -> None:
    assert [f"{s}: {fault}" for s in commands() if s.page == page and (fault := wrong(s.text))] == []


@pytest.mark.parametrize(
    "command",
    [
        "biosim runn local-vs-global",
        "biosim run local-vs-global --replicats 2",
        "biosim run local-vs-global [--outt RUN]",
        "python benchmarks/nothing.py",
        "python benchmarks/spiking.py --size 4000",
        "make demos",
    ],
)
def test_a_mistake_would_be_found(command: str) -> None:
    assert wrong(command) is not None


def test_a_wrong_name_or_setting_would_be_found(cli: Cli) -> None:
    for text in ("local-vs-globl", "local-vs-globl --seed 3", "local-vs-global --set schedule.densty=.1", "dice --set study.drawz=3"):
        assert _validated(Snippet("page", 1, "shell", f"biosim run {text}"), cli) == 2


@pytest.mark.parametrize("snippet", unique(is_run), ids=lambda s: s.text[:70])
def test_every_run_is_valid_as_written(snippet: Snippet, cli: Cli, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "fashion" in snippet.text and not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("needs the Debian package dataset-fashion-mnist")
    monkeypatch.chdir(desk)
    assert _validated(snippet, cli) == 0


def _validated(snippet: Snippet, cli: Cli) -> int:
    """Return the exit status of a dry run: of ``validate`` for a run, of ``--dry-run`` for a sweep."""
    _, verb, *rest = (STANDS_FOR.get(w, w) for w in program(snippet))
    if verb == "sweep":
        return cli("sweep", *(re.sub(r"^0\.\.\d$", "0..0", w) for w in rest), "--dry-run")[0]
    kept: list[str] = [rest.pop(0)]
    while rest:
        word = rest.pop(0)
        if word == "--set":
            kept += ["--set", rest.pop(0)]
        elif word in ("--seed", "--replicates"):
            kept += ["--set", f"{word[2:]}={rest.pop(0)}"]
        elif word in ("--out", "--device", "--checkpoint-every"):
            rest.pop(0)
    if len(kept) == 1 and not kept[0].endswith(".yaml"):  # a scenario of biosim's as it is: its data is there, or it could not be shipped
        return 0 if kept[0] in SHIPPED and read_scenario(SHIPPED[kept[0]]) else 2
    code, _, err = cli("validate", *kept)
    assert code in (0, 2), err
    return code


@pytest.mark.parametrize("snippet", unique(is_done_at_once), ids=lambda s: s.text[:70])
def test_every_short_command_is_run(snippet: Snippet, cli: Cli, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    given = [STANDS_FOR.get(w, w.replace("RUN/conditions", "parted/conditions")) for w in program(snippet)[1:]]
    if given[0] in ("report", "resume"):  # a run of few figures: what they draw, other tests look at
        given[1:2] = ["other"]
    if given[0] in ("export", "import"):
        given.append("--force")
    if given[0] == "compare":
        given += ["--nulls", "3", "--samples", "50"]
    if given == ["report", "RUN", "RUN"]:
        given = ["report", "RUN", "other", "--nulls", "3"]
    code, _, err = cli(*given)
    assert code == 0, err


@pytest.mark.parametrize("snippet", [s for s in snippets() if s.language == "python"], ids=str)
def test_python_runs(snippet: Snippet, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if any(snippet.page == page and snippet.text.startswith(start) for page, start in NOT_RUN):
        compile(snippet.text.replace("...", "0") if "kept = writer" not in snippet.text else "", snippet.page, "exec")
        return
    monkeypatch.chdir(desk)
    text = BEFORE.get(snippet.page, "") + snippet.text
    for pattern, smaller in SHORTER:
        text = re.sub(pattern, smaller, text)
    exec(compile(text, f"{snippet.page}:{snippet.line}", "exec"), {"__name__": "documented"})


@pytest.mark.parametrize("snippet", [s for s in snippets() if s.language == "yaml"], ids=str)
def test_yaml_can_be_read_and_rules_are_rules(snippet: Snippet, tmp_path: Path) -> None:
    data = yaml_of(snippet.text, tmp_path)
    rule = data.get("rule", data)
    if isinstance(rule, dict) and {"eliminate", "silence", "synapse"} & set(rule):
        parse_rule(rule)


def test_the_examples_do_what_their_pages_say(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    field, _ = run(read_scenario(Path("my-activity.yaml")), desk / "field", report=False)  # rule, model, drive, substrate, measure
    assert all(c["passed"] for c in field.results["checks"])
    assert min(field.results["metrics"]["measure.purity"]) > 0.9
    small = ["drive.epochs=2", "replicates=1", "checks=[]", "rule=./my-rule.yaml", "readout=three-factor"]
    patches, _ = run(read_scenario(Path("my-scenario.yaml"), small), desk / "patches", report=False)  # model, scorer
    assert [row["method"] for row in patches.table] == ["my-rule", "edge-popup", "wanda", "random"]
    own = patches.rivals["wanda"]
    assert own.density() == pytest.approx(patches.circuit.density(), abs=2e-3) and (own.born["pixels-cells"].mean((1, 2)) < 0.4).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "snippet", [s for s in unique(is_run) if s.page.startswith(("docs/start", "docs/howto"))], ids=lambda s: s.text[:70]
)
def test_the_first_steps_run_as_written(snippet: Snippet, cli: Cli, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    code, _, err = cli(*(STANDS_FOR.get(w, w) for w in program(snippet)[1:]))
    assert code == 0, err


def test_every_scenario_has_a_card_and_a_figure() -> None:
    cards = read_yaml(ROOT / "docs/gallery/cards.yaml").data
    made = json.loads((ROOT / "docs/gallery/made.json").read_text())
    names = {p.stem for p in (ROOT / "scenarios").glob("*.yaml")}
    assert names == set(cards) == set(made)
    for name in names:
        assert 1000 < (ROOT / f"docs/gallery/{name}.svg").stat().st_size < 100_000
        assert (ROOT / "docs" / cards[name]["page"]).is_file()
        assert wrong(made[name]["command"]) is None
