"""What AWS's python3.13 runtime does around a handler; runs as a script in each Lambda worker.

Standard library only and no import from this package: the worker's ``sys.path`` is the function's.
Started as ``bootstrap.py FD``; the parent's socket is FD. Each line is one JSON object: the parent
sends invocations, the worker answers ``{"ready": true}`` once, then ``{"result": ...}`` or
``{"error": {errorType, errorMessage, stackTrace}}``. Logs go to stdout and stderr as on AWS; after
each answer the worker writes ``LOG_END`` there, so that the parent knows it has the whole log.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from decimal import Decimal
from typing import Any

RESPONSE_LIMIT_BYTES = 6_291_556  # Lambda quota: synchronous invocation payload
LOG_END = b"\0end of log\0\n"

type Handler = Callable[[Any, "LambdaContext"], Any]


class LambdaContext:
    """The context object of AWS's runtime, with its attribute names."""

    def __init__(self, invocation: dict[str, Any]) -> None:
        environment = os.environ
        self.aws_request_id: str = invocation["requestId"]
        self.invoked_function_arn: str = invocation["functionArn"]
        self.function_name = environment["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = environment["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = environment["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = environment["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline: float = invocation["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        """Tell how long the function may still run."""
        return max(0, int((self._deadline - time.time()) * 1000))


class InitError(Exception):
    """The function cannot be loaded; carries the error type AWS reports for it."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


def describe(error: BaseException, error_type: str | None = None) -> dict[str, Any]:
    """Build the error object that AWS hands to the caller, and that Retry and Catch match."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "errorMessage": str(error),
        "errorType": error_type or type(error).__name__,
        # The first frame is the bootstrap's own.
        "stackTrace": traceback.format_list(frames[1:]),
    }


def load_handler(path: str) -> Handler:
    """Import ``package/module.function``, with AWS's error types when that fails."""
    module_name, _, function_name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise InitError(
            "Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}"
        ) from error
    except SyntaxError as error:
        raise InitError(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}"
        ) from error
    handler: Handler | None = getattr(module, function_name, None)
    if handler is None:
        raise InitError(
            "Runtime.HandlerNotFound",
            f"Handler '{function_name}' missing on module '{module_name}'",
        )
    return handler


def encode_extra(value: object) -> object:
    """Encode what AWS's runtime encodes beyond plain JSON: decimals, as numbers."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def set_trace_id(trace_id: str | None) -> None:
    """Publish the invocation's X-Ray header where AWS's runtime does."""
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)


def invoke(handler: Handler, invocation: dict[str, Any]) -> str:
    """Run one invocation and return the line that answers it."""
    set_trace_id(invocation["traceId"])
    context = LambdaContext(invocation)
    try:
        result = handler(invocation["event"], context)
    # The handler may raise anything; like AWS's runtime, report it and serve the next invocation.
    except Exception as error:  # noqa: BLE001
        detail = describe(error)
        log_error(detail)
        return json.dumps({"error": detail})
    try:
        answer = json.dumps({"result": result}, default=encode_extra)
    except (TypeError, ValueError) as error:
        return refuse("Runtime.MarshalError", f"Unable to marshal response: {error}")
    if len(answer) > RESPONSE_LIMIT_BYTES:
        return refuse(
            "Function.ResponseSizeTooLarge",
            f"Response payload size exceeded maximum allowed payload size "
            f"({RESPONSE_LIMIT_BYTES} bytes).",
        )
    return answer


def refuse(error_type: str, message: str) -> str:
    """Return the line for a result that AWS would not deliver."""
    detail = {"errorMessage": message, "errorType": error_type, "stackTrace": []}
    log_error(detail)
    return json.dumps({"error": detail})


def log_error(detail: dict[str, Any]) -> None:
    """Log a failure in the layout of AWS's runtime."""
    lines = [f"[ERROR] {detail['errorType']}: {detail['errorMessage']}"]
    if detail["stackTrace"]:
        lines += ["Traceback (most recent call last):", "".join(detail["stackTrace"]).rstrip()]
    print("\n".join(lines))


def end_log() -> None:
    """Mark the end of what this invocation logged, after everything it printed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(2, LOG_END)


def main() -> None:
    """Load the handler and serve invocations until the parent closes the socket."""
    channel = int(sys.argv[1])
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a real stream here
    search_path = os.environ.pop("MILLRACE_SEARCH_PATH").split(os.pathsep)
    runtime_path = os.environ.pop("MILLRACE_RUNTIME_PATH")
    sys.path[:] = [*search_path, *sys.path, runtime_path]
    with (
        os.fdopen(channel, "r", encoding="utf-8", closefd=False) as requests,
        os.fdopen(channel, "w", encoding="utf-8", closefd=False) as answers,
    ):
        answer = json.dumps({"ready": True})
        handler = None
        try:
            handler = load_handler(os.environ["_HANDLER"])
        # Whatever the module raises while it is imported is reported to the caller, as on AWS.
        except Exception as error:  # noqa: BLE001
            detail = describe(error, getattr(error, "error_type", None))
            if isinstance(error, InitError):
                detail["stackTrace"] = []  # as AWS: the trace would be the runtime's own
            log_error(detail)
            answer = json.dumps({"error": detail})
        end_log()
        answers.write(answer + "\n")
        answers.flush()
        if handler is None:
            return
        for line in requests:
            answer = invoke(handler, json.loads(line))
            end_log()
            answers.write(answer + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
