"""Start, find and stop the background process that is the local AWS.

``stack.json`` names the process and a token. The process lives as long as ``process.lock`` is
locked, so a recycled pid is not mistaken for it. The token is also the ``edition`` in MiniStack's
health answer, so neither is a MiniStack that someone else started.
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.error import URLError

from millrace_local.config import HOST, REGION, Config
from millrace_local.environment import ensure_environment
from millrace_local.errors import LocalStackError

READY_SECONDS = 30.0
HEALTH_SECONDS = 5.0
# Most stop within seconds; what is written grows with the runs.
STOP_SECONDS = 180.0
RELEASE_SECONDS = 1.0
POLL_SECONDS = 0.05
LOG_LIMIT_BYTES = 10_000_000

# Running stacks outlive this process; holding their handles keeps Python from warning about it.
_detached: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True)
class RunningStack:
    """What ``stack.json`` holds about the process."""

    pid: int
    port: int
    token: str


def running_stack(config: Config) -> RunningStack | None:
    """Return the stack if its process lives; forget one that is gone.

    A process that lives but does not answer is an error: it may hold state not yet written.
    """
    found = _recorded(config)
    if found is None:
        return None
    if not _lives(config):
        config.pid_file.unlink(missing_ok=True)
        return None
    deadline = time.monotonic() + HEALTH_SECONDS
    while time.monotonic() < deadline:
        if _token_at(found.port) == found.token:
            return found
        if not _lives(config):
            config.pid_file.unlink(missing_ok=True)
            return None
        time.sleep(POLL_SECONDS)
    raise LocalStackError(
        f"the local stack (process {found.pid}) does not answer on port {found.port}; "
        f"see {config.log}, then make stop"
    )


def ensure_started(config: Config) -> bool:
    """Start the stack unless it is up; tell whether this call started it."""
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)  # secrets are kept in there
    found = running_stack(config)
    if found is not None:
        if found.port != config.port:
            raise LocalStackError(
                f"the local stack is already up on port {found.port}, not {config.port}; "
                "make stop first"
            )
        return False
    _require_free(config.port)
    python = ensure_environment(config.environment, config.log)
    _start(config, python)
    return True


def stop(config: Config) -> bool:
    """Stop the stack and wait until it has written its state; tell whether there was one."""
    found = _recorded(config)
    if found is None or not _lives(config):
        config.pid_file.unlink(missing_ok=True)
        return False
    os.kill(found.pid, signal.SIGTERM)
    if not _gone_within(config, STOP_SECONDS):
        os.kill(found.pid, signal.SIGKILL)
        _gone_within(config, STOP_SECONDS)
        config.pid_file.unlink(missing_ok=True)
        raise LocalStackError(
            f"the local stack did not stop within {STOP_SECONDS:.0f} s and was killed: "
            f"what changed since it started is lost; see {config.log}"
        )
    config.pid_file.unlink(missing_ok=True)
    _reap()
    return True


def _reap() -> None:
    """Take note of the processes this one started that have ended."""
    _detached[:] = [process for process in _detached if process.poll() is None]


@contextlib.contextmanager
def exclusive(config: Config) -> Iterator[None]:
    """Keep a second ``up`` or ``down`` of the same stack out while one is at work."""
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (config.state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalStackError(
                "another make run or make stop is at work on this stack; wait until it is done"
            ) from None
        yield


def _start(config: Config, python: Path) -> None:
    token = f"millrace-{secrets.token_hex(8)}"
    (config.state / "tmp").mkdir(parents=True, exist_ok=True)
    _rotate(config.log)
    with config.log.open("ab") as log, (config.state / "process.lock").open("w") as lock:
        # The process inherits the locked file and so holds the lock until it ends, however it ends.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalStackError(
                f"a process of this stack runs without a record in {config.pid_file}; "
                f"end it (lsof {lock.name} names it) and try again"
            ) from None
        process = subprocess.Popen(  # noqa: S603 - our own launcher
            [python, "-m", "millrace_local.launcher"],
            cwd=config.state,
            env=_server_environment(config, token),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],
            start_new_session=True,  # so that Ctrl-C in the terminal does not reach it
        )
    _detached.append(process)
    try:
        record = RunningStack(pid=process.pid, port=config.port, token=token)
        config.pid_file.write_text(json.dumps(asdict(record)))
        _wait_until_ready(config, process, token)
    except BaseException:
        process.kill()
        process.wait()
        config.pid_file.unlink(missing_ok=True)
        raise


def _wait_until_ready(config: Config, process: subprocess.Popen[bytes], token: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if _token_at(config.port) == token:
            return
        if process.poll() is not None:
            raise LocalStackError(f"the local stack did not start: {_last_line(config.log)}")
        time.sleep(POLL_SECONDS)
    raise LocalStackError(
        f"the local stack was not ready within {READY_SECONDS:.0f} s; see {config.log}"
    )


def _server_environment(config: Config, token: str) -> dict[str, str]:
    """Return the environment of the MiniStack process."""
    settings = {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "GATEWAY_PORT": str(config.port),
        "BIND_HOST": HOST,  # MiniStack's default is every interface
        "MINISTACK_HOST": HOST,
        "MINISTACK_EDITION": token,
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(config.state / "data"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(config.state / "s3"),
        "TMPDIR": str(config.state / "tmp"),
        # Functions may do what their roles in the template say, as on AWS.
        "AUTH": "true" if config.enforces_policies else "false",
        "MILLRACE_LAMBDA_CACHE": str(config.state / "lambda"),
        "MILLRACE_LAMBDA_WORKERS": str(config.lambda_workers),
        "MILLRACE_LAMBDA_PATIENCE": str(config.lambda_patience_seconds),
    }
    environment = config.child_environment() | settings
    # MiniStack serves AWS; it must not look for one.
    del environment["AWS_ENDPOINT_URL"]
    return environment


def _recorded(config: Config) -> RunningStack | None:
    try:
        return RunningStack(**json.loads(config.pid_file.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # written half, or by another version: names no process
        config.pid_file.unlink(missing_ok=True)
        return None


def _lives(config: Config) -> bool:
    """Tell whether the process still holds its lock, which the system takes from the dead."""
    lock = config.state / "process.lock"
    if not lock.exists():
        return False
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _gone_within(config: Config, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not _lives(config):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _token_at(port: int) -> str | None:
    """Return the token of the stack that answers on a port; None if none of ours does."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/_ministack/health", timeout=2) as answer:
            edition = json.load(answer).get("edition")
    except (URLError, OSError, ValueError, AttributeError):
        return None
    return edition if isinstance(edition, str) else None


def _require_free(port: int) -> None:
    # A stack that was killed a moment ago needs another one to let go of its port.
    deadline = time.monotonic() + RELEASE_SECONDS
    while not _is_free(port):
        if time.monotonic() > deadline:
            raise LocalStackError(
                f"port {port} on {HOST} is taken by another program; stop that program "
                f"(lsof -i :{port} names it) or choose another port with MILLRACE_PORT"
            )
        time.sleep(POLL_SECONDS)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it said nothing; see {log}"
