"""Exports in every format through the worker, over a real socket, from a system that misbehaves."""

import gzip
import json
import socket
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.functional.loopback_server import (
    LOOPBACK,
    REACH,
    LoopbackServer,
    Reply,
    answer,
    raw,
    serving,
)
from tests.support.samples import ALICE, export_step
from tests.support.world import AMPLE, World

from millrace import limits
from millrace.connectors.http_client import HttpClient
from millrace.connectors.registry import HttpConnectors
from millrace.connectors.transport import Urllib3Transport
from millrace.domain.action import ExportAction
from millrace.domain.base import Json, Record
from millrace.domain.connection import ConnectionInput
from millrace.domain.errors import StepError, StepFailed, StepThrottled, StepTransient
from millrace.domain.run import Counts, Run, StepRecord, StepStatus
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.pages import read_records
from millrace.usecases.run_step import StepTask, run_step

STREAM_BYTES_MAX = 80_000_000
ORDERS = {"recordPath": "/orders/order"}


class Worker:
    """The worker's context with the real connectors, and one run of one export."""

    def __init__(self, server: LoopbackServer, **http: Json) -> None:
        world = World()
        self.blobs = world.blobs
        transport = Urllib3Transport(
            timeout_seconds=5,
            body_bytes_max=1_000_000,
            stream_bytes_max=STREAM_BYTES_MAX,
            reach=REACH,
        )
        client = HttpClient(transport, sleep=lambda _: None)
        connectors = HttpConnectors(client, networks=lambda: LOOPBACK)
        self.context = replace(world.context, connectors=connectors)
        given = ConnectionInput(name="shop", base_url=server.url)
        connection = CONNECTIONS.create(self.context, ALICE, given)
        action = ExportAction.model_validate(
            {"type": "Export", "connectionId": connection.id, "http": {"path": "/orders", **http}}
        )
        self.run: Run = world.start(world.deployed(export_step(action=action)))

    def step(self, time_left: timedelta = AMPLE) -> StepRecord:
        """Run the export."""
        task = StepTask(
            workspace_id=ALICE.workspace_id, run_id=self.run.id, attempt=1, step_id="read"
        )
        return run_step(self.context, task, lambda: time_left)

    def output(self, record: StepRecord) -> list[Record]:
        """The records that the export handed on."""
        return [item for page in read_records(self.blobs, record.output) for item in page]


@contextmanager
def export(*replies: Reply, **http: Json) -> Iterator[Worker]:
    """An export from a server with these replies."""
    with serving(*replies) as server:
        yield Worker(server, **http)


def typed(body: bytes, media_type: str, headers: str = "") -> Reply:
    """An answer with a Content-Type."""
    return answer(body=body, headers=f"Content-Type: {media_type}\r\n{headers}")


@pytest.mark.parametrize(
    ("reply", "http"),
    [
        (typed(b'[{"id": "1"}, {"id": "\xe9"}]', "application/json; charset=latin1"), {}),
        (typed(b'{"id": "1"}\n{"id": "\xc3\xa9"}\n', "application/x-ndjson"), {"format": "ndjson"}),
        (typed(b"id\n1\n\xe9\n", 'text/csv; charset="ISO-8859-1"'), {"format": "csv"}),
        (typed("\ufeffid\n1\né\n".encode("utf-16-le"), "text/plain"), {"format": "csv"}),
        (
            typed(b"id\n1\n\xe9\n", "text/csv; charset=utf-8"),
            {"format": "csv", "csv": {"encoding": "latin1"}},
        ),
        (
            typed(
                "<orders><order><id>1</id></order><order><id>é</id></order></orders>".encode(),
                "application/atom+xml",
            ),
            {"format": "xml", "xml": ORDERS},
        ),
        (
            typed(
                zlib.compress('{"id": "1"}\n{"id": "é"}\n'.encode()),
                "application/json",
                "Content-Encoding: deflate\r\n",
            ),
            {"format": "ndjson"},
        ),
        (
            typed(
                zlib.compress('[{"id": "1"}, {"id": "é"}]'.encode(), wbits=-15),
                "application/json",
                "Content-Encoding: deflate\r\n",
            ),
            {},
        ),
        (typed(gzip.compress("id\n1\né\n".encode()), "application/gzip"), {"format": "csv"}),
    ],
    ids=["json latin1", "ndjson", "csv latin1", "csv utf-16", "csv encoding", "xml", "deflate",
         "bare deflate", "csv.gz"],
)  # fmt: skip
def test_an_export_reads_what_systems_send(reply: Reply, http: Json) -> None:
    """Formats, charsets and compressions, to the same two records."""
    with export(reply, **http) as worker:
        record = worker.step()
    assert worker.output(record) == [{"id": "1"}, {"id": "é"}]
    assert record.counts == Counts(records_in=2, records_out=2)


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "xml"])
@pytest.mark.parametrize(
    ("media_type", "code"),
    [
        ("text/html; charset=utf-8", "wrongContentType"),
        ("image/svg+xml; charset=rot13", "wrongContentType"),
        ("text/plain; charset=rot13", "unknownCharset"),
    ],
)
def test_what_is_something_else_fails_the_step(form: str, media_type: str, code: str) -> None:
    """A login page is no data, in whatever format data was expected."""
    if form == "xml" and "svg" in media_type:
        code = "unknownCharset"
    options = {"xml": ORDERS} if form == "xml" else {}
    with (
        export(typed(b"<html>Sign in</html>", media_type), format=form, **options) as worker,
        pytest.raises(StepFailed) as raised,
    ):
        worker.step()
    assert raised.value.code == code


