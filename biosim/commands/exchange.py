"""``biosim export`` and ``biosim import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from biosim.errors import BiosimError, did_you_mean


def export(
    source: Annotated[Path, typer.Argument(metavar="RUN", help="a run directory, or a circuit's file")],
    to: Annotated[
        str,
        typer.Option("--to", metavar="FORMAT", help="sonata, graphml, npz, safetensors, torch-prune, nir, nwb, edges; or a file.py"),
    ],
    circuit: Annotated[str, typer.Option(metavar="NAME", help="local, or the name of a rival")] = "local",
    replicate: Annotated[int | None, typer.Option(help="one replicate; all where the format carries them, else the first")] = None,
    out: Annotated[Path | None, typer.Option(help="where to write; RUN/exported/CIRCUIT... when left out")] = None,
    force: Annotated[bool, typer.Option(help="overwrite what is there")] = False,
) -> None:
    """Write a run's circuit for another program."""
    from biosim.exchange import find, write

    form = find(to, writing=True)
    found, records, folder = _source(source, circuit)
    if out is None:
        stem = circuit if source.is_dir() else source.stem
        out = folder / f"{stem}{(form.ending and '.' + form.name + form.ending) or '-' + form.name}"
    written = write(found, out, form, replicate, records, force)
    which = "all replicates" if written is None else f"replicate {written} of {found.replicates}"
    typer.echo(f"{out}: {which}; {form.carries}")


def _source(source: Path, circuit: str) -> tuple[Any, Any, Path]:
    """Return the circuit, the records of its development, and where exports go."""
    from biosim.exchange import read
    from biosim.rundir.artefacts import CIRCUIT
    from biosim.store import Run, open_run

    if source.is_dir() and not (source / "circuit_config.json").exists():
        run: Run = open_run(source)
        names = ["local", *run.rival_names]
        if circuit not in names:
            raise BiosimError(
                f"--circuit {circuit}: the run has no such circuit{did_you_mean(circuit, names)}; there are: {', '.join(names)}"
            )
        if run.kind == "spiking":
            from biosim.exchange.spiking import as_circuit

            return as_circuit(source, run.spiking_circuit), run.history, source / "exported"
        if run.kind != "development" and not (source / CIRCUIT).exists():
            raise BiosimError(f"{source} holds no circuit: it is a {run.kind} with the status '{run.about.get('status')}'")
        return (run.circuit, run.history, source / "exported") if circuit == "local" else (run.rival(circuit), (), source / "exported")
    if circuit != "local":
        raise BiosimError(f"--circuit {circuit}: {source} is a file of one circuit")
    return read(source)[0].circuit, (), source.parent


def import_(
    file: Annotated[Path, typer.Argument(help="a circuit, graph, edge list or matrix from elsewhere")],
    as_: Annotated[str | None, typer.Option("--as", metavar="FORMAT", help="what the file is, where it does not show")] = None,
    out: Annotated[Path | None, typer.Option(help="the circuit's file; FILE.circuit.safetensors when left out")] = None,
    force: Annotated[bool, typer.Option(help="overwrite what is there")] = False,
) -> None:
    """Read a circuit or a connectome from another program."""
    from biosim.exchange import read, write

    file = file if file.name else file.resolve()  # the folder one is in
    imported, form = read(file, as_)
    circuit = imported.circuit
    target = file.with_name(f"{file.stem if file.suffix else file.name}.circuit.safetensors") if out is None else out
    write(circuit, target, "safetensors", force=force)
    sizes = ", ".join(f"{n} {s}" for n, s, _ in circuit.populations)
    count = sum(int(m.sum()) for m in circuit.mask.values())
    where = f"{count} synapses in {len(circuit.projections)} projections"
    typer.echo(f"{file}: {form.name}, {circuit.replicates} replicates; populations {sizes}; {where}")
    for note in imported.notes:
        typer.echo(f"note: {note}")
    typer.echo(target)
