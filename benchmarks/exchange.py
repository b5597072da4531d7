"""Time and memory of saving, loading and exporting a circuit of many synapses; each step in a process of its own.

    python benchmarks/exchange.py [--side 10000] [--density 1.0] [--formats npz,safetensors,sonata] [--check]

The circuit is one projection of side x side births of which a share lives. Peak memory is that of the whole process, the
circuit and Python with torch included. With --check what was imported is compared with what was saved, bit for bit.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from biosim.circuit import Circuit
from biosim.errors import BiosimError

SAVED = "circuit.safetensors"


def made(side: int, density: float) -> Circuit:
    random = np.random.default_rng(0)
    weight = random.standard_normal((1, side, side), np.float32)
    weight[weight == 0] = 1  # a few: some formats take them for no synapse, and say so
    mask = np.ones(weight.shape, np.bool_) if density == 1 else random.random(weight.shape, np.float32) < density
    gain = {n: np.ones((1, side), np.float32) for n in ("input", "output")}
    name = "input-output"
    born = {name: np.ones(weight.shape, np.bool_)}
    populations = (("input", side, "linear"), ("output", side, "linear"))
    return Circuit(
        populations, ((name, "input", "output"),), {name: mask}, born, {name: weight}, gain, {"rule": "none", "locality": "synapse"}
    )


def step(what: str, folder: Path, side: int, density: float) -> None:
    """Do one step and print seconds and GiB."""
    from biosim.exchange import formats, read, write
    from biosim.rundir.circuit_file import circuit_bytes
    from biosim.rundir.files import write_atomic
    from biosim.store import read_circuit

    if what == "save":
        circuit = made(side, density)
        began = time.perf_counter()
        write_atomic(folder / SAVED, circuit_bytes(circuit))
    elif what == "load":
        began = time.perf_counter()
        read_circuit(folder / SAVED)
    elif what.startswith("check "):
        name = what.split()[1]
        began = time.perf_counter()
        compare(read_circuit(folder / SAVED), read(folder / f"sent-{name}{formats()[name].ending}", name)[0].circuit)
    elif what.startswith("import "):
        name = what.split()[1]
        began = time.perf_counter()
        read(folder / f"sent-{name}{formats()[name].ending}", name)
    else:
        name = what.split()[1]
        circuit = read_circuit(folder / SAVED)
        began = time.perf_counter()
        try:
            write(circuit, folder / f"sent-{name}{formats()[name].ending}", name)
        except BiosimError as error:
            print(f"refused: {error}")
            return
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    sent = [p for place in folder.glob(f"sent-{what.split()[-1]}*") for p in (place.iterdir() if place.is_dir() else [place])]
    size = sum(p.stat().st_blocks * 512 for p in sent)
    print(f"{seconds:6.1f} s  {peak:5.2f} GiB peak" + (f"  {size / 2**30:5.2f} GiB on disk" if size else ""))


def compare(sent: Circuit, arrived: Circuit) -> None:
    """Raise where survivors or their weights differ."""
    for name, mask in sent.mask.items():
        if not np.array_equal(mask, arrived.mask[name]):
            raise AssertionError(f"{name}: other synapses arrived")
        for row, alive, came in zip(sent.weight[name][0], mask[0], arrived.weight[name][0], strict=True):
            if not np.array_equal(row[alive].view(np.uint32), came[alive].view(np.uint32)):
                raise AssertionError(f"{name}: other weights arrived")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=10_000)
    parser.add_argument("--density", type=float, default=1.0)
    parser.add_argument("--formats", default="npz,safetensors,sonata,nir,torch-prune,graphml,edges,nwb")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(given.step[0], Path(given.step[1]), given.side, given.density)
        return
    steps = [
        "save",
        "load",
        *(f"{verb} {name}" for name in given.formats.split(",") for verb in ("export", "import", *["check"] * given.check)),
    ]
    print(f"{given.side} x {given.side} births, {given.density:g} of them alive")
    with tempfile.TemporaryDirectory() as folder:
        refused = set()
        for what in steps:
            if what.split()[-1] in refused:
                continue
            command = [sys.executable, __file__, "--side", str(given.side), "--density", str(given.density), "--step", what, folder]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            line = done.stdout.strip() or f"failed: {done.stderr.strip().splitlines()[-1]}"
            print(f"{what:20} {line}", flush=True)
            if line.startswith(("refused", "failed")):
                refused.add(what.split()[-1])


if __name__ == "__main__":
    main()
