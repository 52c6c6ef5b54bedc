"""Each kind of pagination asks for every page once, and knows the last one when it sees it."""

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.connectors.fake_transport import ScriptedTransport, client, connection, ok, script

from millrace.connectors.http_export import HttpExporter
from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.connectors.pagers import next_link
from millrace.domain.action import HttpExport
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepError, StepFailed
from millrace.domain.records import ExportPage


def exporter(transport: ScriptedTransport, **http: Json) -> HttpExporter:
    """An exporter of `/orders` with this much of an action's wire form."""
    return HttpExporter(HttpExport.model_validate({"path": "/orders", **http}), client(transport))


def body(value: Json, **headers: str) -> HttpResponse:
    """A 200 with JSON."""
    return HttpResponse(200, headers, json.dumps(value).encode())


def ids(pages: Iterator[ExportPage]) -> list[Json]:
    """The ids of all records in order."""
    return [record["id"] for page in pages for record in page.records]


def queries(transport: ScriptedTransport) -> list[str]:
    """What was asked."""
    return [urlsplit(request.url).query for request in transport.requests]


def some(*numbers: int) -> list[Record]:
    """Records of these ids."""
    return [{"id": number} for number in numbers]


def test_pages_are_numbered() -> None:
    """From the start given, until a page that is shorter than its size."""
    transport = script(body(some(1, 2)), body(some(3)))
    pagination = {"type": "page", "pageParameter": "p", "start": 0, "sizeParameter": "n", "size": 2}
    assert ids(exporter(transport, pagination=pagination).pages()) == [1, 2, 3]
    assert queries(transport) == ["p=0&n=2", "p=1&n=2"]


def test_pages_of_a_size_unknown_end_at_an_empty_one() -> None:
    """Without a size no page is short."""
    transport = script(body(some(1, 2)), body(some(3)), body([]))
    assert ids(exporter(transport, pagination={"type": "page"}).pages()) == [1, 2, 3]
    assert queries(transport) == ["page=1", "page=2", "page=3"]


@pytest.mark.parametrize(
    "pagination", [{"type": "page", "size": 5}, {"type": "offset", "limit": 5}]
)
def test_a_system_that_says_that_there_is_more_is_believed(pagination: Json) -> None:
    """It may give fewer records than it was asked for; hasMore and the total tell the end."""
    cases: list[tuple[Json, list[Json]]] = [
        ({"hasMorePath": "/more"}, [{"more": True}, {"more": False}]),
        ({"hasMorePath": "/more"}, [{"more": True}, {}]),
        ({"totalPath": "/total"}, [{"total": 4}, {"total": "4"}]),
        ({"totalPath": "/total", "hasMorePath": "/more"}, [{"total": 4, "more": True}] * 2),
    ]
    for end, answers in cases:
        first, second = answers
        transport = script(
            body({"items": some(1, 2), **first}), body({"items": some(3, 4), **second})
        )
        pages = exporter(transport, recordsPath="/items", pagination={**pagination, **end}).pages()
        assert ids(pages) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("end", "answer", "code"),
    [
        ({"hasMorePath": "/more"}, {"more": "yes"}, "badHasMore"),
        ({"totalPath": "/total"}, {"total": "many"}, "badTotal"),
        ({"totalPath": "/total"}, {"total": True}, "badTotal"),
        ({"totalPath": "/meta/total"}, {}, None),
    ],
    ids=["no boolean", "no number", "true", "absent"],
)
def test_an_end_that_cannot_be_understood_is_an_error(
    end: Json, answer: Json, code: str | None
) -> None:
    """Nothing is guessed; a total that is not told leaves the other rules."""
    pagination = {"type": "offset", "limit": 2, **end}
    transport = script(body({"items": some(1), **answer}))
    pages = exporter(transport, recordsPath="/items", pagination=pagination).pages()
    if code is None:
        assert ids(pages) == [1]
    else:
        with pytest.raises(StepFailed) as raised:
            ids(pages)
        assert raised.value.code == code


@pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}, {"next": False}], ids=str)
def test_tokens_are_followed_to_their_end(end: Json) -> None:
    """An empty page is not the last if it has a token; a token may be a number."""
    transport = script(
        body({"items": some(1), "next": "a b"}),
        body({"items": [], "next": 7}),
        body({"items": some(2), **end}),
    )
    pagination = {"type": "cursor", "tokenPath": "/next"}
    pages = exporter(
        transport, query={"q": "x"}, recordsPath="/items", pagination=pagination
    ).pages()
    assert ids(pages) == [1, 2]
    assert queries(transport) == ["q=x", "q=x&cursor=a+b", "q=x&cursor=7"]


