"""An export gives every record once, page by page, and goes on where it was cut off."""

import json
from collections.abc import Iterator
from itertools import islice
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.connectors.fake_transport import (
    ScriptedTransport,
    client,
    connection,
    http_client,
    lost,
    ok,
    refused,
    script,
)

from millrace.connectors.http_client import TRIES
from millrace.connectors.http_export import HttpExporter
from millrace.connectors.http_messages import HttpRequest, HttpResponse, TransportError
from millrace.connectors.registry import HttpConnectors
from millrace.domain.action import ExportAction, HttpExport
from millrace.domain.authentication import BearerAuth
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepError, StepFailed
from millrace.domain.records import ExportPage
from millrace.domain.run_values import RunValues

NEXT_LINK = {"type": "nextLink", "nextLinkPath": "/next"}


def exporter(transport: ScriptedTransport, **http: Json) -> HttpExporter:
    """An exporter of `/orders` with this much of an action's wire form."""
    return HttpExporter(HttpExport.model_validate({"path": "/orders", **http}), client(transport))


def body(value: Json) -> HttpResponse:
    """A 200 with JSON."""
    return ok(json.dumps(value).encode())


def records(pages: Iterator[ExportPage]) -> list[Record]:
    """All records in order."""
    return [record for page in pages for record in page.records]


def test_export_without_pagination_is_one_request() -> None:
    """One answer, sent with the action's method, query and headers."""
    transport = script(body({"data": {"items": [{"id": 1}, {"id": 2}]}}))
    pages = exporter(
        transport,
        method="POST",
        query={"state": "open"},
        headers={"X-Mode": "full"},
        recordsPath="/data/items",
    ).pages()
    assert list(pages) == [ExportPage([{"id": 1}, {"id": 2}], [], None)]
    (request,) = transport.requests
    assert request.method == "POST"
    assert request.url == "https://api.example/v1/orders?state=open"
    assert request.headers["X-Mode"] == "full"


def test_offset_export_ends_at_a_short_page() -> None:
    """Offset and limit are added to the query; a page shorter than the limit is the last."""
    transport = script(body([{"id": 1}, {"id": 2}]), body([{"id": 3}]))
    pagination = {"type": "offset", "limit": 2, "limitParameter": "n", "offsetParameter": "from"}
    pages = exporter(transport, query={"state": "open"}, pagination=pagination).pages()
    assert records(pages) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert [urlsplit(request.url).query for request in transport.requests] == [
        "state=open&from=0&n=2",
        "state=open&from=2&n=2",
    ]


def test_offset_export_of_a_full_last_page_ends_at_an_empty_one() -> None:
    """When the records fill the last page, one more request finds nothing."""
    transport = script(body([{"id": 1}]), body([]))
    assert records(exporter(transport, pagination={"type": "offset", "limit": 1}).pages()) == [
        {"id": 1}
    ]


def test_offset_export_from_a_system_that_ignores_the_limit_fails() -> None:
    """More records than asked for would mean the same records again and again."""
    transport = script(body([{"id": 1}, {"id": 2}]))
    with pytest.raises(StepFailed, match="2 records where 1 were asked for") as raised:
        list(exporter(transport, pagination={"type": "offset", "limit": 1}).pages())
    assert raised.value.code == "limitIgnored"


@pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}, {"next": False}], ids=str)
def test_next_link_export_follows_links_to_their_end(end: dict[str, Json]) -> None:
    """Absolute and relative links are followed until there is none."""
    transport = script(
        body({"items": [{"id": 1}], "next": "https://api.example/v1/orders?page=2"}),
        body({"items": [{"id": 2}], "next": "?page=3"}),
        body({"items": [], "next": "/v1/more"}),
        body({"items": [{"id": 3}], **end}),
    )
    pages = exporter(transport, recordsPath="/items", pagination=NEXT_LINK).pages()
    assert records(pages) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert [
        request.url.removeprefix("https://api.example/v1/") for request in transport.requests
    ] == [
        "orders",
        "orders?page=2",
        "orders?page=3",
        "more",
    ]


