"""What DynamoDB says at the end of a bad line: throttles, conflicts, batches done in part."""

import json
from typing import Any, Final

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from chaos.lines import Send, answer

_TYPE: Final = "com.amazonaws.dynamodb"
_BATCHES: Final = {"BatchGetItem", "BatchWriteItem"}


class DynamoDb:
    """The table's end of the line."""

    name = "dynamodb"
    reads = frozenset({"GetItem", "Query", "BatchGetItem"})
    throttled = (400, json.dumps({"__type": f"{_TYPE}#ThrottlingException", "message": "slower"}))
    broken = (500, json.dumps({"__type": f"{_TYPE}#InternalServerError", "message": "sorry"}))

    def kinds(self, operation: str) -> tuple[str, ...]:
        """What else may become of an operation."""
        if operation == "TransactWriteItems":
            return ("busy",)
        return ("some left",) if operation in _BATCHES else ()

    def met(self, kind: str, request: AWSPreparedRequest, send: Send) -> AWSResponse | None:
        """What comes back when that happens."""
        given = json.loads(_body(request))
        if kind == "busy":
            return answer(request, 400, json.dumps(_conflict(len(given["TransactItems"]))))
        return _in_part(request, given, send)


def _body(request: AWSPreparedRequest) -> bytes:
    body: Any = request.body
    sent: bytes = body
    return sent


def _conflict(items: int) -> dict[str, Any]:
    """Another transaction has the first item in hand."""
    reasons = [{"Code": "TransactionConflict"}, *({"Code": "None"} for _ in range(items - 1))]
    name = f"{_TYPE}#TransactionCanceledException"
    return {"__type": name, "message": "Transaction cancelled", "CancellationReasons": reasons}


def _in_part(request: AWSPreparedRequest, given: dict[str, Any], send: Send) -> AWSResponse | None:
    """Half of a batch is dealt with, and the rest told to be left."""
    ((table, asked),) = given["RequestItems"].items()
    is_read = isinstance(asked, dict)
    items = asked["Keys"] if is_read else asked
    half = len(items) // 2
    rest = {**asked, "Keys": items[half:]} if is_read else items[half:]
    left = {"UnprocessedKeys" if is_read else "UnprocessedItems": {table: rest}}
    if not half:
        return answer(request, 200, json.dumps({"Responses": {}, **left}))
    part = {**asked, "Keys": items[:half]} if is_read else items[:half]
    request.body = json.dumps({**given, "RequestItems": {table: part}}).encode()
    came = send()
    if came is None:
        return None
    return answer(request, came.status_code, json.dumps({**json.loads(came.content), **left}))
