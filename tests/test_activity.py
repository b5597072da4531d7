"""Activity scenarios: any drive, any substrate, a measure in place of accuracy; from the file to the page."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biosim.develop import develop
from biosim.drives import Presentation
from biosim.equations import Clock, parse_rule
from biosim.errors import InputError
from biosim.rundir.circuit_file import circuit_bytes, read_circuit
from biosim.store import open_run
from biosim.substrates import substrate_of
from biosim.synapses import Network, Population, Projection

Cli = Callable[..., Any]

MODEL = '''"""Sources and targets, all joined, weights even."""

from collections.abc import Sequence

import torch

from biosim.errors import InputError
from biosim.streams import generator
from biosim.synapses import Network, Population, Projection


def build(seeds: Sequence[int], *, sources: int = 6, targets: int = 4) -> Network:
    if sources < 1:
        raise InputError("needs at least one source", ("sources",))
    pre, post = Population("sources", sources, "linear"), Population("targets", targets, "linear")
    drawn = [torch.from_numpy(generator(s, "births/even").uniform(0.5, 1.5, (sources, targets))).float() for s in seeds]
    weight = torch.stack(drawn)
    return Network([pre, post], [Projection("sources-targets", pre, post, weight, torch.ones_like(weight, dtype=torch.bool))])
'''
DRIVE = '''"""Some sources are loud."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from biosim.drives import Presentation
from biosim.equations import Clock
from biosim.streams import generator
from biosim.synapses import Network


class Loud:
    outputs = None

    def __init__(self, inputs: int, loud: int, rate: float) -> None:
        self.inputs, self.loud, self.rate, self.clock = inputs, loud, rate, Clock(0.1, 5, 40)

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Iterator[Presentation]:
        streams = [generator(s, "loud") for s in seeds]
        scale = torch.where(torch.arange(self.inputs) < self.loud, self.rate, 0.1 * self.rate)
        for _ in range(self.clock.steps):
            drawn = np.stack([s.random((5, self.inputs), np.float32) for s in streams])
            yield Presentation(torch.from_numpy(drawn) * scale, None)


def drive(network: Network, *, loud: Annotated[int, Field(ge=0)] = 3, rate: Annotated[float, Field(gt=0)] = 1.0) -> Loud:
    return Loud(network.input.size, loud, rate)
'''
MEASURE = '''"""How many of the loudest inputs are left."""

from biosim.findings import Findings

METRICS = {"loud": "share of the loud sources' synapses left"}


def measure(development, drive, *, first: int = 3) -> Findings:
    mask = development.circuit.mask["sources-targets"]
    return Findings({}, {}, {"loud": mask[:, :first].mean((1, 2))})


def observe(network, drive, *, first: int = 3):
    return {"loud": network.projections["sources-targets"].alive[:, :first].float().mean((1, 2))}


def listen(network, activity, step, drive, *, first: int = 3):
    return {"steps": [step] * network.replicates, "heard": activity["sources"][..., :first].mean((1, 2))}
