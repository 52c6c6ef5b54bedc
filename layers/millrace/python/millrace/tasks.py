"""The Lambda events that are not HTTP: steps, attempts, schedules, ends of executions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.domain.base import Json
from millrace.domain.errors import DomainError, StepError, StepThrottled
from millrace.domain.notification import Notification
from millrace.domain.ports import Messenger
from millrace.domain.run import Run, RunKey, StepRecord
from millrace.observability import Metric, logger, measure, on_key, on_run
from millrace.usecases.context import Context
from millrace.usecases.lifecycle import (
    AttemptEvent,
    ExecutionInput,
    on_attempt,
    on_execution_end,
)
from millrace.usecases.notify import deliver
from millrace.usecases.queue_messages import Message, on_message
from millrace.usecases.run_row import RowTask, run_row
from millrace.usecases.run_step import AttemptTask, StepTask, run_step
from millrace.usecases.step_progress import CONTINUES
from millrace.usecases.sweeper import sweep
from millrace.usecases.triggers import ScheduleEvent, on_schedule

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

_EXECUTION_ENDED: Final = "Step Functions Execution Status Change"


class StepWorker:
    """Runs a step for a state machine."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, event: Mapping[str, Any], lambda_context: LambdaContext) -> dict[str, Json]:
        """The step's result in short; raises the step's error, whose name the machine goes by.

        What an error says may quote the receiver's answer, so it is told with the run, and neither
        to the log, in which Lambda writes what is raised, nor to the machine.
        """
        if "stepIds" in event:
            row = RowTask.model_validate(event)
            return self._run_row(row, _AtWork(row, row.step_ids[0]), _time_left(lambda_context))
        task = StepTask.model_validate(event)
        with _AtWork(task, task.step_id).errors_told():
            record = run_step(self._context, task, _time_left(lambda_context), self._begin)
        _tell(record)
        return {"status": record.status, "counts": record.counts.to_json()}

    def _run_row(
        self, task: RowTask, at: "_AtWork", time_left: Callable[[], timedelta]
    ) -> dict[str, Json]:
        """Whether the run is over, with nothing that is to follow, and what its caller is told."""
        with at.errors_told():
            ended = run_row(self._context, task, time_left, self._begin, at.begin, _tell)
        if ended is None:
            return {"isOver": False}
        logger.info("run ended", status=ended.run.status)
        return {"isOver": ended.run.is_settled, **ended.told()}

    def _begin(self, run: Run) -> None:
        on_run(run, self._context.clock())
        logger.debug("step begins")


class _AtWork:
    """The step that an invocation is at, by which its lines and its errors are told."""

    def __init__(self, task: AttemptTask, step_id: str) -> None:
        self._key = RunKey(task.workspace_id, task.run_id)
        self._attempt = task.attempt
        # By the time that Lambda counts an error at, which an alarm sets off against these.
        self._begun_at = datetime.now(UTC)
        self.begin(step_id)

    def begin(self, step_id: str) -> None:
        """Go on to a step."""
        self._step_id = step_id
        on_key(self._key, stepId=step_id, attempt=self._attempt)

    @contextmanager
    def errors_told(self) -> Iterator[None]:
        """Tell of an error of the step; its words are only for the run's record."""
        try:
            yield
        except StepError as error:
            logger.warning("step not ended", error=type(error).__name__, code=error.code)
            run_id = self._key.run_id
            names = {"runId": run_id, "stepId": self._step_id, "code": error.code}
            measure({Metric.STEP_ERRORS: 1}, names, at=self._begun_at)
            if isinstance(error, StepThrottled):
                if error.code != CONTINUES:
                    measure({Metric.THROTTLES: 1}, names)
                raise
            told = f"{error.code}; the run tells more: GET /v1/runs/{run_id}"
            raise type(error)(error.code, told) from None


def _time_left(lambda_context: LambdaContext) -> Callable[[], timedelta]:
    return lambda: timedelta(milliseconds=lambda_context.get_remaining_time_in_millis())


def _tell(record: StepRecord) -> None:
    said = "step ended" if record.status.is_terminal else "step waits for another flow"
    logger.info(said, status=record.status, counts=record.counts.to_json())


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
        on_key(RunKey(attempt.workspace_id, attempt.run_id), attempt=attempt.attempt)
        answer = on_attempt(self._context, attempt)
        logger.info(attempt.event, answer=answer)
        return answer

    def _on_execution_end(self, detail: Mapping[str, Any]) -> dict[str, Json]:
        data = ExecutionInput.model_validate_json(detail["input"])
        key = RunKey(data.workspace_id, data.run_id)
        on_key(key)
        run = on_execution_end(self._context, key, detail["status"])
        if run is not None:
            on_run(run, self._context.clock())
        logger.info("execution ended", outcome=detail["status"])
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
            named = {name: event[name] for name in ("workspaceId", "flowId")}
            logger.info("schedule not wanted", **named)
            return {}
        on_run(run, self._context.clock())
        logger.info("schedule fired")
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
        names: dict[str, Any] = {"queue": message.queue, "messageId": message.id}
        try:
            run = on_message(self._context, message)
        except DomainError as error:
            logger.warning("message not taken", error=type(error).__name__, **names)
            raise
        except Exception:
            # Whatever it is, the log has to name the message, which comes again or is given up.
            logger.exception("message not taken", **names)
            raise
        on_run(run, self._context.clock())
        logger.info("message taken", **names)
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
        on_key(RunKey(note.workspace_id, note.run_id or ""))
        logger.info("notification", id=note.id, group=note.group_id, **told)
        return answer
