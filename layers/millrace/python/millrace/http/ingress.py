"""Public webhook addresses."""

import json
from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger

from millrace.domain.address import AnswerFormat
from millrace.domain.delivery import Delivery
from millrace.domain.errors import DomainError
from millrace.http import problems
from millrace.http.body import raw_body
from millrace.http.run_views import Accepted
from millrace.usecases.context import Context
from millrace.usecases.deliveries import receive_delivery

logger = Logger(service="ingress")

_RUN_ID: Final = "Millrace-Run-Id"
_CONTENT_TYPES: Final[Mapping[AnswerFormat, str]] = {
    "json": "application/json",
    "xml": "application/xml",
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}


class Ingress:
    """Answers deliveries: Lambda events of an HTTP API, payload format 2.0."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, event: Mapping[str, Any], _: object) -> dict[str, Any]:
        """Accept a delivery with 202 and its run's id, once the run is durable."""
        webhook_id = event["pathParameters"]["webhookId"]
        try:
            accepted = receive_delivery(self._context, webhook_id, delivery_of(event))
        except DomainError as error:
            problem = problems.from_error(error)
            logger.info("delivery refused", webhook=webhook_id, code=problem.code)
            return _answer(problem.status, problem.to_json(), problems.CONTENT_TYPE)
        run, webhook = accepted.run, accepted.webhook
        logger.info("delivery accepted", webhook=webhook_id, run=run.id, is_new=accepted.is_new)
        if webhook.body is not None:
            answered = _configured(webhook.status, webhook.body, _CONTENT_TYPES[webhook.format])
        else:
            told = Accepted(run_id=run.id, deduplicated=not accepted.is_new)
            answered = _answer(webhook.status, told.to_json(), "application/json")
        answered["headers"][_RUN_ID] = run.id
        return answered


def delivery_of(event: Mapping[str, Any]) -> Delivery:
    """The request as it came."""
    return Delivery(
        method=event["requestContext"]["http"]["method"],
        headers={name.lower(): value for name, value in event.get("headers", {}).items()},
        query=event.get("queryStringParameters") or {},
        body=raw_body(event),
    )


def _answer(status: int, body: dict[str, Any], content_type: str) -> dict[str, Any]:
    return _configured(status, json.dumps(body), content_type)


def _configured(status: int, body: str, content_type: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": content_type},
        "body": body,
        "isBase64Encoded": False,
    }
