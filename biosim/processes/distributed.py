"""A team of processes over torch.distributed: gloo between CPUs, nccl between CUDA devices.

Who takes part is in the environment, as torchrun leaves it: ``RANK``, ``WORLD_SIZE`` and where to meet, which is ``MASTER_ADDR`` and
``MASTER_PORT``, or for processes of one machine a file, ``BIOSIM_MEET``. A process that fails leaves word before it goes; the first
one waits for that, and tells it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from biosim.errors import BiosimError
from biosim.processes.launch import MEET

PATIENCE = "BIOSIM_PATIENCE"  # names how many seconds to wait for a process that neither answers nor ends, ...
PATIENT = 1800  # ... and what is waited otherwise
LAST_WORD = 3.0  # seconds that a process which failed may take to say why
ROWS = 1 << 26  # bytes handed on at a time when blocks are collected


class DesertedError(BiosimError):
    """Another process of the team is gone."""


class Processes:
    """The processes, as one of them sees them: :class:`biosim.processes.team.Team`.

    Parameters
    ----------
    rank, size : int
    device : torch.device
        Of this process; tensors that are exchanged live there.
    store : torch.distributed.Store
        Where they met.
    """

    def __init__(self, rank: int, size: int, device: torch.device, store: Any) -> None:
        self.rank, self.size, self.device, self.store = rank, size, device, store
        self.begun = False

    def begin(self, work: bool = True) -> bool:
        """Return whether there is work to be done together, which the first process says, once; the others wait for it."""
        self.begun = True
        return self.any(work and self.rank == 0)

    def dismiss(self) -> None:
        """Let the others go, where there was no work to be done together."""
        if not self.begun:
            self.begin(False)

    def gather(self, own: Tensor, widths: Sequence[int]) -> Tensor:
        """Join (..., width) blocks of all processes along their last dimension; ``widths`` are theirs."""
        if own.dtype == torch.bool:
            return self.gather(own.byte(), widths).bool()
        padded = torch.nn.functional.pad(own.to(self.device), (0, max(widths) - own.shape[-1])).contiguous()
        found = [torch.empty_like(padded) for _ in widths]
        self._do(lambda: dist.all_gather(found, padded))
        return torch.cat([block[..., :width] for block, width in zip(found, widths, strict=True)], -1).to(own.device)

    def collect(self, own: Tensor, widths: Sequence[int]) -> Tensor | None:
        """Join (R, n_pre, width) blocks on the CPU of the first process; the others get None."""
        truth, own = own.dtype == torch.bool, own.contiguous()
        own = own.view(torch.uint8) if truth else own
        rows = max(1, ROWS // (max(widths) * own.element_size()))
        chunks = [(r, slice(i, min(own.shape[1], i + rows))) for r in range(own.shape[0]) for i in range(0, own.shape[1], rows)]
        if self.rank:
            for r, some in chunks:
                self._do(lambda r=r, some=some: dist.send(own[r, some].contiguous(), 0))  # type: ignore[misc]
            return None
        out = torch.empty(*own.shape[:2], sum(widths), dtype=own.dtype)
        first = 0
        for rank, width in enumerate(widths):
            for r, some in chunks:
                block = own[r, some] if rank == 0 else own.new_empty(some.stop - some.start, width)
                if rank:
                    self._do(lambda block=block, rank=rank: dist.recv(block, rank))  # type: ignore[misc]
                out[r, some, first : first + width] = block.cpu()
            first += width
        return out.view(torch.bool) if truth else out

    def total(self, counts: Tensor) -> Tensor:
        """Return the sum of integers over the processes."""
        found = counts.to(self.device, copy=True)
        self._do(lambda: dist.all_reduce(found))
        return found.to(counts.device)

    def any(self, truth: bool) -> bool:
        """Return whether it is so in any of the processes."""
        return bool(self.total(torch.tensor(int(truth), device=self.device)) > 0)

    def fail(self, why: str) -> None:
        """Leave word why this process goes."""
        with suppress(RuntimeError):
            self.store.set("failed", f"process {self.rank + 1} of {self.size}: {why}")

    def _do(self, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except RuntimeError as error:
            raise DesertedError(self._word()) from error

    def _word(self) -> str:
        """Return what the process that is gone has said, or that it said nothing."""
        until = time.monotonic() + LAST_WORD
        while time.monotonic() < until:
            with suppress(RuntimeError):
                if self.store.check(["failed"]):
                    return str(self.store.get("failed").decode())
            time.sleep(0.05)
        why = "it was killed, hangs, or its machine cannot be reached"
        return f"another of the {self.size} processes is gone without a word: {why}; the command that began the run goes on with it"


def _number(name: str, otherwise: object = "") -> int:
    """Return a whole number of the environment."""
    text = os.environ.get(name, str(otherwise))
    if not text.isdecimal():
        raise BiosimError(f"the environment says {name}={text}, which is no whole number")
    return int(text)


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that the environment names, and leave them in the end.

    Raises
    ------
    BiosimError
        When they cannot meet.
    """
    rank, size = (_number(name) for name in ("RANK", "WORLD_SIZE"))
    if device == "cuda":
        torch.cuda.set_device(_number("LOCAL_RANK", rank) % torch.cuda.device_count())
    here = torch.device("cuda", torch.cuda.current_device()) if device == "cuda" else torch.device("cpu")
    meet = f"file://{os.environ[MEET]}" if MEET in os.environ else "env://"
    backend, patience = "nccl" if device == "cuda" else "gloo", timedelta(seconds=_number(PATIENCE, PATIENT))
    try:
        dist.init_process_group(backend, meet, patience, size, rank)
    except (RuntimeError, ValueError) as error:
        raise BiosimError(f"process {rank + 1} of {size} cannot meet the others: {error}") from None
    team = Processes(rank, size, here, dist.distributed_c10d._get_default_store())
    try:
        yield team
    except DesertedError:
        raise
    except BaseException as error:
        team.fail(str(error) if isinstance(error, BiosimError) else f"{type(error).__name__}: {error}")
        raise
    finally:
        with suppress(RuntimeError):
            dist.destroy_process_group()
