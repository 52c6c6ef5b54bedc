"""Texts with expressions: literal text stays, values are put where they can do no harm."""

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.support.aws import ROOT
from tests.support.samples import origins
from tests.unit.connectors.fake_transport import (
    ScriptedTransport,
    connection,
    http_client,
    ok,
    refused,
    script,
)

from millrace.connectors.http_messages import HttpRequest
from millrace.connectors.masks import PrivateTexts
from millrace.connectors.registry import HttpConnectors
from millrace.connectors.rendering import check_template, rendered
from millrace.connectors.templates import TemplateError, compile_template
from millrace.domain.action import ExportAction, HttpExport, ImportAction
from millrace.domain.base import Json
from millrace.domain.errors import StepError, StepFailed
from millrace.domain.imports import HttpImport
from millrace.domain.run_values import NO_VALUES, RunValues, TemplateKind

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SECRET = "s3/cr t&"


def values(secret: frozenset[str] = frozenset(), **variables: Json) -> RunValues:
    """Variables of a run, beside parameters and a date."""
    fixed = {
        "parameters": {"sku": "a/b", "ids": [1, 2]},
        "startDate": "2026-01-01T00:00:00.000Z",
        "run": {"id": "run_1"},
    }
    return RunValues(fixed, variables, secret)


def query(template: str, given_values: RunValues) -> str:
    """What becomes of a value of a query."""
    http = HttpExport(path="/orders", query={"q": template})
    return rendered(http, given_values).http.query["q"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("as it is", "as it is"),
        ("{{ variables.region }}", "eu"),
        ("{{variables.region}}-{{ run.id }}!", "eu-run_1!"),
        ("since {{ startDate }}", "since 2026-01-01T00:00:00.000Z"),
        ("{{ endDate ?? 'now' }}", "now"),
        ("{{ $join($map(parameters.ids, $string), ',') }}", "1,2"),
        ("{{ variables.limit + 1 }}", "11"),
        ("{{ variables.limit / 4 }}", "2.5"),
        ("{{ variables.limit > 3 }}", "true"),
        ('{{ {"a": {"b": "}}"}}.a.b }}', "}}"),
        ('{{ "{{" }}x}}', "{{x}}"),
        ("{ a } } {", "{ a } } {"),
        ("{{ $exists(variables) and $not($exists(other)) }}", "true"),
    ],
)
def test_expressions_give_way_to_their_values(template: str, expected: str) -> None:
    """Numbers and truths as JSON writes them; JSONata's own parser finds where one ends."""
    assert query(template, values(region="eu", limit=10, other="?")) == expected


@given(text=TEXT.filter(lambda text: "{{" not in text))
def test_a_text_without_expressions_is_itself(text: str) -> None:
    """Whatever else is in it."""
    assert query(text, NO_VALUES) == text


@given(value=TEXT, other=TEXT)
def test_values_in_a_path_stay_in_their_segment(value: str, other: str) -> None:
    """No value adds a segment, a query or a fragment, and the receiver reads it as it was."""
    http = HttpExport(path="/a/{{ variables.x }}/b-{{ variables.y }}?q={{ variables.x }}")
    try:
        path = rendered(http, values(x=value, y=other)).http.path
    except StepFailed as error:
        assert (error.code, value in {".", ".."}) == ("badValue", True)  # noqa: PT017 - either of two outcomes is right
        return
    address = urlsplit(f"https://shop.example{path}")
    assert [unquote(part) for part in address.path.split("/")] == ["", "a", value, f"b-{other}"]
    assert parse_qsl(address.query, keep_blank_values=True) == [("q", value)]
    assert address.fragment == ""


@pytest.mark.parametrize("value", ["..", "."])
def test_a_value_leads_to_no_other_path(value: str) -> None:
    """Those two segments are the only ones that mean another place."""
    http = HttpExport(path="/users/{{ variables.x }}/orders")
    with pytest.raises(StepFailed, match="http/path: a value leads to another path") as caught:
        rendered(http, values(x=value))
    assert caught.value.code == "badValue"


@given(value=st.text())
def test_a_header_holds_what_a_header_may_hold(value: str) -> None:
    """No value can begin another header, or a body."""
    http = HttpImport(path="/orders", headers={"X-Tenant": "t-{{ variables.x }}"})
    try:
        text = rendered(http, values(x=value)).http.headers["X-Tenant"]
    except StepFailed as error:
        assert error.code in {"badValue", "templateNotText", "textNotUnicode"}  # noqa: PT017 - either of two outcomes is right
    else:
        assert text == f"t-{value}"
        assert not {"\r", "\n", "\0"} & {*text}
        text.encode("latin-1")


