"""Local stacks for tests: each with a port and directories of its own."""

import shutil
import socket
from pathlib import Path

from millrace_local.config import Config

PROJECT = Path(__file__).parents[2]
ENVIRONMENT = PROJECT / ".local" / "ministack"
# How long a call waits for a busy worker before it gets one of its own.
PATIENCE_SECONDS = 0.2
FIXTURE = Path(__file__).parent / "fixtures" / "stack"


def free_port() -> int:
    """Return a port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stack_in(directory: Path, lambda_workers: int = 12) -> Config:
    """Return a stack for a copy of the fixture bundle; only MiniStack's packages are shared."""
    root = directory / "bundle"
    shutil.copytree(FIXTURE, root)
    return Config(
        root=root,
        state=directory / "state",
        environment=ENVIRONMENT,
        port=free_port(),
        stack_name="probe",
        lambda_workers=lambda_workers,
        lambda_patience_seconds=PATIENCE_SECONDS,
    )
