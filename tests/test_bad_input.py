"""Every mistake gives one clear error that names file, line and key; exit 2, no traceback, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, write_idx

Cli = Callable[..., tuple[int, str, str]]
RULE = "rule: {name: three-factor, feedback: random}"
OWN = "rule:\n  parameters: {tau: 1 s, theta: 1}\n  state: {tag: 0}\n  synapse: ['dtag/dt = (pre*post - tag)/tau']\n  eliminate: "

MISTAKES: dict[str, tuple[str, str, str]] = {
    # what: (text in the good file, its replacement, what the message must say; {file} is the scenario)
    "misspelt key": ("replicates: 2", "replicate: 2", "{file}:7: replicate: unknown key (did you mean 'replicates'?)"),
    "misspelt nested key": ("epochs: 2", "epoch: 2", "{file}:3: drive.epoch: unknown key (did you mean 'epochs'?)"),
    "wrong unit": (RULE, "rule: {name: three-factor, patience: 3 parsecs}", "{file}:4: rule.patience: unknown unit 'parsecs'"),
    "missing unit": (RULE, "rule: {name: three-factor, patience: 3}", "{file}:4: rule.patience: '3' is a pure number"),
    "bare presentation": ("batch: 64", "batch: 64, presentation: '50'", "{file}:3: drive.presentation: '50' needs a unit of time"),
    "density 1.7": ("density: 0.3", "density: 1.7", "{file}:5: schedule.density: input should be less than or equal to 1, not 1.7"),
    "unknown model": ("name: mlp", "name: mpl", "{file}:2: model.name: unknown model 'mpl' (did you mean 'mlp'?)"),
    "unknown model argument": ("hidden: [24, 16]", "hiden: [24]", "{file}:2: model.hiden: model 'mlp' has no argument 'hiden'"),
    "wrong model argument": ("hidden: [24, 16]", "hidden: many", "{file}:2: model.hidden: input should be a valid list"),
    "no neurons": ("hidden: [24, 16]", "hidden: [0]", "{file}:2: model: population 'hidden1' needs at least one neuron"),
    "impossible births": ("hidden: [24, 16]", "hidden: [24], probability: 3", "{file}:2: model.probability: the probability"),
    "unknown rule": ("three-factor", "three-facto", "{file}:4: rule.name: unknown rule 'three-facto' (did you mean 'three-factor'?)"),
    "unknown parameter": (RULE, "rule: {name: three-factor, rat: 1}", "{file}:4: rule.rat: rule 'three-factor' has no parameter 'rat'"),
    "unknown feedback": ("feedback: random", "feedback: magic", "{file}:4: rule.feedback: unknown feedback 'magic'"),
    "unknown rival": ("[edge-popup, random]", "[edge-popup, radnom]", "{file}:6: rivals[1]: unknown rival 'radnom' (did you mean 'random'?)"),
    "rival option": ("[edge-popup, random]", "[{name: edge-popup, epoch: 3}]", "{file}:6: rivals[0].epoch: rival 'edge-popup' has no"),
    "bad yaml": ("model: {", "model: {{", "{file}:"),
    "a list": (TINY, "- a\n- b\n", "{file}:1: expected 'key: value' lines"),
    "empty": (TINY, "", "{file}:1: expected 'key: value' lines, found nothing"),
    "missing section": ("model: {name: mlp, hidden: [24, 16]}\n", "", "model: is missing"),
    "missing data": ("dataset: digits", "dataset: /no/such/folder", "{file}:3: drive.dataset: no data set '/no/such/folder'"),
    "too many images": ("train_size: 256", "train_size: 99999", "{file}:3: drive.train_size: there are 1442 training images"),
    "batch too large": ("batch: 64", "batch: 512", "{file}:3: drive.batch: a batch must lie between 1 and the 256"),
    "gradient": (RULE, OWN + "gradient > 0", "{file}:8: rule.eliminate: 'gradient' is of level gradient, which only scorers may read"),
    "layer rank": (RULE, OWN + "layer_rank < theta", "{file}:8: rule.eliminate: 'layer_rank' is of level layer"),
    "another neuron": (RULE, OWN + "post_neighbour > 0", "{file}:8: rule.eliminate: unknown name 'post_neighbour'"),
    "subscript": (RULE, OWN + "post[3] > 0", "{file}:8: rule.eliminate: 'post[3] > 0': subscripts"),
    "code": (RULE, OWN + "__import__('os').system('true') > 0", "{file}:8: rule.eliminate:"),
    "bad check": ("moments: 5", "moments: 5\nchecks: [{name: c, value: circuit.acuracy, needs: '> 0'}]", "{file}:9: checks[0].value: 'circuit.acuracy' is not measured (did you mean 'circuit.accuracy'?)"),
    "check of no rival": ("moments: 5", "moments: 5\nchecks: [{name: c, value: circuit.accuracy, needs: '> rivals.snip.accuracy'}]", "{file}:9: checks[0].needs: 'rivals.snip.accuracy' is not measured"),
    "idle option": ("moments: 5", "moments: 5\nhomeostasis: [{kind: in-degree, target: 2}]", "{file}:9: homeostasis[0].target: in-degree has no target"),
    "no": ("replicates: 2", "replicates: no", "{file}:7: replicates: input should be a valid integer"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_in_a_scenario(what: str, cli: Cli, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, message = MISTAKES[what]
    assert old in TINY
    tiny.write_text(TINY.replace(old, new))
    monkeypatch.chdir(tmp_path)
    for command in (["run", str(tiny)], ["validate", str(tiny)]):
        code, out, err = cli(*command)
        assert code == 2
        assert message.format(file=tiny) in err, err
        assert len(err.strip().splitlines()) == 1 and "Traceback" not in err + out
    assert not (tmp_path / "runs").exists()


def test_refusals_say_what_may_be_read(cli: Cli, tiny: Path) -> None:
    tiny.write_text(TINY.replace(RULE, OWN + "gradient > 0"))
    assert "eliminate may read: age, degree_post" in cli("validate", str(tiny))[2]


def test_every_mistake_is_told_at_once(cli: Cli, tiny: Path) -> None:
    tiny.write_text(TINY.replace("epochs: 2", "epoch: 2").replace("density: 0.3", "density: 1.7").replace("replicates", "replicate"))
    err = cli("validate", str(tiny))[2]
    assert len(err.strip().splitlines()) == 3 and all(f":{line}:" in err for line in (3, 5, 7))
    rule = "rule:\n  state: {tag: 0}\n  synapse: [tag = psot]\n  eliminate: tag == 1\n"
    tiny.write_text(TINY.replace("epochs: 2", "epoch: 2").replace(RULE + "\n", rule))
    err = cli("validate", str(tiny))[2]
    assert len(err.strip().splitlines()) == 3 and "drive.epoch" in err and "'psot'" in err and "'=='" in err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rule.patience=5", "--set rule.patience=5: rule.patience"),
        ("schedule.densty=0.1", "--set schedule.densty=0.1: schedule.densty: unknown key (did you mean 'density'?)"),
        ("nonsense", "expected key=value"),
        ("name.first=x", "there is no"),
        ("rivals.7=random", "there is no"),
    ],
)
def test_mistakes_in_a_setting(setting: str, message: str, cli: Cli, tiny: Path) -> None:
    code, _, err = cli("validate", str(tiny), "--set", setting)
    assert code == 2 and message in err


def test_damaged_data_leaves_no_run(cli: Cli, tiny: Path, idx_folder: Path, tmp_path: Path) -> None:
    labels = idx_folder / "train-labels-idx1-ubyte"
    whole = labels.read_bytes()
    for harm, words in ((lambda: labels.write_bytes(whole[:-3]), "truncated"), (lambda: poison(idx_folder), "NaN")):
        labels.write_bytes(whole)
        harm()
        code, _, err = cli(
            "run", str(tiny), "--set", f"drive.dataset={idx_folder}", "--set", "drive.train_size=null", "--out", str(tmp_path / "r")
        )
        assert code == 2 and words in err and len(err.strip().splitlines()) == 1
        assert not (tmp_path / "r").exists()


def poison(folder: Path) -> None:
    pixels = np.zeros((200, 28, 28), np.float32)
    pixels[5, 0, 0] = np.nan
    write_idx(folder / "train-images-idx3-ubyte.gz", pixels)


def test_folders_that_are_not_ours(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    code, _, err = cli("run", str(tiny), "--out", str(tmp_path / "mine"))
    assert code == 2 and "other files" in err and (tmp_path / "mine" / "thesis.tex").read_text() == "precious"
    for command in (["analyse", "survivors", str(tmp_path)], ["report", str(tmp_path)], ["compare", str(tmp_path), str(tmp_path)]):
        code, _, err = cli(*command)
        assert code == 2 and "not a run directory" in err
    assert cli("analyse", "survivers", str(tmp_path))[0] == 2
    code, _, err = cli("run", "no-such-scenario")
    assert code == 2 and "there are: " in err
    code, _, err = cli("run", str(tiny), "--device", "tpu")
    assert code == 2 and "cpu and cuda" in err


def test_a_broken_model_names_its_line(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    model = tmp_path / "own.py"
    for text, words in (
        ("x = 1\nraise RuntimeError('oops')\n", "own.py:2"),
        ("def build(:\n", "own.py:1"),
        ("x = 1\n", "no function build"),
    ):
        model.write_text(text)
        tiny.write_text(TINY.replace("name: mlp, hidden: [24, 16]", f"name: {model}"))
        code, _, err = cli("validate", str(tiny))
        assert code == 2 and words in err and "Traceback" not in err


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_scenarios_are_read_without_a_mistake(path: Path) -> None:
    from biosim.scenario import read_scenario

    assert read_scenario(path).spec.name == path.stem


def test_a_file_that_lies_beside_is_told(cli: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.parent)
    code, _, err = cli("validate", "tiny")
    assert code == 2 and "write ./tiny.yaml" in err