def test_tokens_may_end_at_an_empty_page() -> None:
    """For systems that never stop giving tokens."""
    transport = script(body({"items": some(1), "next": "a"}), body({"items": [], "next": "b"}))
    pagination = {"type": "cursor", "tokenPath": "/next", "endAtEmptyPage": True}
    assert ids(exporter(transport, recordsPath="/items", pagination=pagination).pages()) == [1]


def test_tokens_in_headers() -> None:
    """Taken from one header and sent in another."""
    transport = script(body(some(1), **{"x-next": "t1"}), body(some(2)))
    pagination = {
        "type": "cursor",
        "tokenHeader": "X-Next",
        "sendIn": "header",
        "parameter": "X-At",
    }
    assert ids(exporter(transport, pagination=pagination).pages()) == [1, 2]
    first, second = transport.requests
    assert "X-At" not in first.headers
    assert second.headers["X-At"] == "t1"


def test_places_in_the_body_of_a_search() -> None:
    """Token, offset and page number are set where JSON Pointers say, the rest stays."""
    search = {"filter": {"open": True}, "page": {"size": 2}}
    for pagination, second in (
        (
            {"type": "cursor", "tokenPath": "/next", "parameter": "/page/after"},
            {"size": 2, "after": "t"},
        ),
        (
            {
                "type": "offset",
                "limit": 2,
                "offsetParameter": "/page/from",
                "limitParameter": "/page/size",
            },
            {"size": 2, "from": 2},
        ),
        ({"type": "page", "pageParameter": "/page/no", "size": 2}, {"size": 2, "no": 2}),
    ):
        transport = script(body({"items": some(1, 2), "next": "t"}), body({"items": some(3)}))
        pages = exporter(
            transport,
            method="POST",
            body=search,
            recordsPath="/items",
            pagination={**pagination, "sendIn": "body"},
        ).pages()
        assert ids(pages) == [1, 2, 3]
        last = transport.requests[1]
        assert json.loads(last.body or b"") == {"filter": {"open": True}, "page": second}
        assert last.headers["Content-Type"] == "application/json"


def test_a_place_that_the_body_has_no_room_for_fails_the_step() -> None:
    """The pointer leads through something that is no object."""
    pagination = {"type": "page", "sendIn": "body", "pageParameter": "/query/page"}
    export = exporter(script(), method="POST", body={"query": "all"}, pagination=pagination)
    with pytest.raises(StepFailed, match="in the way of 'page' is a string") as raised:
        ids(export.pages())
    assert raised.value.code == "badBody"


def test_links_in_the_header_are_followed() -> None:
    """Relative to where the answer came from."""
    transport = script(
        body(some(1), link='<https://api.example/v1/orders?page=2>; rel="next", </z>; rel=last'),
        body(some(2), link="<?page=3>; rel=next"),
        body(some(3), link='</v1/orders?page=1>; rel="first"'),
    )
    pagination = {"type": "nextLink", "linkIn": "header"}
    assert ids(exporter(transport, pagination=pagination).pages()) == [1, 2, 3]
    assert queries(transport) == ["", "page=2", "page=3"]


@pytest.mark.parametrize(
    ("header", "link"),
    [
        ('<a,b;c>; rel="next"', "a,b;c"),
        ('<a>; title="x, <b>; rel=next"; rel=prev, <c>;rel=NEXT', "c"),
        ('<a>; rel="last next"', "a"),
        ("<a>", None),
        ("", None),
        ("nonsense; rel=next", None),
    ],
)
def test_link_header_is_read_as_it_is_written(header: str, link: str | None) -> None:
    """Commas and semicolons within addresses and quotes, several relations, any case."""
    assert next_link(header) == link


LOOPS: list[Json] = [
    {"type": "offset", "limit": 1},
    {"type": "page"},
    {"type": "cursor", "tokenPath": "/next"},
    {"type": "nextLink"},
]


@pytest.mark.parametrize("pagination", LOOPS, ids=lambda pagination: str(pagination["type"]))
def test_the_same_page_twice_fails_the_step(pagination: Json) -> None:
    """A system that does not take the place would give its first page for ever."""
    answers = iter(range(9))
    transport = ScriptedTransport(
        lambda _: body({"items": some(1), "next": f"t{next(answers)}", "at": next(answers)})
    )
    pages = exporter(transport, recordsPath="/items", pagination=pagination).pages()
    assert next(pages).records == some(1)
    with pytest.raises(StepFailed, match="two pages in a row hold the same records") as raised:
        next(pages)
    assert raised.value.code == "pageLoop"


