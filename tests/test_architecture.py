"""The shape of the house: imports point one way, the wall stands, nothing executes data."""

from __future__ import annotations

import ast
import doctest
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import networkx as nx
import pytest

import biosim

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "biosim").rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
    return found


LAYERS = [  # a file may import from its own layer and from those before it; a module of a package may have a place of its own
    [
        "errors", "backend", "streams", "yamlfile", "library", "scorer_sources", "extras", "arguments", "state", "npz", "replay",
        "tiles", "progress", "rundir", "processes.launch",
    ],
    ["equations", "births", "wiring", "processes", "synapses", "schedule", "lif", "memories", "linear", "sheet", "effective"],
    [
        "rules", "spiking", "substrates", "teaching", "homeostasis", "recorder", "circuit", "rundir.circuit_file", "graphs", "drives",
        "torch_bridge", "connectomes",
    ],
    ["nursery", "develop", "spiking_develop", "scorers", "compare"],
    ["findings", "theory", "studies", "measures"],
    ["scenario"],
    [
        "store", "rundir.run_writer", "rundir.results_file", "analysis", "compare_runs", "report", "contest", "experiments", "runner", "exchange",
        "sweep", "doctor", "catalogue", "spike_measures",
    ],
    ["cli", "commands", "__main__"],
]  # fmt: skip
PLACE = {name: i for i, layer in enumerate(LAYERS) for name in layer}


def place(name: str) -> int | None:
    """Return the layer of ``package.module...``."""
    first, _, rest = name.partition(".")
    return PLACE.get(f"{first}.{rest.split('.')[0]}", PLACE.get(first))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT / "biosim").with_suffix("").parts
    own = place(".".join(parts))
    assert own is not None or parts[0] == "__init__", f"{path.name} has no place in LAYERS"
    for name in imports(path):
        other = place(name.removeprefix("biosim.")) if name.startswith("biosim.") else None
        if other is not None and own is not None and parts[-1] != "__init__":
            assert other <= own, f"{'.'.join(parts)} imports {name}"
        assert name.split(".")[0] not in ("models", "scenarios", "analysis"), f"{'.'.join(parts)} imports {name}"


def arrows() -> nx.DiGraph[str]:
    """Return which file imports which, those for types alone and those inside functions among them."""
    found: nx.DiGraph[str] = nx.DiGraph()
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in SOURCES}
    for own, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                named = [f"{node.module}.{a.name}" for a in node.names]
                found.add_edges_from((own, name if name in modules else str(node.module)) for name in named)
            elif isinstance(node, ast.Import):
                found.add_edges_from((own, a.name) for a in node.names)
    return nx.DiGraph(found.subgraph(modules.keys() - {"biosim"}))


def room(module: str) -> str:
    """Return the folder of a file, or the file itself where it lies in none."""
    return ".".join(module.split(".")[:2])


def test_files_and_rooms_make_no_circles() -> None:
    files = arrows()
    rooms = nx.DiGraph((room(a), room(b)) for a, b in files.edges if room(a) != room(b))
    assert files.number_of_edges() > 1000
    for graph in (files, rooms):
        assert not [sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1]


def test_the_wall_between_rules_and_scorers() -> None:
    decide = ("rules", "nursery", "develop.py", "teaching.py", "homeostasis.py", "substrates", "equations")
    local = [p for p in SOURCES if p.relative_to(ROOT / "biosim").parts[0] in decide]
    scorers = [p for p in SOURCES if p.parent.name == "scorers"]
    assert local and scorers
    for path in scorers:
        assert not {n for n in imports(path) if n.startswith(("biosim.rules", "biosim.develop", "biosim.nursery", "biosim.equations.rule"))}
    for path in local:
        assert not {n for n in imports(path) if n.startswith("biosim.scorers")}
        assert not re.search(r"backward\(|autograd|requires_grad", path.read_text())


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nothing_evaluates_text_or_unpickles(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in ("eval", "exec", "compile", "torch.load", "pickle.load", "pickle.loads", "np.load", "numpy.load"), (
                f"{path}: {name}"
            )


def test_only_the_brian_substrate_imports_brian2() -> None:
    assert not [p for p in SOURCES if p.parent.name != "brian" and any(n.split(".")[0] == "brian2" for n in imports(p))]


@pytest.mark.parametrize(
    "path", [*SOURCES, *sorted((ROOT / "models").glob("*.py")), *sorted((ROOT / "analysis").glob("*.py"))], ids=lambda p: p.name
)
def test_files_are_one_idea_long(path: Path) -> None:
    text = path.read_text()
    shown = sum(len((e.source + e.want).splitlines()) for e in doctest.DocTestParser().get_examples(text))  # of examples, not of the idea
    assert len(text.splitlines()) - shown <= 320


def test_public_names() -> None:
    assert set(biosim.__all__) == {
        "__version__", "Circuit", "Development", "Feedback", "ImageDrive", "Network", "Population", "Projection", "Recorder",
        "Rule", "Run", "Schedule", "from_torch_prune", "keep", "load_images", "load_rule", "load_scorer", "network_from_torch",
        "open_run", "overlap", "parse_rule", "prune", "read_scenario", "run", "to_torch", "to_torch_prune",
    }  # fmt: skip
    for name in biosim.__all__:
        assert getattr(biosim, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = biosim.nonsense


def test_the_wheel_carries_models_scenarios_and_analyses(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {n.split("/")[0] for n in names} == {"biosim", f"biosim-{biosim.__version__}.dist-info"}
    for wanted in ("models/mlp.py", "scenarios/local-vs-global.yaml", "analysis/survivors.py"):
        assert f"biosim/_library/{wanted}" in names
    assert "biosim/rules/three-factor.yaml" in names
    assets = {p.name for p in (ROOT / "biosim" / "report" / "assets").iterdir() if p.suffix in (".js", ".css", ".html")}
    assert len(assets) >= 10 and {f"biosim/report/assets/{name}" for name in assets} <= set(names)


def test_files_mentioned_in_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"`((?:models|scenarios|analysis|benchmarks|docs|biosim)/[\w./-]+\.\w+)`", text):
        assert "NAME" in path or (ROOT / path).exists(), path
