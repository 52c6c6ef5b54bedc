"""The Lambda events that are not HTTP: steps, attempts, schedules, ends of executions."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.domain.base import Json
from millrace.domain.errors import DomainError, StepError
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
from millrace.usecases.queue_messages import Message, on_message
from millrace.usecases.run_step import StepTask, run_step
from millrace.usecases.triggers import ScheduleEvent, on_schedule

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

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


class EventTrigger:
    """Starts the runs of schedules and of messages."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, event: dict[str, Any], lambda_context: LambdaContext) -> dict[str, Json]:
        """The id of a schedule's run, if one was started; the messages that have to stay."""
        if "Records" in event:
            return self._on_messages(event, lambda_context)
        run = on_schedule(self._context, ScheduleEvent.model_validate(event))
        if run is None:
            logger.info("schedule not wanted", flow=event["flowId"])
            return {}
        logger.info("schedule fired", flow=run.flow_id, run=run.id)
        return {"runId": run.id}

    def _on_messages(self, event: dict[str, Any], lambda_context: LambdaContext) -> dict[str, Json]:
        """Of a FIFO queue nothing overtakes a message that has to stay."""
        # Most of what triggers is a schedule.
        from aws_lambda_powertools.utilities.batch import (  # noqa: PLC0415 - see above
            BatchProcessor,
            EventType,
            SqsFifoPartialProcessor,
            process_partial_response,
        )

        is_fifo = event["Records"][0]["eventSourceARN"].endswith(".fifo")
        processor = SqsFifoPartialProcessor() if is_fifo else BatchProcessor(EventType.SQS)
        processor.raise_on_entire_batch_failure = False
        answer: Any = process_partial_response(
            event=event,
            record_handler=self._on_message,
            processor=processor,
            context=lambda_context,
        )
        told: dict[str, Json] = answer
        return told

    def _on_message(self, record: "SQSRecord") -> str:
        message = _message(record.raw_event)
        names: dict[str, Any] = {"queue": message.queue, "message_id": message.id}
        try:
            run = on_message(self._context, message)
        except DomainError as error:
            logger.warning("message not taken", reason=error.message, **names)
            raise
        except Exception:
            logger.exception("message not taken", **names)
            raise
        logger.info("message taken", flow=run.flow_id, run=run.id, **names)
        return run.id


def _message(record: Mapping[str, Any]) -> Message:
    """A message as Lambda hands it over; attributes that are bytes stay as base64."""
    sent = int(record["attributes"]["SentTimestamp"])
    return Message(
        queue=record["eventSourceARN"].rpartition(":")[2],
        id=record["messageId"],
        body=record["body"],
        sent_at=datetime.fromtimestamp(sent / 1_000, UTC),
        attributes={
            name: value.get("stringValue") or value.get("binaryValue") or ""
            for name, value in record.get("messageAttributes", {}).items()
        },
    )


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