def test_no_content_is_no_records() -> None:
    """204, as some systems answer when there is nothing."""
    for form in ("json", "ndjson", "csv"):
        with export(answer(204), format=form) as worker:
            assert worker.step().counts == Counts()


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "xml"])
def test_r13_one_poison_record_among_a_thousand(form: str) -> None:
    """The other 999 are handed on, and the step says what is wrong with the one."""
    good = [str(number) for number in range(1_000)]
    body = {
        "json": lambda: "[" + ",".join(f'{{"id": {n}}}' for n in good) + "]",
        "ndjson": lambda: "\n".join(f'{{"id": {n}}}' for n in good),
        "csv": lambda: "id\n" + "\n".join(good),
        "xml": lambda: (
            "<orders>" + "".join(f"<order><id>{n}</id></order>" for n in good) + "</orders>"
        ),
    }[form]()
    place, poison = {
        "json": ('{"id": 500}', '{"id": NaN}'),
        "ndjson": ('{"id": 500}', '{"id": 500'),
        "csv": ("\n500\n", "\n500,500\n"),
        "xml": ("<id>500</id>", "<id>" + "<a>" * 200 + "</a>" * 200 + "</id>"),
    }[form]
    options = {"xml": ORDERS} if form == "xml" else {}
    with export(
        answer(body=body.replace(place, poison).encode()), format=form, **options
    ) as worker:
        record = worker.step()
    assert record.status is StepStatus.PARTIALLY_SUCCEEDED
    assert record.counts == Counts(records_in=1_000, records_out=999, records_failed=1)
    assert record.error is not None
    assert record.error.code == "parse"
    ids = [str(item["id"]) for item in worker.output(record)]
    assert ids == [n for n in good if n != "500"]


