"""To and from torch: births compute what the module does, a circuit written back what the circuit does."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_modules import assert_same, mlp, pruned_circuit

from biosim import (
    Circuit,
    Feedback,
    ImageDrive,
    Schedule,
    load_rule,
    network_from_torch,
    to_torch,
    to_torch_prune,
)
from biosim.develop import develop
from biosim.errors import InputError
from biosim.library import find, load_module
from biosim.rundir.circuit_file import circuit_bytes
from biosim.store import read_circuit

CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


@st.composite
def sequentials(draw: st.DrawFn) -> tuple[nn.Sequential, tuple[int, ...]]:
    """Draw a Sequential of convolutions, then Linears, with whatever does not matter strewn in between."""
    torch.manual_seed(draw(st.integers(0, 999)))
    layers: list[nn.Module] = []
    shape: tuple[int, ...] = (draw(st.integers(1, 3)), draw(st.integers(4, 7)), draw(st.integers(4, 7)))
    start = shape
    quiet = lambda: [m() for m in draw(st.lists(st.sampled_from([nn.Identity, nn.Dropout]), max_size=1))]  # noqa: E731
    act = lambda: [m() for m in draw(st.sampled_from([[], [nn.ReLU], [nn.Tanh], [nn.Identity, nn.Tanh]]))]  # noqa: E731
    for _ in range(draw(st.integers(0, 2))):
        groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
        out = groups * draw(st.integers(1, 3))
        dilation = draw(st.integers(1, 2))
        pad: Any = draw(st.sampled_from([0, 1, (1, 2), "valid"]))
        largest = 2 if min(shape[1:]) > dilation else 1  # a kernel must fit its input, whatever came before
        kernel = (draw(st.integers(1, largest)), draw(st.integers(1, largest)))
        conv = nn.Conv2d(shape[0], out, kernel, draw(st.integers(1, 2)), pad, dilation, groups, bias=False)
        if draw(st.booleans()):
            conv = nn.Conv2d(shape[0], out, draw(st.integers(1, 3)), padding="same", groups=groups, bias=False)
        shape = tuple(conv(torch.zeros(1, *shape)).shape[1:])
        layers += [conv, *quiet(), *act()]
    layers.append(nn.Flatten())
    size = int(np.prod(shape))
    for _ in range(draw(st.integers(1, 3))):
        after = draw(st.integers(1, 9))
        layers.append(nn.Sequential(nn.Linear(size, after, bias=False), *quiet(), *act()))
        size = after
    return nn.Sequential(*layers), start


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(max_examples=60, deadline=None)
@given(sequentials(), st.integers(1, 3))
def test_births_compute_what_the_module_computes(drawn: tuple[nn.Sequential, tuple[int, ...]], replicates: int) -> None:
    module, shape = drawn
    network = network_from_torch(module, shape, replicates)
    assert network.replicates == replicates
    for r in range(replicates):
        assert_same(Circuit.of(network, {}), module, shape, r)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(max_examples=30, deadline=None)
@given(sequentials(), st.integers(0, 99), st.booleans())
def test_a_circuit_written_back_computes_what_the_circuit_computes(
    drawn: tuple[nn.Sequential, tuple[int, ...]], seed: int, pruned: bool
) -> None:
    module, shape = drawn
    network = network_from_torch(module, shape, 2)
    circuit = pruned_circuit(network, seed)
    before = {n: p.clone() for n, p in module.state_dict().items()}
    written = (to_torch_prune if pruned else to_torch)(circuit, module, shape, 1)
    assert_same(circuit, written, shape, 1)
    assert all(torch.equal(p, before[n]) for n, p in module.state_dict().items())  # the user's own is left untouched


def test_a_convolution_is_born_with_its_receptive_fields_only() -> None:
    """Against plain loops over output positions and kernel entries."""
    conv = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), bias=False)
    network = network_from_torch(nn.Sequential(conv, nn.Flatten(), nn.Linear(3 * 3 * 4, 2, bias=False)), (2, 5, 5))
    p = network.projections["input-hidden1"]
    weight, born = np.zeros((50, 36), np.float32), np.zeros((50, 36), bool)
    for o in range(3):
        for y in range(3):
            for x in range(4):
                for c in range(2):
                    for i in range(3):
                        for j in range(2):
                            row, column = 2 * y - 1 + i, x + j
                            if 0 <= row < 5 and 0 <= column < 5:
                                pre, post = c * 25 + row * 5 + column, o * 12 + y * 4 + x
                                weight[pre, post], born[pre, post] = conv.weight[o, c, i, j].item(), True
    assert np.array_equal(p.born[0].numpy(), born)
    assert np.array_equal(p.weight[0].numpy(), weight)
    assert p.fan_in[0].max() == 2 * 3 * 2 and p.fan_in[0].min() == 2 * 2 * 2  # smaller at the padded edge


def test_synapses_of_a_convolution_are_unshared_and_births_stay_within_the_fields(images: Any) -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4, bias=False))
    network = network_from_torch(module, (1, 6, 6), 2)
    drive = ImageDrive(images, batch=16, epochs=4)
    made = develop(
        network,
        drive,
        load_rule("three-factor"),
        schedule=Schedule(density=0.5),
        feedback=Feedback(network, "random", (0, 1)),
        seeds=(0, 1),
    )
    mask, born = made.circuit.mask["input-hidden1"], made.circuit.born["input-hidden1"]
    assert not (mask & ~born).any() and (mask.sum((1, 2)) == born[0].sum() // 2).all()
    kept = mask[0].T[born[0].T].reshape(64, 9)  # the taps of each output neuron
    assert len(np.unique(kept[:16], axis=0)) > 1  # positions of one channel keep different taps
    assert_same(made.circuit, to_torch(made.circuit, module, (1, 6, 6), 1), (1, 6, 6), 1)


def test_one_module_a_replicate() -> None:
    modules = [mlp(6, 5, 3) for _ in range(3)]
    circuit = Circuit.of(network_from_torch(modules, 6), {})
    for r, module in enumerate(modules):
        assert_same(circuit, module, (6,), r)


def test_a_lone_layer_will_do() -> None:
    for module, shape in ((nn.Linear(6, 3, bias=False), (6,)), (nn.Conv2d(1, 2, 2, bias=False), (1, 3, 4))):
        circuit = pruned_circuit(network_from_torch(module, shape))
        assert circuit.projections == (("input-output", "input", "output"),)
        assert_same(circuit, to_torch(circuit, module, shape), shape)


def test_a_softmax_at_the_end_is_left_to_the_reader() -> None:
    module = nn.Sequential(*mlp(6, 5, 3), nn.Softmax(dim=1))
    circuit = Circuit.of(network_from_torch(module), {})
    assert_same(circuit, module[:-1], (6,))
    assert isinstance(to_torch(circuit, module)[-1], nn.Softmax)


def test_a_zero_bias_is_no_bias() -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    for layer in (module[0], module[2]):
        nn.init.zeros_(layer.bias)
    circuit = pruned_circuit(network_from_torch(module, 6))
    written = to_torch(circuit, module)
    assert_same(circuit, written, (6,))
    assert [n for n, _ in written.named_parameters()] == [n for n, _ in module.named_parameters()]


class Own(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


SHARED = nn.Linear(6, 6, bias=False)
BAD: list[tuple[nn.Module, Any, str]] = [
    (nn.Sequential(nn.Linear(6, 3)), 6, r"layer 0 \(Linear\) has a bias.*bias=False"),
    (nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 6, 6), r"layer 0 \(Conv2d\) has a bias"),
    (mlp(6, 5, 3), 7, "layer 0.*6 inputs and gets 7"),
    (mlp(6, 5, 3), (1, 6, 1), "put a Flatten before it"),
    (mlp(6, 5, 3), (0,), "input_shape is the shape of one sample"),
    (nn.Sequential(nn.Conv2d(2, 2, 3, bias=False)), (1, 6, 6), r"\(2, height, width\) and gets \(1, 6, 6\)"),
    (nn.Sequential(nn.Conv2d(1, 2, 7, bias=False)), (1, 6, 6), "kernel spans 7 and the padded input has 6"),
    (nn.Sequential(nn.Conv2d(1, 2, 3, bias=False)), None, "say input_shape"),
    (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular", bias=False)), (1, 6, 6), "pads with 'circular'"),
    (nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.AvgPool2d(2)), (1, 6, 6), r"layer 1 \(AvgPool2d\).*groups=C"),
    (nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.MaxPool2d(2)), (1, 6, 6), r"layer 1 \(MaxPool2d\).*stride"),
    (nn.Sequential(nn.Linear(6, 3, bias=False), nn.BatchNorm1d(3)), 6, r"layer 1 \(BatchNorm1d\)"),
    (nn.Sequential(nn.Linear(6, 3, bias=False), nn.GELU()), 6, r"layer 1 \(GELU\).*there are: Linear"),
    (nn.Sequential(nn.Linear(6, 3, bias=False), nn.Sequential(nn.Identity(), Own())), 6, r"layer 1.1 \(Own\)"),
    (nn.Sequential(nn.ReLU(), nn.Linear(6, 3, bias=False)), 6, r"layer 0 \(ReLU\) must follow"),
    (nn.Sequential(nn.Linear(6, 3, bias=False), nn.ReLU(), nn.Tanh()), 6, r"layer 2 \(Tanh\) must follow"),
    (nn.Sequential(nn.Linear(6, 3, bias=False), nn.Softmax(1), nn.Linear(3, 2, bias=False)), 6, r"layer 2 \(Linear\) comes after layer 1 \(Softmax\)"),
    (nn.Sequential(nn.Flatten(0), nn.Linear(6, 3, bias=False)), 6, "merges the samples"),
    (nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Linear(6, 3, bias=False)), 6, r"layer 0 \(Unflatten\) cannot take"),
    (nn.Sequential(SHARED, nn.ReLU(), SHARED), 6, r"layer 2 \(Linear\) is layer 0 again"),
    (nn.utils.parametrizations.weight_norm(nn.Linear(6, 3, bias=False)), 6, "expected a torch.nn.Sequential|parametrized"),
    (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 3, bias=False))), 6, "Parametrized|parametrized"),
    (Own(), 6, "expected a torch.nn.Sequential, not Own"),
    (nn.Sequential(nn.Flatten()), 6, "nothing to be born"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "shape", "message"), BAD, ids=range(len(BAD)))
def test_what_has_no_counterpart_is_named(module: nn.Module, shape: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        network_from_torch(module, shape)


def test_replicates_must_fit_the_modules() -> None:
    with pytest.raises(InputError, match="no module"):
        network_from_torch([])
    with pytest.raises(InputError, match="one a replicate"):
        network_from_torch([mlp(4, 3), mlp(4, 3)], 4, 3)
    with pytest.raises(InputError, match="replicate 1 has other layers"):
        network_from_torch([mlp(4, 3), mlp(4, 2)], 4)


def test_circuits_and_modules_must_fit() -> None:
    module = mlp(6, 5, 3)
    circuit = Circuit.of(network_from_torch(module), {})
    with pytest.raises(InputError, match="6 linear -> 5 relu -> 3 linear, the module's 6 linear -> 4 relu"):
        to_torch(circuit, mlp(6, 4, 3))
    with pytest.raises(InputError, match="1 replicates, counted from 0, and none is 1"):
        to_torch(circuit, module, replicate=1)
    with pytest.raises(InputError, match="'fold' or 'leave-out'"):
        to_torch_prune(circuit, module, gains="no")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="settles"):
        to_torch(replace(circuit, leak={"hidden1": 0.5}, steps=3), module)


READER = """
import json, sys, torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune
tensors = load_file(sys.argv[1])
layers = []
for name in sys.argv[2:]:
    post = name.split("-")[1]
    w, m, g = tensors[name + ".weight"][0], tensors[name + ".mask"][0], tensors[post + ".gain"][0]
    layer = nn.Linear(*w.shape, bias=False)
    layer.weight.data = (w * g).T.contiguous()
    prune.custom_from_mask(layer, "weight", m.T)
    layers += [layer, nn.ReLU()]