'''
SCENARIO = """\
name: loud
question: Do loud inputs survive?
model: {name: ./net.py, sources: 6}
drive: {kind: ./loud.py, loud: 3}
rule:
  parameters: {memory: 5 % dev}
  state: {tag: 0}
  synapse: [dtag/dt = (pre*post - tag)/memory]
  eliminate: {compete: {within: post, by: tag}}
schedule: {density: 0.5}
measure: {name: ./left.py, first: 3}
replicates: 3
moments: 5
checks:
  - {name: the loud ones stay, value: measure.loud, needs: ">= 0.9"}
  - {name: half are left, value: circuit.density, needs: "<= 0.5"}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a user's own model, drive, measure and scenario, made the working directory."""
    for name, text in (("net.py", MODEL), ("loud.py", DRIVE), ("left.py", MEASURE), ("loud.yaml", SCENARIO)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_users_own_drive_and_measure_by_path(cli: Cli, folder: Path) -> None:
    code, printed, _ = cli("run", "loud.yaml", "--json", "--out", "run")
    result = json.loads(printed.splitlines()[-1])
    assert code == 0 and result["kind"] == "activity" and result["locality"] == "neuron"
    assert result["measure"]["loud"] == [1.0, 1.0, 1.0] and all(check["passed"] for check in result["checks"])
    run = open_run(folder / "run")
    np.testing.assert_array_equal(run.circuit.mask["sources-targets"][:, :3], True)
    assert [record["measure.loud"] for record in run.history][-1] == [1.0, 1.0, 1.0]  # what observe() adds
    assert all(record["measure.steps"] == [record["step"]] * 3 for record in run.history)  # and listen()
    assert all(record["measure.heard"] > record["rate.sources"] for record in run.history)
    assert run.dataset()["density"].shape == (len(run.history), 3)
    page = (folder / "run" / "report.html").read_text()
    assert "share of the loud sources" in page and "<svg" in page and "dtag/dt" in page


def test_the_rule_decides_and_nothing_else(cli: Cli, folder: Path) -> None:
    """The tag of this rule by hand, step by step in float64, names the same survivors."""
    cli("run", "loud.yaml", "--out", "run", "--replicates", "1", "--set", "drive.loud=0")
    run = open_run(folder / "run")
    weight = run.circuit.weight["sources-targets"][0].astype(np.float64)
    random = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(zlib.crc32(b"loud"),)))
    alive, tag = np.ones((6, 4), bool), np.zeros((6, 4))
    decay = np.exp(-0.1 / (0.05 * 20.0))
    for step in range(40):
        shown = np.float64(random.random((5, 6), np.float32) * np.float32(0.1))
        post = shown @ (weight * alive)
        for sample in range(5):
            tag = tag * decay + (1 - decay) * np.outer(shown[sample], post[sample])
        u = (step + 1) / 40
        s = min(max((u - 0.1) / 0.7, 0.0), 1.0)
        if u >= 0.1:
            quota = max(int(np.floor(6 * (0.5 + 0.5 * (1 - s) ** 3))), 3)
            for j in range(4):
                order = np.argsort(-np.where(alive[:, j], tag[:, j], -np.inf), kind="stable")
                alive[order[quota:], j] = False
    np.testing.assert_array_equal(run.circuit.mask["sources-targets"][0], alive)


def test_a_replicate_alone_equals_the_batch(cli: Cli, folder: Path) -> None:
    settings = ("--set", "drive.loud=0", "--set", "checks=[]")
    assert cli("run", "loud.yaml", "--out", "batch", *settings).code == 0
    assert cli("run", "loud.yaml", "--out", "alone", "--seed", "2", "--replicates", "1", *settings).code == 0
    batch, alone = open_run(folder / "batch"), open_run(folder / "alone")
    np.testing.assert_array_equal(batch.circuit.mask["sources-targets"][2], alone.circuit.mask["sources-targets"][0])
    np.testing.assert_array_equal(batch.circuit.weight["sources-targets"][2], alone.circuit.weight["sources-targets"][0])
    assert batch.results["metrics"]["measure.loud"][2] == alone.results["metrics"]["measure.loud"][0]
    assert len({batch.circuit.mask["sources-targets"][r].tobytes() for r in range(3)}) == 3  # they do differ


def test_conditions_are_controls(cli: Cli, folder: Path) -> None:
    text = SCENARIO[: SCENARIO.index("checks:")] + (
        "conditions:\n  loud: {}\n  even: {drive.loud: 6}\nchecks:\n"
        '  - {name: loudness matters, value: loud.measure.loud, needs: ">= even.measure.loud + 0.1"}\n'
    )
    (folder / "two.yaml").write_text(text)
    code, printed, _ = cli("run", "two.yaml", "--json", "--out", "run")
    result = json.loads(printed.splitlines()[-1])
    assert code == 0 and result["kind"] == "conditions" and result["checks"][0]["passed"]
    assert (folder / "run" / "conditions" / "even" / "circuit.safetensors").exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("loud: 3}", "lowd: 3}", "loud.yaml:4: drive.lowd: drive './loud.py' has no argument 'lowd' (did you mean 'loud'?)"),
        ("loud: 3}", "loud: -1}", "loud.yaml:4: drive.loud: input should be greater than or equal to 0, not -1"),
        ("loud: 3}", "rate: -2}", "loud.yaml:4: drive.rate: input should be greater than 0, not -2"),
        ("kind: ./loud.py, loud: 3", "kind: no-such-drive", "loud.yaml:4: drive.kind: unknown drive 'no-such-drive'"),
        ("kind: ./loud.py, loud: 3", "kind: images", "loud.yaml:4: drive.kind: a network that is shown images is judged by its accuracy"),
        ("kind: ./loud.py, loud: 3", "kind: ./left.py", "loud.yaml:4: drive.kind: left.py has no function drive(network, *, ...)"),
        ("sources: 6", "sources: 0", "loud.yaml:3: model.sources: needs at least one source"),
        ("./net.py, sources: 6", "mlp", "build(inputs, outputs, seeds, *, ...); a network that such a drive runs needs build(seeds, *, ...)"),
        ("first: 3}", "frist: 3}", "loud.yaml:11: measure.frist: measure './left.py' has no argument 'frist'"),
        ("{name: ./left.py, first: 3}", "{name: survival, projection: x}", "loud.yaml:11: measure.projection: the network has no projection 'x'"),
        ("measure: {name: ./left.py, first: 3}\n", "", "loud.yaml:1: measure: is missing"),
        ("measure.loud,", "measure.load,", "loud.yaml:15: checks[0].value: 'measure.load' is not measured"),
        ("density: 0.5}", "density: 0.5, opens: 0.9, closes: 0.2}", "loud.yaml:10: schedule.opens: need 0 <= opens < closes <= 1"),
        ("schedule: {density: 0.5}\n", "", "loud.yaml:1: schedule: 'loud' lets synapses compete, and a free schedule does not say how many stay"),
        ("(pre*post - tag)", "(weight*pre*teach_post - tag)", "reads a teaching signal"),
        ("(pre*post - tag)", "(pre*reward - tag)", "loud.yaml:5: rule: the rule reads reward, but the drive has no labels"),
        ("replicates: 3", "homeostasis: [{kind: in-degree, target: 3}]", "loud.yaml:12: homeostasis[0].target: in-degree has no target"),
    ],
)  # fmt: skip
def test_bad_input_is_told_of_where_it_stands_and_nothing_is_written(cli: Cli, folder: Path, old: str, new: str, expected: str) -> None:
    assert old in SCENARIO
    text = SCENARIO.replace(old, new)
    (folder / "loud.yaml").write_text(text.replace("measure.loud,", "circuit.density,") if "survival" in new else text)
    code, _, err = cli("run", "loud.yaml", "--out", "run")
    assert code == 2 and expected in err and "Traceback" not in err
    assert not (folder / "run").exists()


def test_the_survival_measure_counts_what_is_left(cli: Cli, folder: Path) -> None:
    text = SCENARIO.replace("{name: ./left.py, first: 3}", "survival").replace("measure.loud", "measure.in_degree")
    (folder / "loud.yaml").write_text(text.replace('">= 0.9"', '"<= 3"'))
    code, printed, _ = cli("run", "loud.yaml", "--json", "--out", "run")
    found, circuit = json.loads(printed.splitlines()[-1]), open_run(folder / "run").circuit
    mask, weight = circuit.mask["sources-targets"], circuit.weight["sources-targets"]
    assert code == 0
    for r in range(3):
        degrees = [int(mask[r, :, j].sum()) for j in range(4)]
        wanted = {"density": mask[r].mean(), "in_degree": np.mean(degrees), "in_degree_at_birth": 6, "fewest_inputs": min(degrees)}
        wanted |= {"most_inputs": max(degrees), "weight": weight[r][mask[r]].mean()}
        for name, value in wanted.items():
            assert found["measure"][name][r] == pytest.approx(value, rel=1e-6)
    assert len(found["tables"]["survival"]) == 3


def test_the_kinds_are_listed_shown_and_in_the_schema(cli: Cli, folder: Path) -> None:
    drives = folder / "drives"
    drives.mkdir()
    (drives / "loud.py").write_text(DRIVE)
    (drives / "parts.py").write_text('"""No drive of its own."""\n')
    listed = cli("list").out
    assert "survival" in listed and "Some sources are loud." in cli("list", "drives").out
    assert "parts" not in cli("list", "drives").out
    assert "Who survived" in cli("show", "measure", "survival").out and "Some sources" in cli("show", "drive", "loud").out
    assert {"drive", "measure", "rule"} <= set(json.loads(cli("schema").out)["$defs"]["ActivitySpec"]["properties"])
    assert "40 steps of development; measures loud" in cli("validate", "loud.yaml").out
    (folder / "loud.yaml").write_text(SCENARIO.replace("./loud.py", "loud"))
    assert cli("validate", "loud.yaml").code == 0


# -- a substrate of another kind, and a network of one population -----------------------------------------------------------
SUBSTRATE = '''"""Threshold units, all at once."""


