"""Reading and writing for tests of flows."""

import time
from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import pytest
from tests.support.samples import connection, origins

from millrace.connectors.aws_targets import AwsTargets
from millrace.connectors.registry import HttpConnectors
from millrace.connectors.rehearsal import Sampler
from millrace.domain.action import ImportAction
from millrace.domain.authentication import BearerAuth
from millrace.domain.base import Json
from millrace.domain.errors import StepTransient
from millrace.domain.records import ExportPage, Origin
from millrace.domain.run_values import NO_VALUES

if TYPE_CHECKING:
    from millrace.domain.ports import Unsent


def test_a_page_that_does_not_come_is_not_waited_for() -> None:
    """However the reader hangs; pages that come in time do come."""
    over = Event()

    class Hanging:
        def pages(self, cursor: Json) -> Iterator[ExportPage]:
            yield ExportPage([{"n": cursor}], [], 2)
            over.wait(30)

    began = time.monotonic()
    pages = Sampler(Hanging(), 0.2).pages(1)
    assert next(pages).records == [{"n": 1}]
    with pytest.raises(StepTransient, match="no whole page within 0 s") as raised:
        next(pages)
    over.set()
    assert raised.value.code == "timedOut"
    assert time.monotonic() - began < 10


def test_a_preview_needs_no_secret_and_sends_nothing() -> None:
    """It tells the requests as they would be, but for what proves who asks."""
    work = {"type": "Import", "connectionId": "con_1", "http": {"path": "/in", "batchSize": 2}}
    shop = connection(auth=BearerAuth(type="bearer"), headers={"X-Tenant": "1"})
    noted: list[Unsent] = []
    action = ImportAction.model_validate(work)

    def key(origin: Origin, _: bytes) -> str:
        return f"key-{origin.position}"

    hidden: set[str] = set()
    importer = HttpConnectors().preview(action, shop, NO_VALUES, key, noted.append, hidden.update)
    failures = importer.write([{"n": 1}, {"text": "\ud800"}], origins(2, 4)).failures
    assert [failure.code for failure in failures] == ["textNotUnicode"]
    (request,) = noted
    assert hidden == set()
    assert (request.method, request.url) == ("POST", "https://shop.example/in")
    assert request.body == b'[{"n":1}]'
    assert dict(request.headers) == {
        "Accept": "application/json",
        "User-Agent": "millrace",
        "X-Tenant": "1",
        "Content-Type": "application/json",
        "Idempotency-Key": "key-4",
    }


AWS = AwsTargets(MagicMock(spec=()), MagicMock(spec=()), MagicMock(spec=()), "data-", frozenset())
"""Services that must not be called: there is nothing to call."""


@pytest.mark.parametrize(
    ("target", "method", "address", "told"),
    [
        (
            {"s3": {"bucket": "data-lake", "key": "{{ part }}.gz", "gzip": True}},
            "PutObject",
            "s3://data-lake/000000000004-key-4.gz",
            b'{"id":"a"}\n',
        ),
        (
            {"dynamodb": {"table": "data-orders", "key": ["id"]}},
            "BatchWriteItem",
            "dynamodb://data-orders",
            b'[{"PutRequest":{"Item":{"id":{"S":"a"}}}}]',
        ),
        (
            {"sqs": {"queue": "data-orders.fifo", "group": "id"}},
            "SendMessageBatch",
            "sqs://data-orders.fifo",
            b'"MessageGroupId":"a"',
        ),
    ],
    ids=["s3", "dynamodb", "sqs"],
)
def test_a_preview_writes_nothing_to_aws(
    target: Json, method: str, address: str, told: bytes
) -> None:
    """It tells the calls that would be made."""
    noted: list[Unsent] = []
    importer = HttpConnectors(aws=lambda: AWS).preview(
        ImportAction.model_validate({"type": "Import", **target}),
        None,
        NO_VALUES,
        lambda origin, _: f"key-{origin.position}",
        noted.append,
        print,
    )
    written = importer.write([{"id": "a"}, {"id": "\ud800"}], origins(2, 4))
    assert [failure.index for failure in written.failures] == [1]
    (call,) = noted
    assert (call.method, call.url) == (method, address)
    assert told in call.body


def test_a_preview_takes_a_batch_for_written_whatever_its_results() -> None:
    """There is no answer in which results could stand."""
    results = {"path": "/results", "statusPath": "/status"}
    http = {"path": "/in", "batchSize": 2, "results": results}
    work = {"type": "Import", "connectionId": "con_1", "http": http}
    noted: list[Unsent] = []
    importer = HttpConnectors().preview(
        ImportAction.model_validate(work),
        connection(),
        NO_VALUES,
        lambda *_: "key",
        noted.append,
        print,
    )
    assert importer.write([{"id": 1}, {"id": 2}], origins(2)).failures == []
    assert len(noted) == 1
