"""``biosim doctor``."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    compiled: Annotated[bool, typer.Option("--compile", help="compile the spiking engine now, so that no run has to wait for it")] = False,
) -> None:
    """Say what this installation has and lacks, and the command that adds it: packages, programs, threads, devices, data sets."""
    from biosim.doctor import diagnosis

    if compiled:
        from biosim.spiking.warm import compile_engine

        compile_engine()
    print("\n".join(diagnosis()))