def test_next_link_to_another_host_is_followed_without_credentials() -> None:
    """A hostile answer cannot make the export hand its token to somebody else."""
    transport = script(
        body({"items": [], "next": "https://evil.example/orders"}), body({"items": []})
    )
    work = ExportAction.model_validate(
        {
            "type": "Export",
            "connectionId": "con_1",
            "http": {
                "path": "/orders",
                "headers": {"X-Api-Key": "k3y"},
                "recordsPath": "/items",
                "pagination": NEXT_LINK,
            },
        }
    )
    own = connection(auth=BearerAuth(type="bearer"))
    list(HttpExporter(work.request, client(transport, own, token="t0k")).pages())
    first, second = transport.requests
    assert first.headers["Authorization"] == "Bearer t0k"
    assert first.headers["X-Api-Key"] == "k3y"
    assert set(second.headers) == {"Accept", "User-Agent"}


def follow(export: HttpExporter, stop: int) -> None:
    """Read all pages, but go on from the checkpoint once that many are read."""
    for page in islice(export.pages(), stop):
        cursor = json.dumps(page.next_cursor)
    list(export.pages(json.loads(cursor)))


@given(way=st.integers(0, 12), circle=st.integers(1, 12), stop=st.integers(1, 60))
def test_links_in_a_circle_are_noticed(way: int, circle: int, stop: int) -> None:
    """A circle of any length ends the export soon, also when it is taken up again in between."""

    def answer(request: HttpRequest) -> HttpResponse:
        page = int(parse_qs(urlsplit(request.url).query).get("page", ["0"])[0])
        following = page + 1 if page + 1 < way + circle else way
        return body({"items": [], "next": f"?page={following}"})

    transport = ScriptedTransport(answer)
    export = exporter(transport, recordsPath="/items", pagination=NEXT_LINK)
    with pytest.raises(StepFailed) as raised:
        follow(export, stop)
    assert raised.value.code == "pageLoop"
    assert len(transport.requests) <= 3 * (way + circle) + 1


def test_link_of_a_page_to_itself_is_noticed_at_once() -> None:
    """The commonest mistake of a paging API costs one request."""
    transport = script(body({"items": [{"id": 1}], "next": "https://api.example/v1/orders"}))
    with pytest.raises(StepFailed, match="leads back"):
        list(exporter(transport, recordsPath="/items", pagination=NEXT_LINK).pages())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"result": {"rows": []}}, "at '/result' is an object with 'rows'"),
        ({"result": {"items": None}}, "at recordsPath '/result/items' is null, not an array"),
        ([], "the whole document is an array of 0"),
    ],
)
def test_missing_records_are_a_clear_error(answer: Json, says: str) -> None:
    """A wrong recordsPath tells what stands where the path ends."""
    with pytest.raises(StepFailed, match=says) as raised:
        list(exporter(script(body(answer)), recordsPath="/result/items").pages())
    assert raised.value.code == "recordsMissing"


def asked_for(http: Json, answer: Json, *, in_a_test: bool = False) -> list[Record]:
    """What an export finds that may be asked for a record, for this answer."""
    connectors = HttpConnectors(http_client(script(body(answer))))
    work = {"type": "Export", "connectionId": "con_1", "http": http}
    read = ExportAction.model_validate(work)
    values = RunValues({"record": {"id": 7}, "records": [{"id": 7}], "keys": [7]})
    if in_a_test:
        return records(
            connectors.sampler(read, connection(), {}, values, 1, set[str]().update).pages(None)
        )
    return records(connectors.exporter(read, connection(), {}, values).pages(None))


@pytest.mark.parametrize("in_a_test", [False, True])
@pytest.mark.parametrize(
    ("answer", "path"), [({"name": "Ada"}, ""), ({"found": {"name": "Ada"}}, "/found")]
)
def test_a_single_object_is_what_a_lookup_found_for_a_record(
    answer: Json, path: str, *, in_a_test: bool
) -> None:
    """`GET /names?id=7` of most systems answers with the thing itself, not with an array of it."""
    http = {"path": "/names", "query": {"id": "{{ record.id }}"}, "recordsPath": path}
    assert asked_for(http, answer, in_a_test=in_a_test) == [{"name": "Ada"}]


@pytest.mark.parametrize("answer", [None, "Ada", 7])
def test_what_is_no_object_is_not_found_by_a_lookup_either(answer: Json) -> None:
    """The record is told that the answer has another shape."""
    with pytest.raises(StepFailed) as raised:
        asked_for({"path": "/names/{{ record.id }}"}, answer)
    assert raised.value.code == "recordsMissing"


