"""What triggered a run becomes records, in whatever form it came."""

import pytest
from tests.support.connectors import ScriptedConnectors
from tests.support.world import World

from millrace import limits
from millrace.connectors.payload_export import PayloadExporter
from millrace.domain.action import ExportAction
from millrace.domain.base import Json
from millrace.domain.errors import StepFailed
from millrace.domain.records import ExportPage
from millrace.domain.run import StepStatus
from millrace.domain.sources import PayloadExport
from millrace.domain.step import Step
from millrace.usecases.pages import read_records


def pages(payload: Json, cursor: Json = None, **work: Json) -> list[ExportPage]:
    """The pages of a payload."""
    return list(PayloadExporter(PayloadExport.model_validate(work), payload).pages(cursor))


XML = {"recordPath": "/orders/order"}


@pytest.mark.parametrize(
    ("payload", "work", "expected"),
    [
        ([{"id": 1}, {"id": 2}], {}, [{"id": 1}, {"id": 2}]),
        ({"id": 1}, {}, [{"id": 1}]),
        (None, {}, []),
        ({"data": {"items": [{"id": 1}]}}, {"path": "/data/items"}, [{"id": 1}]),
        ({"body": '[{"id": 1}]'}, {"path": "/body"}, [{"id": 1}]),
        ({"body": '{"a": [{"id": 1}]}'}, {"path": "/body", "recordsPath": "/a"}, [{"id": 1}]),
        ({"body": "id,n\n1,é\n"}, {"path": "/body", "format": "csv"}, [{"id": "1", "n": "é"}]),
        (
            {"body": '{"id":1}\n{"id":2}'},
            {"path": "/body", "format": "ndjson"},
            [{"id": 1}, {"id": 2}],
        ),
        ("<orders><order id='1'/></orders>", {"format": "xml", "xml": XML}, [{"@id": "1"}]),
    ],
    ids=["array", "object", "nothing", "path", "text", "path in text", "csv", "ndjson", "xml"],
)
def test_a_payload_becomes_records(payload: Json, work: Json, expected: Json) -> None:
    """JSON as it is, or a text in one of the formats."""
    (page,) = pages(payload, **work)
    assert (page.records, page.failures, page.next_cursor) == (expected, [], None)


@pytest.mark.parametrize(
    ("payload", "work", "code"),
    [
        ({}, {"path": "/body"}, "payloadMissing"),
        ({"body": {}}, {"path": "/body", "format": "csv"}, "payloadNotText"),
        ('{"id": 1', {}, "notWhole"),
        ("no JSON", {}, "notJson"),
        ("a,a\n1,2\n", {"format": "csv"}, "badHeader"),
        ({"items": {}}, {"recordsPath": "/items"}, "recordsMissing"),
    ],
)
def test_a_payload_that_cannot_be_read_fails_the_step(payload: Json, work: Json, code: str) -> None:
    """With a name, and for good: it will be the same the next time."""
    with pytest.raises(StepFailed) as failed:
        pages(payload, **work)
    assert failed.value.code == code


def test_what_is_no_record_fails_alone() -> None:
    """The others go on."""
    (page,) = pages([{"id": 1}, 2, {"id": 3}])
    assert page.records == [{"id": 1}, {"id": 3}]
    assert [(failure.index, failure.code) for failure in page.failures] == [(1, "notAnObject")]


def test_a_large_payload_is_read_in_pages_from_any_of_them() -> None:
    """A cursor is the number of records that were handed on."""
    payload = [{"id": n} for n in range(limits.PAGE_RECORDS + 1)]
    first, last = pages(payload)
    assert (len(first.records), first.next_cursor) == (limits.PAGE_RECORDS, limits.PAGE_RECORDS)
    assert pages(payload, first.next_cursor) == [last]


def test_a_run_begins_with_its_payload() -> None:
    """A step of a flow that needs no connection."""
    world = World(connectors=ScriptedConnectors())
    work = PayloadExport(path="/body", format="csv")
    action = ExportAction(type="Export", payload=work)
    flow = world.deployed(Step(id="read", type="Export", action=action))
    run = world.start(flow, {"body": "id\n1\n2\n"})
    record = world.step(run, "read")
    assert (record.status, record.counts.records_out) == (StepStatus.SUCCEEDED, 2)
    assert list(read_records(world.blobs, record.output)) == [[{"id": "1"}, {"id": "2"}]]


@pytest.mark.parametrize(
    "work",
    [
        {},
        {"connectionId": "con_1"},
        {"connectionId": "con_1", "payload": {}},
        {"http": {"path": "/"}},
        {"payload": {}, "s3": {"bucket": "millrace-data-1", "prefix": ""}},
        {"payload": {}, "delta": {}},
        {"payload": {"format": "xml"}},
        {"s3": {"bucket": "millrace-data-1"}},
        {"s3": {"bucket": "millrace-data-1", "key": "a", "prefix": "a"}},
        {"s3": {"bucket": "millrace-data-1", "key": "a", "pattern": "*"}},
        {"s3": {"bucket": "Not a bucket", "key": "a"}},
    ],
)
def test_an_export_has_one_source(work: Json) -> None:
    """And a connection if that is another system."""
    with pytest.raises(ValueError, match="Export"):
        ExportAction.model_validate({"type": "Export", **work})
