"""Requests that were made to hurt: refused at little cost, whatever is wrong with them."""

import gzip
import json

import pytest
from tests.support.app import Client

from millrace import limits

STEP = {"id": "s", "type": "Process"}
TEN_THOUSAND = range(10_000)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([{**STEP, "id": f"s{n}"} for n in TEN_THOUSAND], id="too many"),
        pytest.param([STEP for _ in TEN_THOUSAND], id="all alike"),
        pytest.param([{**STEP, "id": f"s{n}", "a": n, "b": n} for n in TEN_THOUSAND], id="bad"),
        pytest.param(
            [{**STEP, "id": f"s{n}", "dependsOn": [f"s{(n + 1) % 10_000}"]} for n in TEN_THOUSAND],
            id="a circle",
        ),
        pytest.param([0] * 300_000, id="no steps at all"),
    ],
)
def test_p11_far_too_many_steps_are_refused_by_their_number(
    alice: Client, steps: list[object]
) -> None:
    """Their count is named, and the answer stays far below what Lambda may answer."""
    answer = alice("POST", "/v1/flows", {"name": "x", "steps": steps})
    assert answer.status == 422
    assert ("tooManySteps", "/steps") in answer.errors
    assert len(answer.body["errors"]) <= limits.ERRORS_SHOWN
    assert len(json.dumps(answer.body)) < 500_000


def test_countless_faults_are_counted(alice: Client) -> None:
    """The first are named, the others counted."""
    body = {"name": "x", **{f"field{n}": n for n in TEN_THOUSAND}}
    answer = alice("POST", "/v1/flows", body)
    assert (answer.status, len(answer.body["errors"])) == (422, limits.ERRORS_SHOWN)
    assert "names the first 1,000 and leaves out 9,000" in answer.body["detail"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[" * 100_000, "too deeply"),
        ("[" * 100_000 + "]" * 100_000, "too deeply"),
        ('{"a":' * 100_000, "too deeply"),
        ("[" * 5_000 + "]" * 5_000, "too deeply"),
        ('{"a":' * 100 + "1" + "}" * 100, "too deeply"),
        ("9" * 5_000, "too large"),
        ("-" + "9" * 5_000, "too large"),
        ("1e999999", "too large"),
    ],
    ids=["open", "nested", "objects", "half", "limit", "digits", "negative", "exponent"],
)
def test_what_no_parser_should_be_asked_is_400(alice: Client, value: str, words: str) -> None:
    """Deep nesting and huge numbers, wherever in a body of any route."""
    for path in ("/v1/flows", "/v1/apply", "/v1/templates"):
        text = f'{{"name": "x", "value": {value}}}'.encode()
        answer = alice("POST", path, text, headers={"Content-Type": "application/json"})
        assert (answer.status, answer.body["code"]) == (400, "invalidRequest")
        assert words in answer.body["errors"][0]["message"]


def test_what_is_accepted_can_be_read(alice: Client) -> None:
    """A document as deep as a request may be is kept; a deeper one is 400."""

    def nested(levels: int) -> bytes:
        inner = "[" * levels + "]" * levels
        return f'{{"name": "x", "document": {{"a": {inner}}}}}'.encode()

    headers = {"Content-Type": "application/json"}
    deepest = alice("POST", "/v1/templates", nested(limits.REQUEST_LEVELS - 2), headers=headers)
    assert deepest.status == 201
    assert alice("GET", f"/v1/templates/{deepest.body['id']}").body == deepest.body
    deeper = alice("POST", "/v1/templates", nested(limits.REQUEST_LEVELS - 1), headers=headers)
    assert (deeper.status, "100 levels" in deeper.body["errors"][0]["message"]) == (400, True)


def test_what_is_nested_up_to_the_limit_is_taken(alice: Client) -> None:
    """The body itself is the first level; a patch has two more around the same value."""
    value: object = 1
    for _ in range(limits.REQUEST_LEVELS - 2):
        value = [value]
    made = alice("POST", "/v1/flows", {"name": "deep", "settings": {"a": value}})
    assert (made.status, made.body["settings"]) == (201, {"a": value})
    patch = [{"op": "replace", "path": "/settings", "value": {"a": value}}]
    told = alice("PATCH", f"/v1/flows/{made.body['id']}", patch, headers=made.etag)
    assert (told.status, told.body["code"]) == (400, "invalidRequest")


@pytest.mark.parametrize("character", ["\0", "\n", "\t", "\x1b", "\x7f", "\x85"])
def test_names_without_control_characters(alice: Client, character: str) -> None:
    """They would break logs, headers and terminals; of flows, steps and plain resources alike."""
    for path, body, pointer in (
        ("/v1/flows", {"name": f"a{character}b"}, "/name"),
        ("/v1/labels", {"name": f"a{character}b"}, "/name"),
        (
            "/v1/flows",
            {"name": "x", "steps": [{**STEP, "name": f"a{character}b"}]},
            "/steps/0/name",
        ),
    ):
        answer = alice("POST", path, body)
        assert answer.status == 422
        assert ("valueError", pointer) in answer.errors


@pytest.mark.parametrize(
    "name",
    [
        "Größe ≥ 3",
        "注文",
        "طلبات",
        "👩‍👩‍👧 orders",
        "a\u202eb",
        "a\u200bb",
        "../../etc/passwd",
        "a%00b",
    ],
)
def test_p9_names_of_any_script_are_kept(alice: Client, name: str) -> None:
    """As they were sent, neither normalised nor escaped."""
    made = alice("POST", "/v1/flows", {"name": name})
    assert (made.status, made.body["name"]) == (201, name)
    assert alice("GET", f"/v1/flows/{made.body['id']}").body["name"] == name


def test_p9_twins_in_unicode_stay_two(alice: Client) -> None:
    """Composed and decomposed, a name looks the same and is not."""
    twins = ["\u00e9", "e\u0301"]
    ids = [alice("POST", "/v1/labels", {"name": name}).body["id"] for name in twins]
    assert [alice("GET", f"/v1/labels/{id_}").body["name"] for id_ in ids] == twins


def test_p5_a_packed_body_is_refused(alice: Client) -> None:
    """Whatever it would unpack to, and nothing is stored."""
    packed = gzip.compress(b'{"name": "x"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    told = alice("POST", "/v1/flows", packed, headers=headers)
    assert (told.status, told.body["code"]) == (400, "invalidRequest")
    assert alice("GET", "/v1/flows").body["data"] == []
