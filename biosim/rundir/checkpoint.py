"""A state as one file, and the checkpoints of a run: what is finished, and what is at work.

The file is safetensors: arrays, and JSON in its metadata. It holds its own SHA-256 (taken with zeros in that place), so a file that
was cut off or changed is known by itself. It is data: nothing in it is executed, and no array is made before its size was
found to be within the file. Of a run it is

    checkpoints/STAGE.done.safetensors     a stage that is finished: never done again
    checkpoints/work.safetensors           the stage at work, and before.safetensors, its checkpoint before that

Times are taken on the monotonic clock: setting the computer's clock changes nothing.
"""

from __future__ import annotations

import re
import shutil
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from biosim.errors import BiosimError, DamageError, Interrupted, Notice
from biosim.rundir import interrupts
from biosim.rundir.files import refusal
from biosim.rundir.state_file import read_state, write_state
from biosim.state import State

EVERY = 30.0  # seconds between two checkpoints
RARER = 50  # a checkpoint that takes long is made so much more rarely: never more than a fiftieth of the time goes there


class Checkpoints:
    """What a run has finished and what it is at.

    Parameters
    ----------
    folder : Path
        Made when the first checkpoint is.
    run : str
        The run's id; a checkpoint of another run is none of this one's.
    every : float
        Seconds between two checkpoints of the stage at work; 0: after every step.
    loaded : callable, optional
        Called with the records that went with a checkpoint when one is loaded.

    Attributes
    ----------
    lines : list of str
        Records of the run so far, one a line; kept with every checkpoint.
    """

    def __init__(self, folder: Path, run: str, every: float = EVERY, loaded: Callable[[list[str]], None] | None = None) -> None:
        self.folder, self.run, self.every, self.loaded = folder, run, every, loaded
        self.lines: list[str] = []
        self.whole = False  # whether ``work`` is known to be what was written
        self.began, self.earlier = time.monotonic(), 0.0
        self.work, self.before = folder / "work.safetensors", folder / "before.safetensors"

    def seconds(self) -> float:
        """Return the seconds this run has worked, those before it was stopped too, as far as they count for its results."""
        return self.earlier + time.monotonic() - self.began

    def path(self, stage: str) -> Path:
        """Return where the result of a finished stage is kept."""
        return self.folder / f"{re.sub('[^A-Za-z0-9.]+', '-', stage)[:60]}.{zlib.crc32(stage.encode()):08x}.done.safetensors"

    def done(self, stage: str) -> State | None:
        """Return what a stage came to when it is finished, else None; a damaged file is named, and the stage is done again."""
        path = self.path(stage)
        return self._read(path, stage, "that stage is done again") if path.exists() else None

    def finish(self, stage: str, state: State) -> None:
        """Keep what a stage came to."""
        self._write(self.path(stage), stage, state)
        self.whole = False
        for path in (self.work, self.before):
            with suppress(OSError):
                path.unlink()

    def steps(self, stage: str, work: Callable[[AtWork], State]) -> State:
        """Return what a stage comes to that goes on in steps: kept from before, or by ``work``, from where it was."""
        found = self.done(stage)
        if found is None:
            with interrupts.postponed():
                found = work(AtWork(self, stage))
                self.finish(stage, found)
        return found

    def clear(self) -> None:
        """Remove all of it: the run is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- what AtWork asks for -------------------------------------------------------------------
    def latest(self, stage: str) -> Iterator[tuple[State, float]]:
        """Yield the states in which a stage was, with the seconds it had taken: the newest first, damaged ones left out."""
        for path, instead in ((self.work, "the one before it is used"), (self.before, "the stage begins anew")):
            if path.exists():
                state = self._read(path, stage, instead)
                if state is not None:
                    self.whole = path == self.work
                    yield state["state"], float(state["seconds"])

    def keep(self, stage: str, state: State, seconds: float) -> None:
        """Write a checkpoint of the stage at work; the last one becomes the one before."""
        if self.whole:  # a damaged one makes way only for a whole one
            self.whole = False
            try:
                self.work.replace(self.before)
            except OSError as error:
                raise refusal(self.work, error) from None
        self._write(self.work, stage, {"state": state, "seconds": seconds})
        self.whole = True

    def _write(self, path: Path, stage: str, state: State) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refusal(self.folder, error) from None
        about = {"run": self.run, "stage": stage, "seconds": self.seconds(), "lines": self.lines}
        try:
            write_state(path, about, state)
        except BiosimError as error:
            raise BiosimError(f"{error}. Make room, then: biosim resume {self.folder.parent}") from None

    def _read(self, path: Path, stage: str, instead: str) -> State | None:
        """Return the state in a file; None when it is damaged (which a notice says) or another stage's."""
        try:
            about, state = read_state(path)
            own = (str(about["run"]), str(about["stage"]))
            lines, seconds = [str(line) for line in about["lines"]], float(about["seconds"])
        except (DamageError, KeyError, TypeError, ValueError) as error:
            why = str(error) if isinstance(error, DamageError) else f"{path} is damaged: it lacks {error}"
            warnings.warn(f"{why}; {instead}", Notice, stacklevel=3)
            return None
        if own != (self.run, stage):
            return None
        self.lines[:] = lines
        self.earlier = max(self.earlier, seconds)
        if self.loaded is not None:
            self.loaded(self.lines)
        return state


class AtWork:
    """The keeper of a stage at work: :class:`biosim.state.Keeper`."""

    def __init__(self, checkpoints: Checkpoints, stage: str) -> None:
        self.checkpoints, self.stage = checkpoints, stage
        self.began, self.earlier = time.monotonic(), 0.0
        self.due = self.began + checkpoints.every
        self.spent = 0.0  # seconds on checkpoints

    def seconds(self) -> float:
        """Return the seconds that the stage has taken, those before the run was stopped too."""
        return self.earlier + time.monotonic() - self.began

    def load(self, restore: Callable[[State], None]) -> bool:
        """Give what was kept to ``restore``; return whether there was anything."""
        for state, seconds in self.checkpoints.latest(self.stage):
            self.take_over(state, seconds, restore)
            return True
        return False

    def take_over(self, state: State, seconds: float, restore: Callable[[State], None]) -> None:
        """Give a state to ``restore`` that was kept when the stage had taken so many seconds."""
        try:
            restore(state)
        except (DamageError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            why = f"{self.checkpoints.folder} holds no state of this run: {str(error) or type(error).__name__}"
            raise DamageError(f"{why}; --force begins anew") from None
        self.earlier, self.began = seconds, time.monotonic()

    def offer(self, state: Callable[[], State]) -> None:
        """Keep the state when it is time to, or when a signal asks to stop: then raise Interrupted."""
        stop = interrupts.asked()
        if stop or self.is_due():
            self.keep(state)
        if stop:
            raise Interrupted(stop)

    def is_due(self) -> bool:
        """Return whether it is time for a checkpoint."""
        return time.monotonic() >= self.due

    def keep(self, state: Callable[[], State]) -> None:
        """Keep a state now; taking it counts towards what checkpoints cost."""
        now = time.monotonic()
        self.checkpoints.keep(self.stage, state(), self.seconds())
        took = time.monotonic() - now
        self.spent += took
        self.due = now + took + (max(self.checkpoints.every, RARER * took) if self.checkpoints.every else 0.0)
