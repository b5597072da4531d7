"""The spiking engine against Brian2's C++ standalone and NEST, in one table, each engine in a process of its own.

    python benchmarks/spiking.py [--sizes 1000 4000] [--seconds .5] [--peers brian2 brian2-traces nest] [--survivors 1 .5 .1]
    python benchmarks/spiking.py --figure docs/spiking-survivors.png       # cost against survivors, next to neurons alone
    python benchmarks/spiking.py --scale                                   # N = 20,000, 2e8 plastic synapses; needs 10 GiB

Workload: N integrate-and-fire neurons (tau 20 ms, threshold 20 mV, refractory 2 ms, dt .1 ms), Poisson input of .95 spikes/ms and 1 mV,
random recurrent synapses (p .5, delay 1 ms) under additive pair STDP with hard bounds (lambda .01, alpha 1.05, tau 20 ms), about 17 Hz.

``seconds`` are processor seconds a biological second, without building, compiling or birth: with one thread that is wall time on a machine
that does nothing else. ``brian2`` is the textbook form (traces in the synapses), ``brian2-traces`` keeps them in the neurons; ``dead``
carries its dead synapses (weight 0) as Brian2's users must. Its program reads the processor's clock around the run alone, after its
synapses have been built. Peers at fewer survivors are built anew with those only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RULE = {
    "role": "plasticity",
    "parameters": {"tau_plus": "20 ms", "tau_minus": "20 ms", "a_plus": 0.01, "a_minus": 0.0105, "w_max": 1},
    "traces": ["dx_pre/dt = -x_pre/tau_plus", "dy_post/dt = -y_post/tau_minus"],
    "on_spike": {"x_pre": "x_pre + 1", "y_post": "y_post + 1"},
    "on_pre": ["weight = clip(weight - a_minus*y_post, 0, w_max)"],
    "on_post": ["weight = clip(weight + a_plus*x_pre, 0, w_max)"],
}
STRENGTH = 5.0  # mV divided by N: what a synapse of weight 1 adds
WARM = 0.05
OURS = ("neurons", "biosim", "biosim-general")
PEERS = ("brian2", "brian2-traces", "brian2-traces dead", "nest")


def peak() -> float:
    """Return the largest resident size of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def biosim(n: int, seconds: float, kept: float, general: bool, neurons: bool) -> dict[str, float]:
    import numpy as np

    from biosim.equations import parse_rule
    from biosim.spiking import Births, Network, PoissonDrive, Population, Projection
    from biosim.spiking.simulation import Simulation

    rule = {} if neurons else {"ee": parse_rule(RULE, "additive")}

    def build(size: int, probability: float) -> Simulation:
        births = Births.random(size, size, probability, [0], 0.5, loops=False)
        projections = [] if neurons else [Projection("ee", "e", "e", births, delay=1e-3, scale=STRENGTH / n)]
        network = Network([Population("e", size)], projections, [PoissonDrive("e", 950.0, 1.0)])
        return Simulation(network, rule, [0], record=[], defer={"ee": not general} if rule else None)

    small = build(50, 0.5)
    small.run(WARM)  # compiles
    if not neurons:
        small.eliminate("ee", [np.arange(small.survivors("ee")[0]) % 2 == 0])
    simulation = build(n, 0.5)
    simulation.run(WARM)
    found = {}
    if kept < 1 and not neurons:
        doomed = np.random.default_rng(0).random(int(simulation.survivors("ee")[0])) >= kept
        began = time.process_time()
        simulation.eliminate("ee", [doomed])
        found["eliminating"] = time.process_time() - began
    before, began, wall = simulation.counts("e"), time.process_time(), time.perf_counter()
    simulation.run(seconds)
    found |= {"seconds": (time.process_time() - began) / seconds, "wall": (time.perf_counter() - wall) / seconds}
    if not neurons:
        found["bytes"] = sum(simulation.memory("ee").values())
    return found | {"rate": float((simulation.counts("e") - before)[0] / n / seconds), "peak": peak()}


