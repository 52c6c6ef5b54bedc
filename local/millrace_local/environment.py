"""The private environment that MiniStack runs in.

MiniStack pins botocore exactly, so it cannot share an environment with the project.
"""

import fcntl
import hashlib
import os
import shutil
import sys
from pathlib import Path

from millrace_local.errors import LocalStackError
from millrace_local.processes import run_tool

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
PYTHON_VERSION = (3, 13)


def ensure_environment(target: Path, log: Path) -> Path:
    """Return the Python of the private environment, set up anew if its requirements changed.

    The marker is written last: an installation that was interrupted is started over.
    """
    if sys.version_info[:2] != PYTHON_VERSION:
        raise LocalStackError(
            f"the local stack needs Python 3.13, this is {sys.version.split()[0]}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # stacks of several tests may share the environment
        return _ensure(target, log)


def _ensure(target: Path, log: Path) -> Path:
    python = target / "bin" / "python"
    marker = target / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and marker.exists() and marker.read_text() == wanted:
        return python
    shutil.rmtree(target, ignore_errors=True)
    for command in _installation(target, python):
        run_tool(
            "installing MiniStack",
            command,
            cwd=target.parent,
            environment=dict(os.environ),
            log=log,
        )
    marker.write_text(wanted)
    return python


def _installation(target: Path, python: Path) -> list[list[str | Path]]:
    """Return the commands that create the environment: with uv, or without it by venv and pip."""
    beside = Path(sys.executable).parent / "uv"
    if uv := str(beside) if beside.exists() else shutil.which("uv"):
        return [
            [uv, "venv", "--quiet", "--python", sys.executable, target],
            [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, REQUIREMENTS],
        ]
    install = ["-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    return [
        [sys.executable, "-m", "venv", target],
        [python, *install, "--require-hashes", "--requirement", REQUIREMENTS],
    ]