def test_a_single_object_is_no_answer_to_a_batch() -> None:
    """It is more likely what stands around the array; taken for a record, it would have no key."""
    lookup = {"batchSize": 9, "recordKeyPath": "/id", "keyPath": "/id"}
    http = {"path": "/names", "query": {"ids": "{{ $join(keys.$string()) }}"}, "lookup": lookup}
    with pytest.raises(StepFailed, match="an object with 'items', not an array"):
        asked_for(http, {"items": []})


@pytest.mark.parametrize("link", [7, ["?page=2"], {"href": "?page=2"}, "http://[::", "ftp://x/y"])
def test_link_that_is_no_address_is_a_clear_error(link: Json) -> None:
    """A nextLinkPath that leads to something else fails the step by name."""
    transport = script(body({"items": [], "next": link}))
    with pytest.raises(StepFailed) as raised:
        list(exporter(transport, recordsPath="/items", pagination=NEXT_LINK).pages())
    assert raised.value.code == "badLink"


def test_element_that_is_no_object_is_a_record_failure() -> None:
    """The others go on, and the element still counts as one of the page."""
    transport = script(body([{"id": 1}, "two", None]), body([]))
    pages = list(exporter(transport, pagination={"type": "offset", "limit": 3}).pages())
    assert pages[0].records == [{"id": 1}]
    assert [(f.index, f.code, f.message) for f in pages[0].failures] == [
        (1, "notAnObject", "a record is an object; this is a string"),
        (2, "notAnObject", "a record is an object; this is null"),
    ]


@pytest.mark.parametrize("status", [400, 401, 404, 501])
def test_refusal_fails_the_step(status: int) -> None:
    """An export has no record to blame for a refusal."""
    with pytest.raises(StepFailed, match=f"answered {status}: no") as raised:
        list(exporter(script(refused(status, b"no"))).pages())
    assert raised.value.code == f"http{status}"


def test_cut_answer_is_asked_for_again() -> None:
    """JSON that was cut off comes whole at the next try; if it never does the step fails."""
    assert records(exporter(script(ok(b'[{"id": 1}, {"i'), body([{"id": 1}]))).pages()) == [
        {"id": 1}
    ]
    with pytest.raises(StepFailed) as raised:
        list(exporter(script(*[ok(b'[{"id"')] * TRIES)).pages())
    assert raised.value.code == "brokenAnswer"


PAGINATIONS = st.sampled_from(["offset", "nextLink"])


@given(
    pagination=PAGINATIONS,
    total=st.integers(0, 30),
    limit=st.integers(1, 12),
    faults=st.lists(st.sampled_from(["fine", "fine", "lost", "cut", "busy", "down"]), max_size=40),
)
def test_every_record_comes_exactly_once(
    pagination: str, total: int, limit: int, faults: list[str]
) -> None:
    """Whatever the page size and the trouble on the way, taken up again where it broke off."""
    stored = [{"id": number} for number in range(total)]
    schedule = iter(faults)

    def page(request: HttpRequest) -> HttpResponse:
        query = parse_qs(urlsplit(request.url).query)
        offset = int(query.get("offset", ["0"])[0])
        link = f"?offset={offset + limit}" if offset + limit < total else None
        return body({"items": stored[offset : offset + limit], "next": link})

    def answer(request: HttpRequest) -> HttpResponse | TransportError:
        match next(schedule, "fine"):
            case "lost":
                return lost()
            case "cut":
                return ok(page(request).body[:-3])
            case "busy":
                return refused(503, retry_after="1")
            case "down":
                return TransportError("nameNotResolved", "no name", is_transient=False)
            case _:
                return page(request)

    ways = {"offset": {"type": "offset", "limit": limit}, "nextLink": NEXT_LINK}
    export = exporter(ScriptedTransport(answer), recordsPath="/items", pagination=ways[pagination])
    received: list[Record] = []
    cursor: Json = None
    is_over = False
    while not is_over:
        try:
            for each in export.pages(cursor):
                received += each.records
                cursor = json.loads(json.dumps(each.next_cursor))
            is_over = True
        except StepError:
            continue
    assert received == stored