def brian(n: int, seconds: float, kept: float, traces: bool, dead: bool) -> dict[str, float]:
    import brian2 as b2

    folder = tempfile.mkdtemp(prefix="biosim-benchmark-")
    b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
    b2.defaultclock.dt = 0.1 * b2.ms
    b2.seed(1)
    extra = "dx/dt = -x/(20*ms) : 1\ndy/dt = -y/(20*ms) : 1" if traces else ""
    cell = b2.NeuronGroup(
        n,
        f"dv/dt = -v/(20*ms) : 1 (unless refractory)\n{extra}",
        threshold="v > 20",
        reset="v = 0\nx += 1\ny += 1" if traces else "v = 0",
        refractory=2 * b2.ms,
        method="exact",
    )
    cell.v = "20*rand()"  # no transient from rest
    noise = b2.PoissonInput(cell, "v", 1, 950 * b2.Hz, 1)
    scale = STRENGTH / n
    names = {"scale": scale, "ap": 0.01, "am": 0.0105}
    if traces:  # the presynaptic trace rises when the neuron spikes; both are kept by the neurons, as a user in need of speed writes it
        model, pre = "w : 1\nalive : 1 (constant)", "v_post += scale*alive*w\nw = clip(w - am*y_post, 0, 1)"
        post = "w = clip(w + ap*x_pre, 0, 1)"
    else:
        model = "w : 1\nalive : 1 (constant)\ndx/dt = -x/(20*ms) : 1 (event-driven)\ndy/dt = -y/(20*ms) : 1 (event-driven)"
        pre = "v_post += scale*alive*w\nx += 1\nw = clip(w - am*y, 0, 1)"
        post = "y += 1\nw = clip(w + ap*x, 0, 1)"
    synapses = b2.Synapses(cell, cell, model, on_pre=pre, on_post=post, namespace=names, delay=1 * b2.ms)
    synapses.connect(condition="i != j", p=0.5 if dead else 0.5 * kept)
    synapses.w, synapses.alive = 0.5, 1
    if dead:
        synapses.alive = "int(rand() < kept)"
        names["kept"] = kept
        synapses.w = "0.5*alive"
    spikes = b2.SpikeMonitor(cell, record=False)
    network = b2.Network(cell, noise, synapses, spikes)
    b2.device.insert_code("before_network_run", "std::clock_t benchmark_began = std::clock();")
    b2.device.insert_code(
        "after_network_run",
        'std::ofstream("results/processor.txt") << double(std::clock() - benchmark_began) / CLOCKS_PER_SEC;',
    )
    network.run(seconds * b2.second, namespace={"kept": kept})
    b2.device.build(directory=folder, compile=True, run=False, debug=False)
    process = subprocess.Popen(["./main"], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"brian2's program ended with status {status}")
    results = Path(folder) / "results"
    wall, used = (float((results / name).read_text().split()[0]) for name in ("last_run_info.txt", "processor.txt"))  # s, the run alone
    import numpy as np

    counts = next(results.glob("*spikemonitor*_count*"))
    rate = float(np.fromfile(counts, np.int32).sum() / n / seconds)
    return {"seconds": used / seconds, "wall": wall / seconds, "peak": usage.ru_maxrss / 1024, "rate": rate}


def nest(n: int, seconds: float, kept: float) -> dict[str, float]:
    try:
        import nest as simulator
    except ImportError:
        raise SystemExit("NEST is missing: pip install 'biosim[nest]'") from None
    simulator.set_verbosity("M_ERROR")
    simulator.ResetKernel()
    simulator.SetKernelStatus({"resolution": 0.1, "local_num_threads": 1})
    settings = {"tau_m": 20.0, "V_th": 20.0, "E_L": 0.0, "V_reset": 0.0, "V_m": 0.0, "t_ref": 2.0, "C_m": 1.0, "tau_minus": 20.0}
    cells = simulator.Create("iaf_psc_delta", n, settings)
    noise = simulator.Create("poisson_generator", params={"rate": 950.0})
    simulator.Connect(noise, cells, syn_spec={"weight": 1.0, "delay": 0.1})
    top = STRENGTH / n
    synapse = {"synapse_model": "stdp_synapse", "weight": top / 2, "delay": 1.0, "Wmax": top, "lambda": 0.01, "alpha": 1.05}
    synapse |= {"mu_plus": 0.0, "mu_minus": 0.0, "tau_plus": 20.0}
    simulator.Connect(cells, cells, {"rule": "pairwise_bernoulli", "p": 0.5 * kept, "allow_autapses": False}, synapse)
    counter = simulator.Create("spike_recorder")
    simulator.Connect(cells, counter)
    simulator.Simulate(WARM * 1000)
    before, began, wall = counter.n_events, time.process_time(), time.perf_counter()
    simulator.Simulate(seconds * 1000)
    own = {"seconds": (time.process_time() - began) / seconds, "wall": (time.perf_counter() - wall) / seconds}
    return own | {"rate": (counter.n_events - before) / n / seconds, "peak": peak()}


def one(engine: str, n: int, seconds: float, kept: float) -> dict[str, Any]:
    """Run one engine here."""
    if engine in OURS:
        return biosim(n, seconds, kept, engine == "biosim-general", engine == "neurons")
    if engine == "nest":
        return nest(n, seconds, kept)
    return brian(n, seconds, kept, "traces" in engine, "dead" in engine)


