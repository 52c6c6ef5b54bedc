"""Reading and writing many items of the table in few requests."""

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from millrace import limits
from millrace.domain.errors import UnavailableError
from millrace.storage.attributes import attributes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        WriteRequestOutputTypeDef,
        WriteRequestTypeDef,
    )

_WRITES_AT_ONCE: Final = 25
"""DynamoDB: requests in one BatchWriteItem."""

PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Before each further try of what another writer had in hand; about 3 s in all."""

# Before each further try of what a read left; about 1.5 s in all.
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)


PASSES: Final = frozenset(
    {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
)
"""Why a transaction may be cancelled and yet succeed when the same is sent again."""

MAY_PASS: Final = PASSES | {"None", "ConditionalCheckFailed"}
"""Why a transaction may be cancelled and yet succeed when it is sent again after a new read."""


def read_items(
    client: "DynamoDBClient", table: str, keys: Iterable[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """The items of these `pk` and `sk`, in any order; what is not there is left out.

    One consistent read for each 100. Raises UnavailableError if DynamoDB keeps leaving some.
    """
    for batch in batched(keys, limits.BATCH_READ_ITEMS, strict=False):
        wanted: list[Mapping[str, AttributeValueTypeDef]] = [
            attributes(pk=pk, sk=sk) for pk, sk in batch
        ]
        for pause in (*_PAUSES, None):
            answer = client.batch_get_item(
                RequestItems={table: {"Keys": wanted, "ConsistentRead": True}}
            )
            yield from answer["Responses"].get(table, [])
            left = answer["UnprocessedKeys"].get(table)
            if not left:
                break
            wanted = [*left["Keys"]]
            if pause is None:
                raise UnavailableError("the table is busy; try again")
            time.sleep(pause)


def write_all(
    client: "DynamoDBClient", table: str, requests: "Iterable[WriteRequestTypeDef]"
) -> None:
    """Carry out puts and deletes, whatever is there; no two may be of one key.

    Raises UnavailableError if DynamoDB keeps leaving some.
    """
    for batch in batched(requests, _WRITES_AT_ONCE, strict=False):
        left: Sequence[WriteRequestTypeDef | WriteRequestOutputTypeDef] = batch
        for pause in (*PAUSES, None):
            answer = client.batch_write_item(RequestItems={table: left})
            left = answer["UnprocessedItems"].get(table, ())
            if not left:
                break
            if pause is None:
                raise UnavailableError("the table is busy; try again")
            wait(pause)


def wait(pause: float) -> None:
    """Wait about so many seconds: two that met would meet again if they waited equally long."""
    time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
