"""Several processes of this machine for one run: started together, and ended together when one of them fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from biosim.errors import BiosimError, Interrupted

MEET = "BIOSIM_MEET"  # names the file where the processes of one machine meet
GRACE = 15.0  # seconds that the others have to end by themselves when one has failed
STOPPED = 130  # exit status of a process that was asked to stop and has kept what it has
LATER = 3.0  # seconds after which those that were told to end are made to


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def asked_for(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process was started as one of several: by :func:`launch`, or by torchrun."""
    return "RANK" in environment and environment.get("WORLD_SIZE", "1") != "1"


def again() -> str:
    """Return what the command that goes on with this run needs beside the run's folder."""
    return f" --processes {os.environ['WORLD_SIZE']}" if asked_for() else ""


def unless_started(processes: int) -> None:
    """Where several processes are asked for and this one was not started as one of them: start them, and end as they do."""
    if processes > 1 and not asked_for():
        sys.exit(launch(sys.argv[1:], processes))


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run ``biosim ARGUMENTS`` in so many processes; return the exit status, which is that of the first of them.

    The first one speaks; what the others say is only shown when it ends without a word.
    """
    threads = str(max(1, usable_cores() // processes))
    with tempfile.TemporaryDirectory(prefix="biosim-") as place:
        own = {"WORLD_SIZE": str(processes), MEET: str(Path(place) / "meet")}
        usual = {
            "OMP_NUM_THREADS": threads,
            "NUMBA_NUM_THREADS": threads,
            "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
        }
        children: list[subprocess.Popen[bytes]] = []
        with _handed_on(children):  # from the first on: were a later one not to start, nobody would end it
            for rank in range(processes):
                with (Path(place) / f"{rank}.txt").open("wb") as said:
                    shown, told = (subprocess.DEVNULL, said) if rank else (None, None)
                    environment = {**usual, **os.environ, **own, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                    command = [sys.executable, "-m", "biosim", *arguments]
                    try:
                        children.append(subprocess.Popen(command, env=environment, start_new_session=True, stdout=shown, stderr=told))
                    except OSError as error:
                        raise BiosimError(f"{processes} processes cannot be started: {error}") from None
            failed, ended = _wait(children)
        first = children[0].returncode
        if first >= 0 and (failed is None or (first and not ended)):
            return int(first)  # it has said what there was to say
        if failed is None:
            raise Interrupted("SIGTERM")  # another was asked to stop, and the first one had to be made to
        rank = failed or 0
        last = (Path(place) / f"{rank}.txt").read_text(errors="replace").strip()[-4000:]
        how = _end(children[rank].returncode)
        raise BiosimError(f"process {rank + 1} of {processes} {how}; the same command goes on where it was\n{last}".strip())


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> tuple[int | None, bool]:
    """Wait until all have ended, and end those that do not once one has failed or was stopped.

    Returns the one that failed, and whether others had to be ended.
    """
    failed: int | None = None
    ended, until = False, float("inf")
    while None in [child.poll() for child in children]:  # all are asked: one that has ended is only known when asked
        if failed is None:
            failed = next((k for k, child in enumerate(children) if child.returncode not in (None, 0, STOPPED)), None)
        if until == float("inf") and any(child.returncode for child in children):
            until = time.monotonic() + GRACE
        if time.monotonic() > until:
            _end_all(children)
            ended = True
        time.sleep(0.05)
    return failed, ended


def _end_all(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask those that are left to end, and make them."""
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(LATER)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def _handed_on(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Hand SIGTERM and Ctrl-C on, so that every process saves what it has; leave nobody behind."""

    def hand_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            with suppress(OSError):
                child.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if any(child.poll() is None for child in children):
            _end_all(children)


def _end(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
