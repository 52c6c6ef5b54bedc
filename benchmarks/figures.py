"""Keeps standard output for the figures."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logs_aside() -> Iterator[None]:
    """Meanwhile all that is printed goes to standard error, where functions log in this process.

    Lambda wants their lines on standard output, and loggers hold on to the stream that they found.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
