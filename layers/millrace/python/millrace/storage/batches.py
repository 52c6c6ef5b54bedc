"""Reading many items of the table by their keys in few requests."""

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from millrace import limits
from millrace.domain.errors import UnavailableError
from millrace.storage.attributes import attributes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

# Before each further try of what a read left; about 1.5 s in all.
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)


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