def pieces(*parts: bytes) -> Reply:
    """An answer whose body is never in one piece."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for part in parts:
            connection.sendall(part)

    return reply


CHUNK = b"x" * 1_000_000


@pytest.mark.parametrize(
    ("form", "before", "after", "handed_on"),
    [
        ("ndjson", b'{"id": "1"}\n{"s": "', b'"}\n{"id": "2"}\n', [{"id": "1"}, {"id": "2"}]),
        ("csv", b'id\n1\n"', b'"\n2\n', [{"id": "1"}, {"id": "2"}]),
        (
            "xml",
            b"<orders><order><id>1</id></order><order><s>",
            b"</s></order><order><id>2</id></order></orders>",
            [{"id": "1"}, {"id": "2"}],
        ),
    ],
)
def test_one_record_of_50_megabytes(
    form: str, before: bytes, after: bytes, handed_on: list[Record]
) -> None:
    """It fails alone, and memory never holds it."""
    options = {"xml": ORDERS} if form == "xml" else {}
    with export(pieces(before, *[CHUNK] * 50, after), format=form, **options) as worker:
        tracemalloc.start()
        try:
            record = worker.step()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert worker.output(record) == handed_on
    assert record.counts.records_failed == 1
    assert record.error is not None
    assert record.error.code == "tooLarge"
    assert peak < 30_000_000


def test_one_record_of_50_megabytes_in_json_fails_the_step() -> None:
    """A document is read whole, so its size is bounded as a whole."""
    reply = pieces(b'[{"id": 1}, {"s": "', *[CHUNK] * 50, b'"}]')
    with export(reply) as worker, pytest.raises(StepFailed) as raised:
        worker.step()
    assert raised.value.code == "answerTooLarge"


def bomb(data: bytes, encoding: str) -> Reply:
    """An answer that swells a thousand times."""
    return answer(body=data, headers=f"Content-Encoding: {encoding}\r\n")


ZEROS = b"0" * (STREAM_BYTES_MAX + 1)


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
@pytest.mark.parametrize(
    "reply",
    [
        bomb(gzip.compress(ZEROS, 1), "gzip"),
        bomb(zlib.compress(ZEROS, 1), "deflate"),
        pieces(*[CHUNK] * 81),
    ],
    ids=["gzip", "deflate", "endless"],
)
def test_an_answer_without_end_is_refused(form: str, reply: Reply) -> None:
    """Size is counted after decompression, in a file as in memory."""
    with export(reply, format=form) as worker, pytest.raises(StepFailed) as raised:
        worker.step()
    assert raised.value.code == "answerTooLarge"


def test_a_compressed_file_may_not_swell_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """A .gz that comes as it is has the same cap."""
    monkeypatch.setattr(limits, "OUTBOUND_STREAM_BYTES", 1_000_000)
    reply = answer(body=gzip.compress(b"id\n" + b"1\n" * 1_000_000))
    with export(reply, format="csv") as worker, pytest.raises(StepFailed) as raised:
        worker.step()
    assert raised.value.code == "answerTooLarge"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(body=gzip.compress(b"id\n1\n2\n")[:-9]), StepTransient),
        (answer(body=gzip.compress(b"id\n")[:8] + b"x" * 50), StepFailed),
        (raw(b"HTTP/1.1 200 OK\r\n\r\n" + b'id\n1\n"2'), StepTransient),
    ],
    ids=["cut gz", "bad gz", "cut csv"],
)
def test_a_cut_file_is_no_success(reply: Reply, error: type[StepError]) -> None:
    """Whatever was read of it."""
    with export(reply, format="csv") as worker, pytest.raises(error):
        worker.step()


FILE = b"id\n" + b"".join(b"%d\n" % number for number in range(2_500))


def test_a_long_file_goes_on_where_it_was_left() -> None:
    """In a new invocation the file is read again, and what was handed on is passed over."""
    with export(*[answer(body=FILE)] * 3, format="csv") as worker:
        for _ in range(2):
            with pytest.raises(StepThrottled):
                worker.step(time_left=timedelta(seconds=30))
        with pytest.raises(StepThrottled):
            worker.step(time_left=timedelta(seconds=30))
        record = worker.step()
    assert [int(item["id"]) for item in worker.output(record)] == list(range(2_500))
    assert record.counts == Counts(records_in=2_500, records_out=2_500)


@pytest.mark.parametrize("other", [FILE.replace(b"\n999\n", b"\n"), b"id\n1\n"])
def test_a_file_that_changed_meanwhile_fails_the_step(other: bytes) -> None:
    """Passing over other records than were handed on would lose some or send some twice."""
    with export(answer(body=FILE), answer(body=other), format="csv") as worker:
        with pytest.raises(StepThrottled):
            worker.step(time_left=timedelta(seconds=30))
        with pytest.raises(StepFailed) as raised:
            worker.step()
    assert raised.value.code == "answerChanged"


def test_a_search_is_paged_by_its_body() -> None:
    """The token of each answer goes into the next request's JSON."""
    replies = [
        answer(body=json.dumps({"hits": [{"id": 1}], "scroll": "s1"}).encode()),
        answer(body=json.dumps({"hits": [{"id": 2}]}).encode()),
    ]
    pagination = {
        "type": "cursor",
        "tokenPath": "/scroll",
        "sendIn": "body",
        "parameter": "/scroll",
    }
    with serving(*replies) as server:
        worker = Worker(
            server, method="POST", body={"q": "*"}, recordsPath="/hits", pagination=pagination
        )
        assert worker.output(worker.step()) == [{"id": 1}, {"id": 2}]
    assert server.requests[0].endswith(b'{"q": "*"}')
    assert server.requests[1].endswith(b'{"q": "*", "scroll": "s1"}')
