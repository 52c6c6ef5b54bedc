"""Reading and writing for tests of flows."""

import time
from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING

import pytest
from tests.support.samples import connection

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
    failures = importer.write([{"n": 1}, {"text": "\ud800"}], Origin("run_1", 4))
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
