"""Holding the caller of a callback until the flow's result is there, or its time is over."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Final

from pydantic import ValidationError

from millrace import limits
from millrace.domain.base import Record
from millrace.domain.callback import Callback
from millrace.domain.delivery import Delivery
from millrace.domain.errors import UnavailableError
from millrace.domain.flow import Version
from millrace.domain.quick_json import dump
from millrace.domain.reply import OWN_HEADERS, RESPONSE, Reply
from millrace.domain.run import Run, RunStatus, StepRecord, Trigger
from millrace.usecases.context import Context
from millrace.usecases.deliveries import admit, record
from millrace.usecases.deployed import deployed_version, is_synchronous
from millrace.usecases.latest_runs import tell_flow
from millrace.usecases.pages import read_records
from millrace.usecases.pinned import run_version
from millrace.usecases.run_answers import RunAnswer
from millrace.usecases.runs import begin_run, execution_input
from millrace.usecases.step_input import last_steps
from millrace.usecases.waiting import wait_for

logger = logging.getLogger(__name__)

_BAD: Final = "badResponse"
_START_PAUSES: Final = (0.1, 0.4, 1.0)
"""Before each further try of a start that Step Functions did not take just then."""


@dataclass(frozen=True, slots=True)
class Held:
    """What became of a caller's request; the run may be over or not."""

    callback: Callback
    run: Run
    is_new: bool
    records: tuple[Record, ...] = ()
    """What the last steps handed on."""
    reply: Reply | None = None
    """What they would have the caller told instead."""


class UnansweredError(Exception):
    """The flow ran, but what it made is no answer."""

    def __init__(self, held: Held, code: str, message: str) -> None:
        super().__init__(message)
        self.held = held
        self.code = code


def hold(
    context: Context,
    callback_id: str,
    delivery: Delivery,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Held:
    """Check a request, start its run, and wait for the result; the same request waits for the same.

    So does one whose run waits for a slot. Raises what `admit` and `record_run` raise,
    ConflictError if the flow has no deployed version, and UnansweredError.
    """
    deadline = clock() + limits.RUN_WAIT_SECONDS
    admitted = admit(context, Callback, callback_id, delivery)
    version = deployed_version(context, admitted.flow)
    trigger = Trigger(source="callback", callback_id=callback_id, delivery_id=admitted.delivery_id)
    run, is_new = record(context, admitted, version, trigger)
    steps: tuple[StepRecord, ...] | None = None
    at_once = is_new and is_synchronous(run.machine_arn) and run.status is RunStatus.RUNNING
    if at_once:
        run, steps = _run(context, run, sleep)
    elif is_new:
        begin_run(context, run)
    if not run.status.is_terminal:
        run, steps = wait_for(context, run, deadline - clock(), sleep), None
    held = Held(admitted.address, run, is_new)
    if not run.status.is_terminal:
        if at_once:
            tell_flow(context, run)
        return held
    if version.id != run.version_id:
        version = run_version(context, run)
    steps = context.runs.steps(run.key, run.attempt) if steps is None else steps
    return _with_output(context, held, version, steps)


def _run(
    context: Context, run: Run, sleep: Callable[[float], None]
) -> tuple[Run, tuple[StepRecord, ...]]:
    """Run an EXPRESS machine to its end; the run and its last steps as they are then.

    The flow hears of the run when it ends, which saves a write while the caller waits.
    """
    outcome = None
    for pause in (0.0, *_START_PAUSES):
        sleep(pause)
        with suppress(UnavailableError):
            outcome = context.machines.run(run.machine_arn, run.id, execution_input(run))
            break
    else:
        logger.warning("%s could not be started just now; the sweeper will", run.id)
    answer = None if outcome is None else RunAnswer.heard(outcome.output, run.key)
    if answer is not None:
        return answer.run, answer.steps
    ended, steps = context.runs.detail(run.key)
    if outcome is None or ended.status.is_terminal:
        return ended, steps
    # Of an EXPRESS execution that could not tell how it ended, nobody else will.
    from millrace.usecases.lifecycle import on_execution_end  # noqa: PLC0415 - it is rare, and large

    # What follows is the sweeper's: a public function may not start flows and notifications.
    on_execution_end(context, run.key, outcome.status, follows=False)
    return context.runs.detail(run.key)


def _with_output(
    context: Context, held: Held, version: Version, steps: Iterable[StepRecord]
) -> Held:
    by_id = {step.step_id: step for step in steps if step.status.has_output}
    last = [by_id[id_] for id_ in last_steps(version) if id_ in by_id]
    records: list[Record] = []
    size = 0
    for batch in read_records(context.blobs, chain.from_iterable(step.output for step in last)):
        size += len(dump(batch))
        if size > limits.ANSWER_BYTES:
            raise too_large(held)
        records += batch
    said = next((said for each in records if (said := each.get(RESPONSE)) is not None), None)
    reply = None if said is None else _reply(held, said)
    return Held(held.callback, held.run, held.is_new, tuple(records), reply)


def too_large(held: Held) -> UnansweredError:
    """What a result is that no answer holds."""
    message = f"the result takes more than {limits.ANSWER_BYTES:,} bytes"
    return UnansweredError(held, "resultTooLarge", message)


def _reply(held: Held, said: object) -> Reply:
    if not isinstance(said, Mapping):
        raise UnansweredError(held, _BAD, f"{RESPONSE} is no object")
    try:
        reply = Reply.model_validate(said)
    except ValidationError as error:
        places = {"/".join(map(str, fault["loc"])): fault["msg"] for fault in error.errors()}
        told = "; ".join(f"{place}: {message}" for place, message in places.items())
        message = f"{RESPONSE} is not as it should be: {told}"
        raise UnansweredError(held, _BAD, message) from error
    for name in reply.headers:
        if name.lower() in OWN_HEADERS:
            raise UnansweredError(held, _BAD, f"{RESPONSE} may not set the header {name}")
    return reply