@pytest.mark.parametrize(
    ("template", "code", "message"),
    [
        ("{{ variables.gone }}", "templateUndefined", "http/query/q: {{ variables.gone }} has no"),
        ("{{ endDate }}", "templateUndefined", "no value in this run"),
        ("{{ parameters.ids }}", "templateNotText", r"an array; make a text of it, by \$join"),
        ("{{ parameters }}", "templateNotText", "an object"),
        ("{{ $number(parameters.sku) }}", "expressionFailed", "D3030"),
        ("{{ variables.huge + 1 }}", "numberNotExact", r"beyond 2\^53"),
        ("{{ $error('no') }}", "expressionFailed", "no"),
    ],
)
def test_what_has_no_value_fails_the_step(template: str, code: str, message: str) -> None:
    """Rather than send a request that nobody meant; the place is named."""
    with pytest.raises(StepFailed, match=message) as caught:
        query(template, values(huge=2**60))
    assert caught.value.code == code


def test_a_body_has_values_of_any_type() -> None:
    """Where a text is one expression; within a text they are text, and keys stay as they are."""
    body = {
        "ids": "{{ parameters.ids }}",
        "{{ no }}": ["{{ variables.limit }}", "id-{{ run.id }}", 5, None, "plain"],
        "auth": {"token": "{{ variables.token }}"},
    }
    http = HttpExport(method="POST", path="/search", body=body)
    filled = rendered(http, values(frozenset({"token"}), limit=10, token=SECRET))
    assert filled.http.body == {
        "ids": [1, 2],
        "{{ no }}": [10, "id-run_1", 5, None, "plain"],
        "auth": {"token": SECRET},
    }
    assert set(filled.private) == {SECRET}
    with pytest.raises(StepFailed, match=r"http/body/a/0: {{ endDate }} has no value"):
        rendered(HttpExport(method="POST", path="/", body={"a": ["{{ endDate }}"]}), values())


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        (TemplateKind.QUERY, "a {{ b", "the {{ at character 3 is not closed by }}"),
        (TemplateKind.QUERY, "{{ a + }} {{ b }}", "in the {{ at character 1: "),
        (TemplateKind.QUERY, "{{ }}", "in the {{ at character 1: "),
        (TemplateKind.QUERY, "{{ (" + "}}" * 30, "in the {{ at character 1: "),
        (TemplateKind.PATH, "/{{ a }} /{{ b }}", "neither white space nor #"),
        (TemplateKind.HEADER, "a\r\nb: {{ c }}", "neither control characters"),
    ],
)
def test_what_cannot_be_filled_in_is_found_before(
    kind: TemplateKind, text: str, fault: str
) -> None:
    """When the action is stored, not when it runs."""
    assert fault in (check_template(kind, text) or "")


@given(text=st.text("{} a'\"`/*[]()?:.", max_size=40))
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    """With a reason; compiled once, it is not compiled again."""
    try:
        assert compile_template(text) is compile_template(text)
    except TemplateError as error:
        assert str(error)  # noqa: PT017 - either of two outcomes is right


def test_an_expression_sees_the_variables_that_it_names() -> None:
    """So a secret that one expression names does not get into another unnoticed."""
    http = HttpExport(
        path="/", query={"a": "{{ variables.token }}", "b": "{{ $count($keys(variables)) }}"}
    )
    shown = rendered(http, values(frozenset({"token"}), token=SECRET)).http.query
    assert shown == {"a": SECRET, "b": "0"}


def exports(
    transport: ScriptedTransport, http: dict[str, Json], given_values: RunValues
) -> list[Any]:
    """The pages that an export gives over a script."""
    work = ExportAction.model_validate({"type": "Export", "connectionId": "con_1", "http": http})
    connectors = HttpConnectors(http_client(transport))
    return [*connectors.exporter(work, connection(), {}, given_values).pages(None)]


def test_an_export_is_sent_with_its_values() -> None:
    """In path, query and headers, each encoded as it must be there."""
    transport = script(ok(b"[]"))
    http = {
        "path": "/items/{{ parameters.sku }}",
        "query": {"since": "{{ startDate }}"},
        "headers": {"X-Token": "{{ variables.token }}"},
    }
    exports(transport, http, values(frozenset({"token"}), token="t0k"))
    (request,) = transport.requests
    assert request.url == ("https://api.example/v1/items/a%2Fb?since=2026-01-01T00%3A00%3A00.000Z")
    assert request.headers["X-Token"] == "t0k"


