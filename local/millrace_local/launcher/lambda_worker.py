"""A Lambda worker that behaves like AWS's python3.13 runtime.

MiniStack's own worker loses the exception's class (``errorType`` is always
``Runtime.HandlerError``, so Retry and Catch by name never match), dies with each exception, waits
50 ms for the log of a handler that prints nothing, and runs in MiniStack's interpreter with
MiniStack's packages. This one takes its place in MiniStack's pool.
"""

import json
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from millrace_local.launcher import bootstrap, packages
from millrace_local.launcher.patching import replace, verified

logger = logging.getLogger("lambda")

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
INIT_TIMEOUT_SECONDS = 30.0  # AWS grants 10; a laptop with two busy cores is slower
LOG_GRACE_SECONDS = 2.0  # for the log pipe of a worker that died to drain
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")


class WorkerGoneError(Exception):
    """The worker did not answer; carries AWS's error type for why."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class PythonWorker:
    """One warm execution environment; the attributes without comment are MiniStack's pool's.

    An exception in the handler is an answer like any other. Only a time-out or the death of the
    process ends the worker; the next invocation then starts it anew.
    """

    def __init__(self, func_name: str, config: dict[str, Any], code_zip: bytes) -> None:
        self.func_name = func_name
        self.config = config
        self.code_zip = code_zip
        self.in_use = False
        self.last_used = time.time()
        self._proc: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._answers: Any = None
        self._log: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def invoke(
        self,
        event: object,
        request_id: str,
        *,
        trace_id: str | None = None,
        invoked_function_arn: str,
    ) -> dict[str, Any]:
        """Run one invocation and return MiniStack's result mapping.

        ``error_payload`` is what AWS hands to the caller of a function that failed.
        """
        with self._lock:
            cold = self._proc is None or self._proc.poll() is not None
            timeout = float(self.config.get("Timeout", 3))
            log: list[str] = []
            try:
                if cold:
                    failure = self._start()
                    log = self._take_log(LOG_GRACE_SECONDS)  # of the import; AWS has it here, too
                    if failure:
                        self._stop()
                        return _failed(failure, log, cold=True)
                invocation = {
                    "event": event,
                    "requestId": request_id,
                    "functionArn": invoked_function_arn,
                    "deadline": time.time() + timeout,
                    "traceId": trace_id,
                }
                answer = self._exchange(json.dumps(invocation), timeout)
            except WorkerGoneError as gone:
                self._stop()
                message = f"RequestId: {request_id} Error: {gone}"
                log += [*self._take_log(LOG_GRACE_SECONDS), message]
                payload = {"errorType": gone.error_type, "errorMessage": message}
                return _failed(payload, log, cold=cold)
            log += self._take_log(LOG_GRACE_SECONDS)
            if "error" in answer:
                return _failed(answer["error"], log, cold=cold)
            return {
                "status": "ok",
                "result": answer["result"],
                "cold_start": cold,
                "log": "\n".join(log),
            }

    def _start(self) -> dict[str, Any] | None:
        """Start the process and load the handler; return the error if it cannot be loaded."""
        ours, theirs = socket.socketpair()
        with theirs:
            code, environment = worker_environment(self.config, self.code_zip)
            script = Path(bootstrap.__file__)
            self._proc = subprocess.Popen(  # noqa: S603 - this interpreter and our own script
                # Isolated and without site: no package of this environment, none of the user's.
                [_base_python(), "-I", "-S", "-X", "utf8", str(script), str(theirs.fileno())],
                cwd=code,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        self._channel = ours
        self._answers = ours.makefile("r", encoding="utf-8")
        self._log = queue.SimpleQueue()
        threading.Thread(
            target=_pump_log,
            args=(self._proc, self._log, self.func_name),
            name=f"log-{self.func_name}",
            daemon=True,
        ).start()
        return self._exchange(None, INIT_TIMEOUT_SECONDS).get("error")

    def _exchange(self, line: str | None, timeout: float) -> dict[str, Any]:
        """Send a line, if any, and read the worker's answer."""
        channel = self._channel
        process = self._proc
        if channel is None or process is None:
            raise WorkerGoneError("Runtime.ExitError", "Runtime is not running")
        channel.settimeout(timeout)
        try:
            if line is not None:
                channel.sendall(line.encode() + b"\n")
            text = self._answers.readline()
        except TimeoutError:
            raise WorkerGoneError(
                "Sandbox.Timedout", f"Task timed out after {timeout:.2f} seconds"
            ) from None
        except OSError:  # the process is gone: sending failed, or the connection was reset
            text = ""
        if not text:
            status = process.wait(LOG_GRACE_SECONDS)
            raise WorkerGoneError(
                "Runtime.ExitError", f"Runtime exited with error: exit status {status}"
            )
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _take_log(self, grace: float) -> list[str]:
        """Return what the worker logged up to the mark it sets after each answer."""
        lines = []
        deadline = time.monotonic() + grace
        while (remaining := deadline - time.monotonic()) > 0:
            try:
                line = self._log.get(timeout=remaining)
            except queue.Empty:
                break
            if line is None:
                break
            lines.append(line)
        return lines

    def _stop(self) -> None:
        """End the process; the next invocation starts another."""
        if self._proc is not None:
            self._proc.kill()
            self._proc.wait()
            self._proc = None
        self._discard_tmpdir()

    def _discard_tmpdir(self) -> None:
        """Close what belongs to the process; MiniStack calls this after it has ended a worker."""
        if self._channel is not None:
            self._answers.close()
            self._channel.close()
            self._channel = None


