"""DynamoDB at the end of a bad line: the real adapters and botocore over moto.

Faults happen where a request leaves botocore, so what botocore tries again by itself is tried
again: that of a write whose answer was lost finds the write there.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from chaos.faults import Fault, Faults
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber
from tests.support.aws import create_table, simulated_aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_READS: Final = {"GetItem", "Query", "BatchGetItem"}
_BATCHES: Final = {"BatchGetItem", "BatchWriteItem"}
_THROTTLED: Final = {"__type": "com.amazonaws.dynamodb#ThrottlingException", "message": "slower"}
_BROKEN: Final = {"__type": "com.amazonaws.dynamodb#InternalServerError", "message": "sorry"}


class BadLine:
    """Carries requests to moto, or does not."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def __call__(
        self, request: AWSPreparedRequest, event_name: str, **_: object
    ) -> AWSResponse | None:
        """What comes back, as a handler of botocore's `before-send`. Raises as the network does."""
        operation = event_name.rpartition(".")[2]
        kind = self._faults.draw(f"dynamodb {operation}", _kinds(operation))
        match kind:
            case Fault.REFUSED:
                return _answer(request, 400, _THROTTLED)
            case "reset before":
                raise ConnectionClosedError(endpoint_url=request.url)
            case "busy":
                return _answer(request, 400, _conflict(request))
            case Fault.KILLED_BEFORE:
                raise self._faults.kill()
            case Fault.MEANWHILE | Fault.FROZEN:
                self._faults.wait(give_up=kind is Fault.FROZEN)
            case "some left":
                return _in_part(event_name, request, operation)
        answer = botocore_stubber(event_name, request)
        match kind:
            case Fault.LOST:
                raise ReadTimeoutError(endpoint_url=request.url)
            case "500 after":
                return _answer(request, 500, _BROKEN)
            case Fault.KILLED_AFTER:
                raise self._faults.kill()
        return answer


def _kinds(operation: str) -> list[str]:
    kinds: list[str] = [Fault.REFUSED, "reset before", Fault.KILLED_BEFORE, Fault.MEANWHILE]
    kinds.append(Fault.FROZEN)
    if operation not in _READS:
        kinds += [Fault.LOST, "500 after", Fault.KILLED_AFTER]
    if operation == "TransactWriteItems":
        kinds.append("busy")
    if operation in _BATCHES:
        kinds.append("some left")
    return kinds


def _body(request: AWSPreparedRequest) -> bytes:
    body: Any = request.body
    sent: bytes = body
    return sent


def _answer(request: AWSPreparedRequest, status: int, body: dict[str, Any]) -> AWSResponse:
    raw: Any = MockRawResponse(json.dumps(body))
    return AWSResponse(request.url, status, HTTPHeaders(), raw)


def _conflict(request: AWSPreparedRequest) -> dict[str, Any]:
    """Another transaction has the first item in hand."""
    others = len(json.loads(_body(request))["TransactItems"]) - 1
    reasons = [{"Code": "TransactionConflict"}, *({"Code": "None"} for _ in range(others))]
    name = "com.amazonaws.dynamodb#TransactionCanceledException"
    return {"__type": name, "message": "Transaction cancelled", "CancellationReasons": reasons}


def _in_part(event_name: str, request: AWSPreparedRequest, operation: str) -> AWSResponse | None:
    """Half of a batch is dealt with, and the rest told to be left."""
    given = json.loads(_body(request))
    ((table, asked),) = given["RequestItems"].items()
    items = asked["Keys"] if operation == "BatchGetItem" else asked
    half = len(items) // 2
    rest = {**asked, "Keys": items[half:]} if operation == "BatchGetItem" else items[half:]
    left = {"UnprocessedKeys" if operation == "BatchGetItem" else "UnprocessedItems": {table: rest}}
    if not half:
        return _answer(request, 200, {"Responses": {}, **left})
    part = {**asked, "Keys": items[:half]} if operation == "BatchGetItem" else items[:half]
    request.body = json.dumps({**given, "RequestItems": {table: part}}).encode()
    answer = botocore_stubber(event_name, request)
    if answer is None:
        return None
    return _answer(request, answer.status_code, {**json.loads(answer.content), **left})


@contextmanager
def dynamodb(faults: Faults, table: str, tries: int) -> Iterator["DynamoDBClient"]:
    """A client at the end of a bad line to an empty table; botocore tries so often by itself."""
    with simulated_aws():
        client = boto3.client(
            "dynamodb", config=Config(retries={"mode": "standard", "total_max_attempts": tries})
        )
        moto: Any = botocore_stubber
        line: Any = BadLine(faults)
        client.meta.events.unregister("before-send", moto)
        client.meta.events.register("before-send", line)
        create_table(client, table)
        yield client