def test_the_example_of_the_docs_asks_for_what_they_say() -> None:
    """Its export, and the address that it leads to, as they stand in docs/flows.md."""
    section = (ROOT / "docs/flows.md").read_text().partition("### Expressions")[2]
    http = yaml.safe_load(section.split("```")[1].removeprefix("yaml"))
    variables = {"region": "eu", "shopKey": "k3y"}
    fixed = {"parameters": {"skus": ["a", "b"]}, "startDate": "2026-01-01T00:00:00.000Z"}
    transport = script(ok(b"[]"))
    exports(transport, http, RunValues(fixed, variables, frozenset({"shopKey"})))
    (request,) = transport.requests
    told = section.partition("asks for\n`")[2].partition("`")[0]
    assert request.url == f"https://api.example/v1{told}"
    assert request.headers["X-Api-Key"] == "k3y"


def test_an_import_is_sent_with_its_values() -> None:
    """As an export is."""
    transport = script(ok())
    http = {"path": "/items/{{ parameters.sku }}", "headers": {"X-Run": "{{ run.id }}"}}
    work = ImportAction.model_validate({"type": "Import", "connectionId": "con_1", "http": http})
    connectors = HttpConnectors(http_client(transport))
    importer = connectors.importer(work, connection(), {}, values(), lambda *_: "key")
    importer.write([{"id": 1}], origins(1))
    (request,) = transport.requests
    assert request.url == "https://api.example/v1/items/a%2Fb"
    assert request.headers["X-Run"] == "run_1"


@pytest.mark.parametrize(
    "echo", [SECRET, "s3%2Fcr%20t%26", "s3%2Fcr+t%26", "czMvY3IgdCY=", "S3/CR T&"]
)
def test_a_secret_that_a_receiver_repeats_is_not_told(echo: str) -> None:
    """In no form, nor what an expression made of it."""
    transport = script(refused(400, f"bad token {echo}!".encode()))
    http = {
        "path": "/",
        "query": {"token": "{{ variables.token }}", "T": "{{ $uppercase(variables.token) }}"},
    }
    with pytest.raises(StepFailed) as caught:
        exports(transport, http, values(frozenset({"token"}), token=SECRET))
    assert "bad token ***!" in caught.value.message
    assert "s3" not in repr(transport.requests).lower()


def test_a_secret_that_an_expression_fails_on_is_not_told() -> None:
    """The engine's own message would show it."""
    http = {"path": "/", "query": {"token": "{{ $number(variables.token) }}"}}
    with pytest.raises(StepError) as caught:
        exports(script(), http, values(frozenset({"token"}), token=SECRET))
    assert "failed on a secret variable" in caught.value.message
    assert SECRET not in caught.value.message


def test_a_checkpoint_holds_no_secret_of_a_link() -> None:
    """A receiver puts the query into the link to the next page; the page is asked for with it."""

    def answer(request: HttpRequest) -> Any:  # noqa: ANN401 - an answer of the script
        following = f"{request.url}&page=2" if "page" not in request.url else None
        return ok(json.dumps({"items": [{"last": not following}], "next": following}).encode())

    transport = ScriptedTransport(answer)
    http = {
        "path": "/t/{{ variables.token }}",
        "query": {"token": "{{ variables.token }}"},
        "recordsPath": "/items",
        "pagination": {"type": "nextLink", "nextLinkPath": "/next"},
    }
    pages = exports(transport, http, values(frozenset({"token"}), token=SECRET))
    assert len(pages) == 2
    assert "s3" not in json.dumps(pages[0].next_cursor)
    first, second = (request.url for request in transport.requests)
    assert first == "https://api.example/v1/t/s3%2Fcr%20t%26?token=s3%2Fcr+t%26"
    assert second == f"{first}&page=2"


def test_a_secret_goes_to_no_other_host() -> None:
    """A link elsewhere is followed without it."""
    elsewhere = f"https://other.example/p?token={SECRET.replace(' ', '+')}"
    first = {"items": [], "next": elsewhere}
    transport = script(ok(json.dumps(first).encode()), ok(b'{"items": []}'))
    http = {
        "path": "/",
        "headers": {"X-Token": "{{ variables.token }}"},
        "recordsPath": "/items",
        "pagination": {"type": "nextLink", "nextLinkPath": "/next"},
    }
    exports(transport, http, values(frozenset({"token"}), token="s3/cr+t&"))
    assert "s3" not in transport.requests[1].url
    assert "X-Token" not in transport.requests[1].headers


@given(
    texts=st.lists(st.text("a0/%. ü\ud800", max_size=4), max_size=3),
    path=st.text("a0/%.?=&ü+", max_size=12),
)
def test_hidden_texts_come_back_where_they_were(texts: list[str], path: str) -> None:
    """However they overlap; hiding twice is hiding once, and the host is never touched."""
    private = PrivateTexts(texts)
    url = f"https://a0.example/{path}"
    hidden = private.hidden(url)
    assert private.shown(hidden) == url
    assert private.hidden(hidden) == hidden
    assert hidden.startswith("https://a0.example")
