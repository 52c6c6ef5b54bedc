"""The Lambda events that are not HTTP: steps, attempts, schedules, ends of executions."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.domain.base import Json
from millrace.domain.errors import StepError
from millrace.domain.notification import Notification
from millrace.domain.ports import Messenger
from millrace.domain.run import RunKey
from millrace.usecases.context import Context
from millrace.usecases.lifecycle import (
    AttemptEvent,
    ExecutionInput,
    on_attempt,
    on_execution_end,
    sweep,
)
from millrace.usecases.notify import deliver
from millrace.usecases.run_step import StepTask, run_step
from millrace.usecases.triggers import ScheduleEvent, on_schedule

_EXECUTION_ENDED: Final = "Step Functions Execution Status Change"

logger = Logger(service="millrace")


class StepWorker:
    """Runs a step for a state machine."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, event: Mapping[str, Any], lambda_context: LambdaContext) -> dict[str, Json]:
        """The step's result in short; raises the step's error, whose name the machine goes by."""
        task = StepTask.model_validate(event)
        names: dict[str, Any] = {"run": task.run_id, "step": task.step_id, "attempt": task.attempt}

        def time_left() -> timedelta:
            return timedelta(milliseconds=lambda_context.get_remaining_time_in_millis())

        try:
            record = run_step(self._context, task, time_left)
        except StepError as error:
            kind = type(error).__name__
            logger.warning(error.message, error=kind, code=error.code, **names)
            raise
        said = "step ended" if record.status.is_terminal else "step waits for another flow"
        logger.info(said, status=record.status, counts=record.counts.to_json(), **names)
        return {"status": record.status, "counts": record.counts.to_json()}


class Lifecycle:
    """Records the ends of attempts and runs, and sweeps."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, event: Mapping[str, Any], _: object) -> dict[str, Json]:
        """What the machine needs to know, if it is a machine that asks."""
        if event.get("detail-type") == _EXECUTION_ENDED:
            return self._on_execution_end(event["detail"])
        if event.get("event") == "sweep":
            repaired = sweep(self._context)
            logger.info("swept", repaired=repaired)
            return {"repaired": repaired}
        attempt = AttemptEvent.model_validate(event)
        answer = on_attempt(self._context, attempt)
        logger.info(attempt.event, run=attempt.run_id, attempt=attempt.attempt, answer=answer)
        return answer

    def _on_execution_end(self, detail: Mapping[str, Any]) -> dict[str, Json]:
        data = ExecutionInput.model_validate_json(detail["input"])
        key = RunKey(data.workspace_id, data.run_id)
        run = on_execution_end(self._context, key, detail["status"])
        logger.info("execution ended", run=key.run_id, outcome=detail["status"])
        return {} if run is None else {"status": run.status}


class ScheduleTrigger:
    """Starts the runs of schedules."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, event: Mapping[str, Any], _: object) -> dict[str, Json]:
        """The id of the run, if one was started."""
        run = on_schedule(self._context, ScheduleEvent.model_validate(event))
        if run is None:
            logger.info("schedule not wanted", flow=event["flowId"])
            return {}
        logger.info("schedule fired", flow=run.flow_id, run=run.id)
        return {"runId": run.id}


class NotificationTry:
    """Tries to deliver a notification."""

    def __init__(self, context: Context, messenger: Messenger) -> None:
        self._context = context
        self._messenger = messenger

    def __call__(self, event: Mapping[str, Any], _: object) -> dict[str, Json]:
        """How long the machine is to wait before the next try; 0 if there is none."""
        note = Notification.model_validate(event["note"])
        answer = deliver(self._context, self._messenger, note)
        told = {"outcome": answer.get("outcome"), "wait": answer["waitSeconds"]}
        logger.info("notification", id=note.id, run=note.run_id, group=note.group_id, **told)
        return answer