class Units:
    def __init__(self, network, threshold):
        self.network, self.threshold = network, threshold

    def respond(self, inputs, push=None):
        p = self.network.projections["all-all"]
        return {"all": (inputs @ p.effective > self.threshold).float()}

    def arriving(self, projection, activity):
        return activity["all"]


def substrate(network, *, threshold: float = 0.0) -> Units:
    return Units(network, threshold)
'''


class Noise:
    """Random bits for every neuron."""

    outputs = None

    def __init__(self, size: int) -> None:
        self.inputs, self.clock = size, Clock(1.0, 8, 20)

    def presentations(self, seeds: tuple[int, ...], device: torch.device) -> Any:
        draws = [np.random.default_rng(s) for s in seeds]
        for _ in range(20):
            yield Presentation(torch.from_numpy(np.stack([d.integers(0, 2, (8, self.inputs)) for d in draws]).astype(np.float32)), None)


def one_population(path: Path, **dynamics: Any) -> Network:
    everyone = Population("all", 7, "linear")
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((2, 7, 7)).astype(np.float32))
    born = (~torch.eye(7, dtype=torch.bool)).expand(2, 7, 7).clone()
    return Network([everyone], [Projection("all-all", everyone, everyone, weight * born, born)], substrate=str(path), dynamics=dynamics)


def test_one_recurrent_population_on_a_substrate_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "units.py"
    path.write_text(SUBSTRATE)
    rule = parse_rule({"eliminate": "abs(weight) < 0.5"}, "minimal")
    network = one_population(path, threshold=0.25)
    weight = network.projections["all-all"].weight.clone()
    development = develop(network, Noise(7), rule, homeostasis=[])
    circuit = development.circuit
    np.testing.assert_array_equal(circuit.mask["all-all"], ((weight.abs() >= 0.5) & network.projections["all-all"].born).numpy())
    np.testing.assert_array_equal(circuit.effective_density(), circuit.density())  # every neuron is driven and none is read out
    (tmp_path / "c.safetensors").write_bytes(circuit_bytes(circuit))
    again = read_circuit(tmp_path / "c.safetensors")
    assert (again.substrate, again.dynamics) == (str(path), {"threshold": 0.25})
    bits = next(iter(Noise(7).presentations((0, 1), torch.device("cpu")))).inputs
    said = substrate_of(again.network).respond(bits)["all"].numpy()
    by_hand = np.einsum("rsi,rij->rsj", bits.numpy(), weight.numpy() * circuit.mask["all-all"]) > 0.25
    np.testing.assert_array_equal(said, by_hand)
    with pytest.raises(InputError, match="runs on the substrate"):
        circuit.predict(bits[0])


def test_a_substrate_that_does_not_fit_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "units.py"
    path.write_text(SUBSTRATE)
    rule = parse_rule({"eliminate": "abs(weight) < 0.5"}, "minimal")
    with pytest.raises(InputError, match=r"has no argument 'treshold'.*did you mean 'threshold'"):
        develop(one_population(path, treshold=1), Noise(7), rule, homeostasis=[])
    with pytest.raises(InputError, match="the drive needs 9"):
        develop(one_population(path), Noise(9), rule, homeostasis=[])
    everyone = Population("all", 3, "linear")
    loop = Projection("all-all", everyone, everyone, torch.ones(1, 3, 3), torch.ones(1, 3, 3, dtype=torch.bool))
    with pytest.raises(InputError, match="whose activity is given by the drive"):
        Network([everyone], [loop], steps=2)
    with pytest.raises(InputError, match="names none"):
        Network([everyone, Population("b", 3)], [loop], dynamics={"threshold": 1})


def test_the_id_of_a_run_knows_the_file_of_its_substrate(folder: Path) -> None:
    from biosim.scenario import read_scenario

    (folder / "units.py").write_text(SUBSTRATE.replace("all-all", "sources-targets"))
    (folder / "net.py").write_text(MODEL.replace("torch.bool))])", "torch.bool))], substrate='./units.py')"))
    first = read_scenario(folder / "loud.yaml")
    (folder / "units.py").write_text(SUBSTRATE.replace("all-all", "sources-targets") + "# changed\n")
    assert read_scenario(folder / "loud.yaml").id != first.id


def test_under_a_free_schedule_the_condition_alone_decides(cli: Cli, folder: Path) -> None:
    start, end = SCENARIO.index("  parameters"), SCENARIO.index("measure:")
    text = SCENARIO[:start] + "  eliminate: weight < 1.2\n" + SCENARIO[end:]
    (folder / "loud.yaml").write_text(text[: text.index("checks:")])
    assert cli("run", "loud.yaml", "--out", "run").code == 0
    circuit = open_run(folder / "run").circuit
    np.testing.assert_array_equal(circuit.mask["sources-targets"], circuit.weight["sources-targets"] >= 1.2)
    assert (circuit.mask["sources-targets"].sum(1) <= 1).any()  # nobody is protected
    early = ("--set", "schedule.kind=free", "--set", "schedule.opens=0", "--set", "schedule.closes=0.01")
    cli("run", "loud.yaml", "--out", "early", *early)
    assert (open_run(folder / "early").circuit.density() == 1).all()  # the window closed before the first decision