def apart(engine: str, n: int, seconds: float, kept: float) -> dict[str, Any]:
    """Run one engine in a process of its own."""
    command = [sys.executable, __file__, "--one", engine, "--sizes", str(n), "--seconds", str(seconds), "--survivors", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"  {engine}, N = {n}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}", flush=True)
        return {}
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def table(arguments: argparse.Namespace) -> None:
    head = f"{'engine':<22}{'N':>6}{'survivors':>11}{'seconds':>9}{'wall':>8}{'rate Hz':>9}{'peak MiB':>10}{'/ biosim':>10}  notes"
    print(head, "-" * len(head), sep="\n", flush=True)
    for n in arguments.sizes:
        for kept in arguments.survivors:
            ours = 0.0
            engines = [e for e in OURS if e != "neurons" or kept == arguments.survivors[0]]
            engines += [
                e for e in PEERS if e in arguments.peers or (e.endswith("dead") and kept < 1 and "brian2-traces" in arguments.peers)
            ]
            for engine in engines:
                found = apart(engine, n, arguments.seconds, kept)
                if not found:
                    continue
                ours = found["seconds"] if engine == "biosim" else ours
                ratio = f"{found['seconds'] / ours:10.1f}" if ours and engine != "biosim" else " " * 10
                notes = f"{found['bytes']:.0f} bytes a synapse" if "bytes" in found else ""
                notes += f", eliminating took {found['eliminating']:.3f} s" if "eliminating" in found else ""
                numbers = f"{found['seconds']:>9.3f}{found['wall']:>8.2f}{found['rate']:>9.1f}{found['peak']:>10.0f}"
                print(f"{engine:<22}{n:>6}{kept:>10.0%} {numbers}{ratio}  {notes}", flush=True)


def figure(arguments: argparse.Namespace) -> None:
    """Draw cost against survivors of the engine, with the neurons alone as the floor."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axis = plt.figure(figsize=(5.2, 3.6)).subplots()
    shares = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01]
    for colour, n in zip(("C0", "C3"), arguments.sizes, strict=False):
        floor = apart("neurons", n, arguments.seconds, 1)["seconds"]
        for engine, style in (("biosim", "o-"), ("biosim-general", "s:")):
            seconds = [apart(engine, n, arguments.seconds, kept)["seconds"] for kept in shares]
            print(engine, n, dict(zip(shares, seconds, strict=True)), "floor", floor, flush=True)
            path = "potentiation deferred" if engine == "biosim" else "general path"
            axis.loglog([100 * s for s in shares], seconds, style, color=colour, label=f"N = {n}, {path}", ms=4)
        axis.axhline(floor, color=colour, lw=0.8, ls="--")
        axis.text(100, floor, f"neurons alone, N = {n}", color=colour, fontsize=7, ha="right", va="bottom")
    axis.set_xlabel("synapses that survive (%)")
    axis.set_ylabel("processor seconds a biological second")
    axis.legend(fontsize=7, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    plt.tight_layout()
    plt.savefig(arguments.figure, dpi=150)


def scale() -> None:
    """Let 20,000 neurons with 2e8 plastic synapses be born and live one biological second."""
    import numpy as np

    from biosim.equations import parse_rule
    from biosim.spiking import Births, Network, PoissonDrive, Population, Projection
    from biosim.spiking.simulation import Simulation

    n, began = 20_000, time.perf_counter()
    births = Births.random(n, n, 0.5, [0], 0.5, loops=False)
    projection = Projection("ee", "e", "e", births, delay=1e-3, scale=STRENGTH / n)
    network = Network([Population("e", n)], [projection], [PoissonDrive("e", 950.0, 1.0)])
    simulation = Simulation(network, {"ee": parse_rule(RULE, "additive")}, [0], record=[])
    born = time.perf_counter() - began
    used, began = time.process_time(), time.perf_counter()
    simulation.run(1.0)
    lived, used = time.perf_counter() - began, time.process_time() - used
    rate, weights = simulation.counts("e")[0] / n, simulation.weights("ee")
    print(f"N = {n}, {len(weights):,} plastic synapses, path {simulation.plans['ee'].path}")
    print(f"born in {born:.1f} s; one biological second took {lived:.1f} s of wall time, {used:.1f} s of the processor; {rate:.1f} Hz")
    print(f"{sum(simulation.memory('ee').values()):.0f} bytes a synapse; peak {peak():.0f} MiB in all; mean weight {np.mean(weights):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--seconds", type=float, default=0.5, help="biological seconds timed")
    parser.add_argument("--survivors", type=float, nargs="+", default=[1.0, 0.5, 0.1])
    parser.add_argument("--peers", nargs="*", choices=("brian2", "brian2-traces", "nest"), default=["brian2", "brian2-traces", "nest"])
    parser.add_argument("--figure", help="draw cost against survivors into this file")
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.sizes[0], arguments.seconds, arguments.survivors[0])))
    elif arguments.figure:
        figure(arguments)
    elif arguments.scale:
        scale()
    else:
        table(arguments)


if __name__ == "__main__":
    main()
