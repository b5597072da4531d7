"""A user adds one of everything in a folder of their own, one file each, and uses it from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Result

from biosim import open_run
from biosim.errors import BiosimError
from biosim.exchange import formats

Cli = Callable[..., Result]

FILES = {
    "rules/shy.yaml": """
        name: shy
        about: A synapse that hears much of its teacher stays.
        source: this test
        feedback: random
        parameters: {memory: 5 % dev}
        state: {tag: 0}
        synapse: [dtag/dt = (pre*teach_post*weight - tag)/memory]
        eliminate: {compete: {within: post, by: tag}}
    """,
    "models/shallow.py": '''
        """One hidden layer."""
        from biosim import Network


        def build(inputs, outputs, seeds, *, width: int = 30) -> Network:
            return Network.layered([inputs, width, outputs], seeds, weights="signed-constant")
    ''',
    "scorers/central.py": '''
        """Keeps what comes from the middle of the picture."""
        from dataclasses import dataclass
        import torch


        @dataclass(frozen=True)
        class Scorer:
            scope: str = "layer"
            level = "none"

            def score(self, network, drive, density, seeds, progress=None):
                def of(p):
                    place = torch.arange(p.shape[1], dtype=torch.float32)
                    return -(place - place.mean()).abs().view(1, -1, 1).expand_as(p.weight)
                return {name: of(p) for name, p in network.projections.items()}
    ''',
    "analysis/counts.py": '''
        """How many synapses each method kept?"""
        from biosim.findings import Findings


        def analyse(run):
            circuits = {"local": run.circuit, **run.rivals}
            rows = [{"method": m, "synapses": int(sum(k.sum() for k in c.mask.values()))} for m, c in circuits.items()]
            return Findings({}, {"counts": rows})
    ''',
    "formats/triples.py": '''
        """One synapse a line: projection, pre, post."""
        import numpy as np
        from biosim.exchange import Format


        def write(circuit, path, records):
            lines = [f"{n} {i} {j}" for n, m in circuit.mask.items() for i, j in zip(*np.nonzero(m[0]))]
            path.write_text("\\n".join(lines))


        FORMAT = Format("triples", "a text", "wiring", ".txt", lambda path: False, write=write)
    ''',
    "drives/steady.py": '''
        """The same random activity again and again."""
        import torch
        from biosim.drives.base import Presentation
        from biosim.equations import Clock


        class Steady:
            outputs = None

            def __init__(self, inputs, steps):
                self.inputs, self.clock = inputs, Clock(0.1, 4, steps)

            def presentations(self, seeds, device):
                shown = torch.rand(4, self.inputs, generator=torch.Generator().manual_seed(0)).expand(len(seeds), 4, self.inputs)
                for _ in range(self.clock.steps):
                    yield Presentation(shown, None)


        def drive(network, *, steps: int = 30):
            return Steady(network.input.size, steps)
    ''',
    "substrates/lazy.py": '''
        """Every second neuron rests."""
        import torch


        class Lazy:
            inputs = None

            def __init__(self, network, share):
                self.network, self.share = network, share
                self.inputs = network.input.size

            def respond(self, inputs, push=None):
                first, *rest = self.network.populations
                activity = {first: inputs}
                for p in self.network.projections.values():
                    out = p.transmit(activity[p.pre.name]).relu()
                    awake = torch.arange(out.shape[2]) % 2 == 0
                    activity[p.post.name] = torch.where(awake, out, self.share * out)
                return activity

            def arriving(self, projection, activity):
                return activity[projection.pre.name]


        def substrate(network, *, share: float = 0.5):
            return Lazy(network, share)
    ''',
    "models/pair.py": '''
        """Two populations on the lazy substrate."""
        import torch
        from biosim import Network, Population, Projection
        from biosim.births import draw_weights


        def build(seeds, *, size: int = 8) -> Network:
            pre, post = Population("a", size, "linear"), Population("b", size)
            weight, born = draw_weights(tuple(seeds), "a-b", size, size)
            projection = Projection("a-b", pre, post, torch.from_numpy(weight), torch.from_numpy(born))
            return Network([pre, post], [projection], substrate="lazy", dynamics={"share": 0.25})
    ''',
    "measures/left.py": '''
        """How many synapses the first neuron has left."""
        from biosim.findings import Findings

        METRICS = {"first": "synapses of the first neuron"}


        def measure(development, drive):
            return Findings({}, {}, {"first": development.circuit.mask["a-b"][:, :, 0].sum(1).astype(float)})
    ''',
    "studies/coin.py": '''
        """Is a coin fair?"""
        import numpy as np
        from biosim.findings import Findings

        METRICS = {"heads": "share of heads"}


        def run(seeds, *, throws: int = 100):
            return Findings({}, {}, {"heads": [float((np.random.default_rng(s).random(throws) < 0.5).mean()) for s in seeds]})
    ''',
    "scenarios/mine.yaml": """
        name: mine
        question: Does all of it work together?
        model: {name: shallow, width: 20}
        drive: {kind: images, dataset: digits, epochs: 1, train_size: 300}
        rule: {name: ./rules/shy.yaml}
        schedule: {density: 0.3}
        rivals: [central, random]
        replicates: 2
        checks: [{name: as many, value: circuit.density, needs: "<= rivals.central.density + 0.01"}]
    """,
    "scenarios/resting.yaml": """
        name: resting
        question: And without images?
        model: {name: pair}
        drive: {kind: steady, steps: 20}
        rule:
          parameters: {memory: 5 % dev}
          state: {tag: 0}
          synapse: [dtag/dt = (pre*post - tag)/memory]
          eliminate: {compete: {within: post, by: tag}}
        schedule: {density: 0.5}
        measure: {name: left}
        replicates: 2
        checks: [{name: half, value: measure.first, needs: ">= 4"}]
    """,
    "scenarios/thrown.yaml": """
        name: thrown
        question: Heads?
        study: {name: coin, throws: 400}
        replicates: 3
        checks: [{name: fair, value: study.heads, needs: "<= 0.6"}]
    """,
}


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that holds one of everything, made the working directory."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        lines = text.strip("\n").splitlines()
        path.write_text("\n".join(line[8:] for line in lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_of_each_is_one_file_and_no_edit_elsewhere(workshop: Path, cli: Cli) -> None:
    code, out, err = cli("run", "mine", "--out", "run", "--json")
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert result["locality"] == "broadcast" and set(result["rivals"]) == {"central", "random"}

    code, out, err = cli("analyse", "counts", "run")
    assert code == 0, err
    run = open_run(workshop / "run")
    kept = {m: int(sum(k.sum() for k in c.mask.values())) for m, c in {"local": run.circuit, **run.rivals}.items()}
    table = (workshop / "run" / "analysis" / "counts" / "counts.csv").read_text().splitlines()
    assert table == ["method,synapses", *(f"{m},{n}" for m, n in kept.items())]

    for name in ("triples", "./formats/triples.py"):
        code, out, err = cli("export", "run", "--to", name, "--force")
        assert code == 0, err
    lines = (workshop / "run" / "exported" / "local.triples.txt").read_text().splitlines()
    assert len(lines) == sum(int(np.count_nonzero(m[0])) for m in run.circuit.mask.values())


def test_without_images_and_without_a_network(workshop: Path, cli: Cli) -> None:
    code, out, err = cli("run", "resting", "--out", "rest", "--json")
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["measure"]["first"] == [4.0, 4.0]
    code, out, err = cli("run", "thrown", "--out", "throw", "--json")
    assert code == 0, err
    heads = [float((np.random.default_rng(s).random(400) < 0.5).mean()) for s in (0, 1, 2)]
    assert json.loads(out.splitlines()[-1])["metrics"]["heads"] == heads


@pytest.mark.parametrize(("kind", "name"), [("models", "shallow"), ("scenarios", "mine"), ("analysis", "counts"), ("scorers", "central")])
def test_what_was_added_is_listed(workshop: Path, cli: Cli, kind: str, name: str) -> None:
    code, out, err = cli("list", kind)
    assert code == 0 and name in out.split(), err


def test_a_broken_format_is_told_of_by_who_asks_for_it_alone(workshop: Path, cli: Cli) -> None:
    (workshop / "formats" / "half_done.py").write_text("FORMAT = \n")
    (workshop / "c.csv").write_text("pre,post,weight\n0,1,0.5\n1,0,0.25\n")
    assert cli("import", "c.csv").code == 0
    circuit = "c.circuit.safetensors"
    for name in ("npz", "triples"):
        code, _, err = cli("export", circuit, "--to", name)
        assert code == 0 and not err, err
    for name in ("half-done", "trpiles"):  # the second asks for a list
        code, _, err = cli("export", circuit, "--to", name)
        assert code == 2 and "half_done.py:1: cannot be imported: SyntaxError" in err and len(err.splitlines()) == 1, err
    assert "did you mean 'triples'?" in err
    with pytest.raises(BiosimError, match="half_done"):
        formats()


def test_a_file_without_a_format_says_what_it_needs(workshop: Path, cli: Cli) -> None:
    (workshop / "formats" / "empty.py").write_text("x = 1\n")
    code, _, err = cli("export", "run", "--to", "./formats/empty.py")
    assert code == 2 and "empty.py: a format's file has FORMAT = biosim.exchange.Format(...)" in err
    (workshop / "formats" / "empty.py").unlink()
    code, _, err = cli("import", "formats/triples.py", "--as", "./formats/triples.py")
    assert code == 2 and "the format cannot be read" in err
