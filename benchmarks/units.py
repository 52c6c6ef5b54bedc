"""DynamoDB's capacity units, computed from requests and answers as they go over the wire.

By the developer guide, "Read and write operations": 4 KB for a read unit, half a unit if eventually
consistent; 1 KB for a write unit, twice that in a transaction. The size of an item that is changed
in place is not on the wire: an update and a condition check count as one unit's size.
"""

import math
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any

READ_BYTES = 4_096
WRITE_BYTES = 1_024

type Item = Mapping[str, Mapping[str, Any]]


def consumed(
    operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]
) -> tuple[float, float]:
    """Read and write units of one request."""
    each = 1.0 if request.get("ConsistentRead") else 0.5
    match operation:
        case "GetItem":
            return each * _reads([item_bytes(answer.get("Item", {}))]), 0.0
        case "BatchGetItem":
            return sum(_batch(request, answer)), 0.0
        case "Query":
            # A query is charged for the sum, not for each item.
            return each * _reads([sum(map(item_bytes, answer["Items"]))]), 0.0
        case "TransactWriteItems":
            return 0.0, 2.0 * sum(_write(action) for action in request["TransactItems"])
        case "PutItem":
            return 0.0, float(_units(item_bytes(request["Item"]), WRITE_BYTES))
        case "UpdateItem" | "DeleteItem":
            return 0.0, 1.0
        case _:
            raise NotImplementedError(operation)


def item_bytes(item: Item) -> int:
    """The size of an item: names and values."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:  # noqa: PLR0911 - one for each kind
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(b64decode(content))
        case "N":
            return math.ceil(len(content) / 2) + 1
        case "L":
            return 3 + sum(1 + _value_bytes(part) for part in content)
        case "M":
            return 3 + sum(1 + item_bytes({name: part}) for name, part in content.items())
        case "SS" | "NS" | "BS":
            return sum(len(part.encode()) for part in content)
        case _:  # NULL, BOOL
            return 1


def _batch(request: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterable[float]:
    for table, items in answer["Responses"].items():
        asked = request["RequestItems"][table]
        each = 1.0 if asked.get("ConsistentRead") else 0.5
        # What is not there is charged too.
        absent = [0] * (len(asked["Keys"]) - len(items))
        yield each * _reads([*map(item_bytes, items), *absent])


def _reads(sizes: Iterable[int]) -> int:
    return sum(_units(size, READ_BYTES) for size in sizes)


def _write(action: Mapping[str, Any]) -> int:
    return _units(item_bytes(action["Put"]["Item"]), WRITE_BYTES) if "Put" in action else 1


def _units(size: int, unit: int) -> int:
    return max(1, math.ceil(size / unit))
