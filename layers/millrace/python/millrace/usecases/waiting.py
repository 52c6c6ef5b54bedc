"""Waiting for the end of a run."""

import time
from collections.abc import Callable
from typing import Final

from millrace.domain.run import Run
from millrace.usecases.context import Context

_POLL_SECONDS: Final = 0.05
_POLL_SECONDS_MAX: Final = 1.0


def wait_for(
    context: Context, run: Run, seconds: float, sleep: Callable[[float], None] = time.sleep
) -> Run:
    """The run once it is over, or as it is after so many seconds, asked for ever less often."""
    pause = _POLL_SECONDS
    while seconds > 0 and not run.status.is_terminal:
        pause = min(pause, seconds)
        sleep(pause)
        seconds -= pause
        pause = min(pause * 2, _POLL_SECONDS_MAX)
        run = context.runs.get(run.key)
    return run
