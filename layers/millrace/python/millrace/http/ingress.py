"""Public addresses: webhooks, which answer at once, and callbacks, which answer with the result."""

import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.delivery import Delivery
from millrace.domain.errors import DomainError
from millrace.domain.reply import Reply
from millrace.domain.run import Run, RunStatus
from millrace.http import problems
from millrace.http.answer_bodies import CONTENT_TYPES, body_of, json_of, readable, text_of
from millrace.http.body import raw_body
from millrace.http.run_views import Accepted
from millrace.observability import Metric, logger, measure, on_run
from millrace.usecases.context import Context
from millrace.usecases.deliveries import receive_delivery
from millrace.usecases.hold import Held, UnansweredError, hold, too_large

type _Answer = dict[str, Any]

_RUN_ID: Final = "Millrace-Run-Id"
_DEDUPLICATED: Final = "Millrace-Deduplicated"
_JSON: Final = "application/json"
_WITHOUT_BODY: Final = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_UNHAPPY: Final[Mapping[RunStatus, tuple[HTTPStatus, str]]] = {
    RunStatus.FAILED: (HTTPStatus.BAD_GATEWAY, "runFailed"),
    RunStatus.CANCELLED: (HTTPStatus.CONFLICT, "runCancelled"),
    RunStatus.SUPERSEDED: (HTTPStatus.CONFLICT, "runSuperseded"),
}
"""How callers are told of runs that have no result."""

_SKIPPED: Final = (HTTPStatus.CONFLICT, "runSkipped")


class Ingress:
    """Answers requests to public addresses: Lambda events of an HTTP API, payload format 2.0."""

    def __init__(self, context: Context, sleep: Callable[[float], None] = time.sleep) -> None:
        self._context = context
        self._sleep = sleep

    def __call__(self, event: Mapping[str, Any], _: object) -> _Answer:
        """Answer a request, with a problem if it is refused."""
        path = event["pathParameters"]
        try:
            delivery = delivery_of(event)
            if "callbackId" in path:
                return self._call(path["callbackId"], delivery)
            return self._deliver(path["webhookId"], delivery)
        except DomainError as error:
            problem = problems.from_error(error)
            logger.info("request refused", address=path, code=problem.code)
            if "webhookId" in path:
                measure({Metric.WEBHOOK_REFUSED: 1}, {"code": problem.code})
            return _answer(problem.status, problem.to_json(), problems.CONTENT_TYPE)

    def _deliver(self, webhook_id: str, delivery: Delivery) -> _Answer:
        """Accept a delivery with 202 and its run's id, once the run is durable."""
        accepted = receive_delivery(self._context, webhook_id, delivery)
        run, webhook = accepted.run, accepted.webhook
        on_run(run, self._context.clock())
        logger.info("delivery accepted", webhook=webhook_id, is_new=accepted.is_new)
        metric = Metric.WEBHOOK_ACCEPTED if accepted.is_new else Metric.WEBHOOK_DUPLICATES
        measure({metric: 1}, {"runId": run.id, "flowId": run.flow_id})
        if webhook.body is not None:
            answered = _configured(webhook.status, webhook.body, CONTENT_TYPES[webhook.format])
        else:
            told = Accepted.of(run, is_new=accepted.is_new)
            answered = _answer(webhook.status, told.to_json(), _JSON)
        return _named(answered, run, is_new=accepted.is_new)

    def _call(self, callback_id: str, delivery: Delivery) -> _Answer:
        """Answer with what the flow hands on, or at the deadline with 202 and the run's id."""
        try:
            held = hold(self._context, callback_id, delivery, self._sleep)
            answered = _result(held)
        except UnansweredError as error:
            held = error.held
            on_run(held.run, self._context.clock())
            logger.warning("no answer", callback=callback_id, code=error.code)
            answered = _unhappy(held.run, HTTPStatus.BAD_GATEWAY, error.code, str(error))
            return _named(answered, held.run, is_new=held.is_new)
        run = held.run
        on_run(run, self._context.clock())
        logger.info("call answered", callback=callback_id, status=run.status.value)
        return _named(answered, run, is_new=held.is_new)


def _result(held: Held) -> _Answer:
    """Raises UnansweredError if Lambda would not take the answer, which it writes as JSON."""
    answered = _worded(held)
    if len(json.dumps(answered, ensure_ascii=False).encode()) > limits.ANSWER_BYTES:
        raise too_large(held)
    return answered


def _worded(held: Held) -> _Answer:
    run = held.run
    if not held.has_result:
        told = Accepted.of(run, is_new=held.is_new)
        answered = _answer(HTTPStatus.ACCEPTED, told.to_json(), _JSON)
        answered["headers"]["Location"] = f"/v1/runs/{run.id}"
        return answered
    if held.reply is not None:
        return _replied(held, held.reply)
    if run.status in _UNHAPPY:
        status, code = _SKIPPED if run.is_skipped else _UNHAPPY[run.status]
        return _unhappy(run, status, code, f"GET /v1/runs/{run.id} tells why")
    form = held.callback.format
    return _configured(held.callback.status, body_of(held.records, form), CONTENT_TYPES[form])


def _replied(held: Held, reply: Reply) -> _Answer:
    """As the flow's last step words it; a text is sent as it is, `{"base64": ...}` as its bytes."""
    status = reply.status or held.callback.status
    given = {name.lower() for name in reply.headers}
    data = _binary(reply.body)
    if data is not None:
        body, content_type = data, "application/octet-stream"
    elif isinstance(reply.body, str):
        body, content_type = readable(reply.body), CONTENT_TYPES[held.callback.format]
    else:
        body, content_type = "" if reply.body is None else json_of(reply.body), _JSON
    answered = _configured(status, body, content_type)
    answered["isBase64Encoded"] = data is not None
    if "content-type" in given or not body:
        del answered["headers"]["Content-Type"]
    answered["headers"] |= reply.headers
    if status in _WITHOUT_BODY:
        answered |= {"body": "", "isBase64Encoded": False}
    return answered


def _binary(body: Json) -> str | None:
    if not isinstance(body, dict) or body.keys() != {"base64"}:
        return None
    text = text_of(body["base64"])
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return text


def _unhappy(run: Run, status: HTTPStatus, code: str, detail: str) -> _Answer:
    """A problem that names the run; why it failed is its owner's to read."""
    problem = problems.problem(status, code, detail).to_json() | {"runId": run.id}
    return _answer(status, problem, problems.CONTENT_TYPE)


def _named(answered: _Answer, run: Run, *, is_new: bool) -> _Answer:
    answered["headers"] |= {_RUN_ID: run.id}
    if not is_new:
        answered["headers"] |= {_DEDUPLICATED: "true"}
    return answered


def delivery_of(event: Mapping[str, Any]) -> Delivery:
    """The request as it came."""
    return Delivery(
        method=event["requestContext"]["http"]["method"],
        headers={name.lower(): value for name, value in event.get("headers", {}).items()},
        query=event.get("queryStringParameters") or {},
        body=raw_body(event),
    )


def _answer(status: int, body: dict[str, Any], content_type: str) -> _Answer:
    return _configured(status, json.dumps(body), content_type)


def _configured(status: int, body: str, content_type: str) -> _Answer:
    return {
        "statusCode": int(status),
        "headers": {"Content-Type": content_type, **problems.SAFE},
        "body": body,
        "isBase64Encoded": False,
    }