assert "biosim" not in sys.modules
x = torch.linspace(-1, 1, 27).view(3, 9)
print(json.dumps({"kept": [int(tensors[n + ".mask"].sum()) for n in sys.argv[2:]], "reply": nn.Sequential(*layers[:-1])(x).tolist()}))
"""


def test_files_are_readable_without_biosim(tmp_path: Path) -> None:
    """Another process, with safetensors and torch alone, applies the masks and computes what the circuit does."""
    circuit = pruned_circuit(network_from_torch(mlp(9, 8, 3)))
    path = tmp_path / "circuit.safetensors"
    path.write_bytes(circuit_bytes(circuit))
    names = [n for n, _, _ in circuit.projections]
    done = subprocess.run([sys.executable, "-I", "-c", READER, str(path), *names], check=True, capture_output=True, text=True, cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["kept"] == [int(circuit.mask[n].sum()) for n in names]
    x = np.linspace(-1, 1, 27, dtype=np.float32).reshape(3, 9)
    np.testing.assert_allclose(found["reply"], circuit.respond(x)[0], **CLOSE)


MODEL = """
import torch
from torch import nn
from biosim import network_from_torch

def build(inputs, outputs, seeds, *, hidden: int = 20):
    modules = []
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            modules.append(nn.Sequential(nn.Linear(inputs, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, outputs, bias=False)))
    return network_from_torch(modules, inputs)