def test_the_same_csv_twice_fails_the_step() -> None:
    """In the other formats too."""
    transport = ScriptedTransport(lambda _: ok(b"id\n1\n"))
    pages = exporter(transport, format="csv", pagination={"type": "page"}).pages()
    next(pages)
    with pytest.raises(StepFailed) as raised:
        next(pages)
    assert raised.value.code == "pageLoop"


def test_tokens_that_go_in_a_circle_fail_the_step() -> None:
    """Though the pages differ, as far as anyone can tell."""
    tokens = iter("abcdbcdbcdbcdbcdbcd")
    numbers = iter(range(99))
    transport = ScriptedTransport(
        lambda _: body({"items": some(next(numbers)), "next": next(tokens)})
    )
    pagination = {"type": "cursor", "tokenPath": "/next"}
    with pytest.raises(StepFailed, match="leads back") as raised:
        ids(exporter(transport, recordsPath="/items", pagination=pagination).pages())
    assert raised.value.code == "pageLoop"


@pytest.mark.parametrize("pagination", LOOPS, ids=lambda pagination: str(pagination["type"]))
def test_no_more_pages_are_read_than_wanted(pagination: Json) -> None:
    """`maxPages` is the end, also of an export that is taken up again."""
    numbers = iter(range(99))
    transport = ScriptedTransport(
        lambda _: body({"items": some(n := next(numbers)), "next": f"t{n}"})
    )
    export = exporter(transport, recordsPath="/items", pagination={**pagination, "maxPages": 3})
    cursor = next(export.pages()).next_cursor
    assert ids(export.pages(cursor)) == [1, 2]


@pytest.mark.parametrize("token", [True, 1.5, ["a"], {"a": 1}], ids=str)
def test_what_is_no_token_fails_the_step(token: Json) -> None:
    """It could not be sent as it is."""
    transport = script(body({"items": some(1), "next": token}))
    pagination = {"type": "cursor", "tokenPath": "/next"}
    with pytest.raises(StepFailed) as raised:
        ids(exporter(transport, recordsPath="/items", pagination=pagination).pages())
    assert raised.value.code == "badToken"


def test_an_export_asks_for_its_format() -> None:
    """Unless the connection or the action says what to ask for."""
    xml = {"format": "xml", "xml": {"recordPath": "/a/b"}}
    for http, headers, accept in (
        ({}, {}, "application/json"),
        (xml, {}, "application/xml, text/xml, */*;q=0.1"),
        (xml, {"accept": "application/atom+xml"}, "application/atom+xml"),
        ({"headers": {"Accept": "application/vnd.shop+json"}}, {}, "application/vnd.shop+json"),
    ):
        transport = script(ok(b"<a/>" if "xml" in http else b"[]"))
        shop = client(transport, connection(headers=headers))
        export = HttpExport.model_validate({"path": "/orders", **http})
        assert ids(HttpExporter(export, shop).pages()) == []
        sent = {name.lower(): value for name, value in transport.requests[0].headers.items()}
        assert sent["accept"] == accept


def test_a_body_is_not_sent_to_another_host() -> None:
    """A link in an answer cannot lead what the author wrote elsewhere."""
    transport = script(body({"items": some(1), "next": "https://evil.example/"}))
    export = exporter(
        transport, method="POST", body={"a": 1}, recordsPath="/items", pagination=LOOPS[3]
    )
    with pytest.raises(StepFailed, match=r"leads to evil\.example") as raised:
        ids(export.pages())
    assert raised.value.code == "foreignLink"
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    ("http", "says"),
    [
        ({"csv": {}}, "csv has no meaning with format json"),
        ({"format": "xml"}, "which elements are records"),
        ({"format": "csv", "recordsPath": "/a"}, "recordsPath has no meaning with format csv"),
        ({"format": "csv", "pagination": {"type": "nextLink"}}, "only headers can tell"),
        (
            {"format": "ndjson", "pagination": {"type": "page", "totalPath": "/n"}},
            "only headers can tell",
        ),
        ({"body": {}}, "A body needs method POST"),
        ({"pagination": {"type": "page", "sendIn": "body", "pageParameter": "/p"}}, "method POST"),
        (
            {"method": "POST", "pagination": {"type": "page", "sendIn": "body"}},
            "'page' is no place in a body",
        ),
        (
            {
                "method": "POST",
                "body": [],
                "pagination": {"type": "page", "sendIn": "body", "pageParameter": "/p"},
            },
            "a body that is an object",
        ),
        ({"pagination": {"type": "cursor"}}, "Expected tokenPath or tokenHeader"),
        (
            {"pagination": {"type": "cursor", "tokenPath": "/a", "tokenHeader": "A"}},
            "tokenPath and tokenHeader contradict",
        ),
        ({"pagination": {"type": "page", "sizeParameter": "n"}}, "sizeParameter needs a size"),
        (
            {"pagination": {"type": "nextLink", "linkIn": "header", "nextLinkPath": "/n"}},
            "nextLinkPath has no meaning",
        ),
        ({"format": "csv", "csv": {"header": False}}, "nothing names the columns"),
        ({"format": "csv", "csv": {"header": False, "columns": ["a", "a"]}}, "a name of its own"),
        ({"format": "csv", "csv": {"delimiter": '"'}}, "must differ"),
        ({"format": "csv", "csv": {"delimiter": "\n"}}, "line break"),
        ({"format": "xml", "xml": {"recordPath": "a"}}, "recordPath"),
    ],
    ids=str,
)
def test_exports_that_mean_nothing_are_refused(http: Json, says: str) -> None:
    """What contradicts itself is refused before it is stored, in words that say what to do."""
    with pytest.raises(ValidationError, match=says):
        HttpExport.model_validate({"path": "/orders", **http})


