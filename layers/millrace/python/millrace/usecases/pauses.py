"""Trying again what another process was faster with."""

import random
import time
from collections.abc import Iterator
from typing import Final

_PAUSES: Final = (0.0, 0.01, 0.02, 0.04, 0.08, *(0.15,) * 25)
"""Before each try; almost 4 s in all."""


def pauses() -> Iterator[None]:
    """Once for each try, after a pause: those that met would meet again if all waited equally."""
    for pause in _PAUSES:
        if pause:
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        yield