"""


# of 8 x 8 pixels; a 3 x 3 kernel at stride 2 meets 2 + 3 + 3 + 3 rows, then 2 + 3
MODELS = {"my_net.py": ("hidden: 24", 64 * 24 + 24 * 10), "local-cnn": ("channels: [4, 6]", 11**2 * 4 + 5**2 * 4 * 6 + 6 * 2 * 2 * 10)}


@pytest.mark.parametrize("model", MODELS)
def test_a_scenario_runs_with_a_torch_model(model: str, cli: Any, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text(MODEL)
    name, (options, births) = str(tmp_path / model) if model.endswith(".py") else model, MODELS[model]
    tiny.write_text(tiny.read_text().replace("{name: mlp, hidden: [24, 16]}", f"{{name: {name}, {options}}}"))
    code, out, err = cli("run", str(tiny), "--json", "--out", str(tmp_path / "run"))
    assert code == 0, err
    rows = json.loads(out.splitlines()[-1])["table"]
    circuit = read_circuit(tmp_path / "run" / "circuit.safetensors")
    assert circuit.births().tolist() == [births] * 2
    assert [r["method"] for r in rows] == ["three-factor", "edge-popup", "random"]
    assert all(r["density"] == pytest.approx([0.3] * 2, abs=0.002) for r in rows)
    first = circuit.projections[0][0]
    assert not np.array_equal(circuit.weight[first][0], circuit.weight[first][1])  # each replicate has births of its own


def test_a_model_that_cannot_be_born_is_reported_where_it_is_named(cli: Any, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(MODEL.replace("bias=False", "bias=True"))
    tiny.write_text(tiny.read_text().replace("{name: mlp, hidden: [24, 16]}", f"{{name: {tmp_path / 'bad.py'}}}"))
    code, _, err = cli("run", str(tiny), "--out", str(tmp_path / "run"))
    assert code == 2 and "has a bias" in err and "tiny.yaml:2" in err


def test_the_example_asks_for_the_shape_of_images_that_are_not_square() -> None:
    build = load_module(find("models", "local-cnn")).build
    with pytest.raises(InputError, match="channels, height and width"):
        build(48, 4, [0])
    with pytest.raises(InputError, match="must be positive"):
        build(36, 4, [0], channels=[])
    network = build(48, 4, [0, 1], image=[3, 4, 4], channels=[2], stride=1)
    assert [p.size for p in network.populations.values()] == [48, 2 * 4 * 4, 4] and network.replicates == 2