@pytest.mark.parametrize(
    "http",
    [
        {"method": "POST", "body": {"a": None, "b": [None]}},
        {"format": "csv", "csv": {"quote": "", "delimiter": "\t"}},
        {"format": "xml", "xml": {"recordPath": "/soap:Envelope/Body/order", "arrays": ["tag"]}},
        {"pagination": {"type": "nextLink", "linkIn": "header"}},
    ],
    ids=str,
)
def test_what_is_stored_is_what_was_sent(http: Json) -> None:
    """The wire form of an export says the same again, nulls in its body included."""
    given = HttpExport.model_validate({"path": "/orders", **http})
    assert HttpExport.model_validate(given.to_json()) == given


FORMATS = st.sampled_from(["json", "ndjson", "csv", "xml"])
KINDS = st.sampled_from(["offset", "page", "cursor", "nextLink"])


@given(
    kind=KINDS,
    form=FORMATS,
    total=st.integers(0, 30),
    limit=st.integers(1, 12),
    faults=st.lists(st.sampled_from(["fine", "fine", "cut", "down"]), max_size=30),
)
def test_every_record_comes_exactly_once_in_every_format(
    kind: str, form: str, total: int, limit: int, faults: list[str]
) -> None:
    """Whatever the kind of pages and the trouble on the way, taken up again where it broke off."""
    schedule = iter(faults)

    def answer(request: HttpRequest) -> HttpResponse:
        query = parse_qs(urlsplit(request.url).query)
        place = int(query.get("at", ["0"])[0])
        start = place * limit if kind == "page" else place
        numbers = range(start, min(start + limit, total))
        after = start + limit
        headers = (
            {"link": f'<?at={after}>; rel="next"', "x-next": str(after)} if after < total else {}
        )
        whole = _written(form, numbers)
        match next(schedule, "fine"):
            case "cut":
                return HttpResponse(200, headers, whole[:-3])
            case "down":
                return HttpResponse(401, {}, b"")
            case _:
                return HttpResponse(200, headers, whole)

    ways = {
        "offset": {"type": "offset", "offsetParameter": "at", "limit": limit},
        "page": {"type": "page", "pageParameter": "at", "start": 0, "size": limit},
        "cursor": {"type": "cursor", "tokenHeader": "X-Next", "parameter": "at"},
        "nextLink": {"type": "nextLink", "linkIn": "header"},
    }
    options = {"xml": {"recordPath": "/orders/order"}} if form == "xml" else {}
    export = exporter(ScriptedTransport(answer), format=form, pagination=ways[kind], **options)
    received: list[int] = []
    cursor: Json = None
    is_over = False
    while not is_over:
        try:
            for page in export.pages(cursor):
                received += [int(record["id"]) for record in page.records]
                cursor = json.loads(json.dumps(page.next_cursor))
            is_over = True
        except StepError:
            continue
    assert received == list(range(total))


def _written(form: str, numbers: range) -> bytes:
    """Records of these ids; without its last three bytes, an answer that is visibly cut."""
    match form:
        case "json":
            text = json.dumps([{"id": number} for number in numbers])
        case "ndjson":
            text = "\n".join(f'{{"id": {number}, "end": ""}}' for number in numbers)
        case "csv":
            text = "id,end\n" + "\n".join(f'{number},"end"' for number in numbers)
        case _:
            inner = "".join(f"<order><id>{number}</id></order>" for number in numbers)
            text = f"<orders>{inner}</orders>"
    return text.encode()
