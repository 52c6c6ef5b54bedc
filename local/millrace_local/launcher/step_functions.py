"""Step Functions: no wait before the start, retries and time-outs as the definition says."""

import contextvars
import random
import threading
from typing import Any

from ministack.services import stepfunctions

from millrace_local.launcher.patching import rewrite, verified


def retry_delay(retrier: dict[str, Any], count: int) -> float:
    """Return the seconds to wait before retry ``count`` (from 0), with cap and jitter as on AWS.

    Semantics: Amazon States Language, "Retrying after an error".
    """
    delay: float = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** count
    delay = min(delay, retrier.get("MaxDelaySeconds", delay))
    if retrier.get("JitterStrategy") == "FULL":
        return random.uniform(0, delay)  # noqa: S311 - no secret
    return delay


def start_timeout(execution: dict[str, Any], definition: dict[str, Any]) -> None:
    """End the execution as TIMED_OUT when it outlives the machine's ``TimeoutSeconds``.

    As with StopExecution, the state at work is not interrupted; its result is ignored.
    """
    seconds = definition.get("TimeoutSeconds")
    if seconds is None:
        return
    context = contextvars.copy_context()
    timer = threading.Timer(
        seconds * stepfunctions._SFN_WAIT_SCALE, context.run, [_time_out, execution]
    )
    timer.daemon = True
    timer.start()


def _time_out(execution: dict[str, Any]) -> None:
    if execution["status"] != "RUNNING":
        return
    execution["status"] = "TIMED_OUT"
    execution["error"] = "States.Timeout"
    execution["stopDate"] = stepfunctions.now_iso()
    stepfunctions._add_event(
        execution,
        "ExecutionTimedOut",
        {"executionTimedOutEventDetails": {"error": "States.Timeout"}},
    )
    stepfunctions._emit_execution_status_event(execution)


def cure_start() -> None:
    """Start executions at once (MiniStack waits 150 ms) and observe the machine's time-out."""
    rewrite(
        stepfunctions,
        "_run_execution",
        {
            "    time.sleep(0.15)\n": "",
            '    all_states = definition.get("States", {})\n': (
                "    start_timeout(execution, definition)\n"
                '    all_states = definition.get("States", {})\n'
            ),
        },
        digest="996dff84e0e0",
        helpers={"start_timeout": start_timeout},
    )


def running_twin(execution: dict[str, Any] | None, request: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return AWS's answer to a repeated StartExecution; None if it is not a repetition.

    The same name with the same input answers as the first call did, while that execution runs.
    """
    if execution is None or execution["status"] != "RUNNING":
        return None
    if execution["input"] != request.get("input", "{}"):
        return None
    return stepfunctions.json_response(
        {"executionArn": execution["executionArn"], "startDate": execution["startDate"]}
    )


def cure_repeated_start() -> None:
    """Make StartExecution idempotent by name and input, as it is for standard machines."""
    check = "    if exec_arn in _executions:\n"
    rewrite(
        stepfunctions,
        "_start_execution",
        {
            check: (
                "    twin = running_twin(_executions.get(exec_arn), data)\n"
                f"    if twin is not None:\n        return twin\n{check}"
            )
        },
        digest="9923282fc76c",
        helpers={"running_twin": running_twin},
    )


def cure_retry_delay() -> None:
    """Honour MaxDelaySeconds and JitterStrategy, and delays beyond the 60 s MiniStack stops at."""
    helpers = {"retry_delay": retry_delay}
    rewrite(
        stepfunctions,
        "_execute_task",
        {"_scaled_sleep(min(sleep_sec, 60))": "_scaled_sleep(retry_delay(retrier, count))"},
        digest="53c818d247db",
        helpers=helpers,
    )
    rewrite(
        stepfunctions,
        "_with_retry_and_catch",
        {
            '_scaled_sleep(min(interval * (retrier.get("BackoffRate", 2.0) ** count), 60))': (
                "_scaled_sleep(retry_delay(retrier, count))"
            )
        },
        digest="b351699db7b3",
        helpers=helpers,
    )


def cure_final_status() -> None:
    """Keep the first terminal status: a state that fails after a stop does not make it FAILED."""
    rewrite(
        stepfunctions,
        "_fail_execution",
        {
            '    execution["status"] = "FAILED"\n': (
                '    if execution["status"] != "RUNNING":\n'
                "        return\n"
                '    execution["status"] = "FAILED"\n'
            )
        },
        digest="e6da895fa0b7",
    )


def cure() -> None:
    """Apply all cures of Step Functions."""
    verified(stepfunctions, "_emit_execution_status_event", "9c89e45693e3")
    cure_start()
    cure_repeated_start()
    cure_retry_delay()
    cure_final_status()