def _failed(error: dict[str, Any], log: list[str], *, cold: bool) -> dict[str, Any]:
    """Return MiniStack's result mapping for a function that failed."""
    return {
        "status": "error",
        "error_payload": error,
        "cold_start": cold,
        "log": "\n".join(log),
    }


def _base_python() -> str:
    """Return the interpreter beneath the private environment: the project's python3.13."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _pump_log(
    process: subprocess.Popen[bytes], lines: "queue.SimpleQueue[str | None]", name: str
) -> None:
    """Copy the worker's output to the stack's log and to whoever waits for the invocation's log."""
    mark = bootstrap.LOG_END.rstrip(b"\n")
    if process.stdout is None:
        return
    with process.stdout:
        for raw in process.stdout:
            text, marked, _ = raw.rstrip(b"\n").partition(mark)
            if text or not marked:
                line = text.decode("utf-8", "replace")
                logger.info("%s: %s", name, line)
                lines.put(line)
            if marked:
                lines.put(None)
    lines.put(None)


def worker_environment(config: dict[str, Any], code_zip: bytes) -> tuple[Path, dict[str, str]]:
    """Return the unpacked code and the environment variables that AWS sets for the function.

    Nothing of the developer's own AWS configuration gets in: no profile, no credentials, no
    instance metadata; the endpoint is this stack.
    """
    cache = Path(os.environ["MILLRACE_LAMBDA_CACHE"])
    code = packages.unpack(code_zip, cache)
    search_path = [str(code)]
    for layer in config.get("Layers") or ():
        reference = layer if isinstance(layer, str) else layer["Arn"]
        archive = lambda_svc._resolve_layer_zip(reference)
        if not archive:
            raise FileNotFoundError(f"layer {reference} of {config['FunctionName']} has no content")
        search_path += packages.layer_paths(packages.unpack(archive, cache))
    _, region = lambda_runtime._account_region_from_function_config(config)
    name = config["FunctionName"]
    environment = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
    environment |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        # There is no X-Ray daemon here; Powertools' Tracer would ask the SDK for one.
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    environment |= config.get("Environment", {}).get("Variables", {})
    environment |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{RUNTIME}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": config.get("Version", "$LATEST"),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": time.strftime("%Y/%m/%d/[$LATEST]") + os.urandom(16).hex(),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "LAMBDA_TASK_ROOT": str(code),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "_HANDLER": config["Handler"],
        "MILLRACE_SEARCH_PATH": os.pathsep.join(search_path),
        "MILLRACE_RUNTIME_PATH": str(cache.parent / "runtime"),
        **lambda_runtime.execution_credentials(config),
    }
    return code, environment


def _worker_class(config: dict[str, Any]) -> type[PythonWorker]:
    """Refuse a runtime that this interpreter is not, instead of running it in another version."""
    runtime = config.get("Runtime", "")
    if runtime != RUNTIME:
        raise ValueError(f"{config['FunctionName']}: the local stack runs {RUNTIME}, not {runtime}")
    return PythonWorker


def cure() -> None:
    """Run Python functions in our worker and hand their errors on as AWS does.

    MiniStack's path for custom runtimes already takes the worker's own error object, so Python
    functions take that path.
    """
    cache = Path(os.environ["MILLRACE_LAMBDA_CACHE"])
    cache.mkdir(parents=True, exist_ok=True)
    packages.forget_unused(cache)
    packages.link_runtime_packages(cache.parent / "runtime")
    replace(lambda_runtime, "_worker_class_for", _worker_class, digest="b5a23849280a")
    verified(lambda_runtime, "kill_workers", "56a6df63f9bd")
    execute = verified(lambda_svc, "_execute_function_provided_warm", "7cddef20157f")
    replace(lambda_svc, "_execute_function_warm", execute, digest="62b9218bef5b")
