"""A worker process of the local pool: reads jobs as lines of JSON, writes progress and outcomes as lines of JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from biosim.errors import Interrupted
from biosim.rundir import interrupts
from biosim.sweep.work import perform

PAUSE = 0.5  # seconds between two messages of progress


def main() -> None:
    """Serve until standard input ends. What libraries print goes to standard error, the worker's log."""
    signal.signal(signal.SIGTERM, interrupts.handle)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to deal with
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    told = 0.0

    def reply(**message: Any) -> None:
        replies.write(json.dumps(message) + "\n")

    def progress(stage: str, step: int, steps: int, numbers: Mapping[str, float]) -> None:
        nonlocal told
        if time.monotonic() - told > PAUSE:
            told = time.monotonic()
            reply(stage=stage, share=step / max(1, steps))

    try:
        for line in sys.stdin:
            reply(outcome=perform(json.loads(line), progress))
    except (Interrupted, BrokenPipeError):
        os._exit(1)  # the run says in run.json that it was interrupted


if __name__ == "__main__":
    main()
