"""Run a tool to its end, or end it with all it started."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from millrace_local.errors import LocalStackError


def run_tool(
    name: str,
    command: Sequence[str | Path],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
) -> None:
    """Run ``command``, its output going to ``log``; raise with its last line if it fails.

    The tool gets a process group of its own: on Ctrl-C here, pip beneath sam ends as well.
    """
    with log.open("ab") as output:
        start = output.tell()
        with subprocess.Popen(  # noqa: S603 - fixed commands of this package
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                status = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    if status != 0:
        with log.open("rb") as output:
            output.seek(start)
            said = output.read().decode("utf-8", "replace").strip().splitlines() or ["no output"]
        reason = next((line for line in reversed(said) if "Error" in line), said[-1])
        raise LocalStackError(f"{name} failed: {reason.strip()} (all of it: {log})")
