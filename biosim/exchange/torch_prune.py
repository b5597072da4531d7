"""A ``state_dict`` as ``torch.nn.utils.prune`` leaves it: ``0.weight_orig`` and ``0.weight_mask``, one pair a layer.

Written as safetensors, since ``torch.save`` pickles. To load it, prune a Sequential of the same layers with
``torch.nn.utils.prune.identity`` and call ``load_state_dict(safetensors.torch.load_file(PATH))``. Neurons' gains are
multiplied into ``weight_orig``, so the module computes what the circuit does. Read back too: any state dict of a chain of
Linear layers without bias, pruned or not.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biosim.circuit import Circuit
from biosim.errors import BiosimError
from biosim.exchange.base import Format, Imported, Records, check_described
from biosim.exchange.own import header
from biosim.rundir.circuit_file import assemble, describe

ENDINGS = ("weight_orig", "weight_mask", "weight", "bias")


def _recognise(path: Path) -> bool:
    if path.suffix != ".safetensors":
        return False
    about = header(path)
    own = about.get("__metadata__")
    return not (isinstance(own, dict) and "biosim" in own) and any(k.split(".")[-1] in ENDINGS[:3] for k in about)


def _write(circuit: Circuit, path: Path, records: Records) -> None:
    from safetensors.torch import save_file
    from torch import nn

    from biosim.torch_bridge import to_torch_prune

    layers: list[nn.Module] = []
    sizes = [size for _, size, _ in circuit.populations]
    for (pre, post), (_, _, activation) in zip(itertools.pairwise(sizes), circuit.populations[1:], strict=True):
        layers.append(nn.utils.skip_init(nn.Linear, pre, post, bias=False))  # type: ignore[no-untyped-call]
        nn.init.zeros_(layers[-1].weight)  # type: ignore[arg-type]
        if activation != "linear":
            layers.append(nn.ReLU() if activation == "relu" else nn.Tanh())
    pruned = to_torch_prune(circuit, nn.Sequential(*layers))
    about = {k: v for k, v in describe(circuit).items() if k != "provenance"} | {"layers": str(nn.Sequential(*layers))}
    save_file({k: v.contiguous() for k, v in pruned.state_dict().items()}, path, {"torch-prune": json.dumps(about, sort_keys=True)})


def _read(path: Path) -> Imported:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get("torch-prune")
            names = sorted(file.keys(), key=lambda n: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", n)])
            found = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise BiosimError(f"{path}: not a safetensors file that can be read: {error}") from None
    layers: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]] = []
    notes = []
    for name, tensor in found.items():
        place, _, what = name.rpartition(".")
        if what == "bias" and tensor.any():
            raise BiosimError(f"{path}: '{name}' is not zero, and biosim's neurons have no bias")
        if what in ("weight_orig", "weight"):
            layers.append(_layer(path, name, tensor, found.get(f"{place}.weight_mask")))
            if tensor.dtype != np.float32:
                notes.append(f"'{name}' was turned from {tensor.dtype} into float32")
        elif what not in ENDINGS:
            raise BiosimError(f"{path}: '{name}' is no weight, weight_orig, weight_mask or bias of a Linear layer")
    return Imported(_circuit(path, layers, None if text is None else json.loads(text)), tuple(notes))


def _layer(
    path: Path, name: str, weight: npt.NDArray[Any], mask: npt.NDArray[Any] | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return weights and mask as (1, pre, post)."""
    kept = np.ones(weight.shape) if mask is None else mask
    if weight.ndim != 2 or weight.dtype.kind != "f" or not np.isfinite(weight).all():
        raise BiosimError(f"{path}: '{name}' of shape {weight.shape} and type {weight.dtype} is no (out, in) matrix of finite weights")
    if kept.shape != weight.shape or not np.isin(kept, (0, 1)).all():
        raise BiosimError(f"{path}: the mask of '{name}' is to hold 0 and 1 in the shape {weight.shape}")
    return np.ascontiguousarray(weight.T[None], np.float32), np.ascontiguousarray(kept.T[None] == 1)


def _circuit(path: Path, layers: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]], about: dict[str, Any] | None) -> Circuit:
    if not layers:
        raise BiosimError(f"{path}: it holds no layer")
    sizes = [layers[0][0].shape[1], *(weight.shape[2] for weight, _ in layers)]
    for k, (weight, _) in enumerate(layers):
        if weight.shape[1] != sizes[k]:
            raise BiosimError(f"{path}: layer {k} takes {weight.shape[1]} inputs, and the layer before has {sizes[k]} outputs")
    names = ["input", *(f"hidden{i}" for i in range(1, len(layers))), "output"]
    kinds = ["linear", *["relu"] * (len(layers) - 1), "linear"]
    if about is None:
        about = {"populations": list(zip(names, sizes, kinds, strict=True))}
        about["projections"] = [(f"{a}-{b}", a, b) for a, b in itertools.pairwise(names)]
    about["provenance"] = {"scorer": "torch.nn.utils.prune", "locality": "unknown", "file": path.name}
    check_described(path, about)
    arrays: dict[str, npt.NDArray[Any]] = {f"{n}.gain": np.ones((1, int(s)), np.float32) for n, s, _ in about["populations"]}
    for (name, _, _), (weight, mask) in zip(about["projections"], layers, strict=True):
        arrays |= {f"{name}.weight": weight, f"{name}.mask": mask, f"{name}.born": np.ones_like(mask)}
    return assemble(about, arrays)


FORMAT = Format(
    "torch-prune",
    "weight_orig and weight_mask of torch.nn.utils.prune, as safetensors; loaded by load_state_dict",
    "one replicate of a chain of populations: masks, all birth weights with the gains multiplied in; every pair counts as born",
    ".safetensors",
    _recognise,
    _write,
    _read,
)
