"""Messages of a queue that start runs."""

from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from millrace import limits
from millrace.domain.base import Json, Model, rfc3339
from millrace.domain.errors import ConflictError
from millrace.domain.json_text import parse_text
from millrace.domain.run import Run, Trigger
from millrace.usecases.context import Context
from millrace.usecases.deployed import deployed_version
from millrace.usecases.queues import live_queue_of, owner_of
from millrace.usecases.runs import Manner, begin_run, for_request, record_run

_MEMORY: Final = timedelta(days=limits.MESSAGE_MEMORY_DAYS)


class Message(Model):
    """A message as it was received."""

    queue: str
    id: str
    body: str
    sent_at: datetime
    attributes: dict[str, str] = Field(default_factory=dict)


def on_message(context: Context, message: Message) -> Run:
    """Start the run of a message, at most one, however often the message comes.

    Once this returns the run is durable, and the message may go. Raises NotFoundError and
    ConflictError while there is no flow that takes it, or it is disabled or not deployed, and
    QueueFullError while too many of its runs wait: then the message has to stay.
    """
    flow = owner_of(context, message.queue)
    if live_queue_of(flow) != message.queue:
        raise ConflictError(f"flow {flow.id!r} takes no messages of queue {message.queue!r} now")
    payload = _record(message)
    trigger = Trigger(source="queue", queue=message.queue, delivery_id=message.id)
    run, is_new = record_run(
        context,
        deployed_version(context, flow),
        trigger,
        payload,
        how=for_request(context, flow, trigger, payload, Manner()),
        dedupe_key=f"{message.queue}\n{message.id}",
        dedupe_for=_MEMORY,
    )
    if is_new:
        begin_run(context, run)
    return run


def _record(message: Message) -> dict[str, Json]:
    """What the flow takes: JSON is read, any other body is a text."""
    try:
        body = parse_text(message.body)
    except ValueError:
        body = message.body
    return {
        "body": body,
        "messageId": message.id,
        "queue": message.queue,
        "sentAt": rfc3339(message.sent_at),
        "attributes": message.attributes,
    }
