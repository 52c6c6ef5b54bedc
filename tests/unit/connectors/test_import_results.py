"""An import over HTTP tells record by record what became of a batch."""

import json

import pytest
from pydantic import ValidationError
from tests.support.samples import origins
from tests.unit.connectors.fake_transport import (
    Answer,
    FakeTime,
    ScriptedTransport,
    client,
    connection,
    http_client,
    lost,
    ok,
    refused,
    script,
)

from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.http_import import HttpImporter
from millrace.connectors.http_messages import HttpRequest, HttpResponse
from millrace.connectors.oauth2 import AccessTokens
from millrace.domain.authentication import BearerAuth, OAuth2ClientCredentialsAuth
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.imports import HttpImport
from millrace.domain.records import RecordFailure, Written, idempotency_key
from millrace.domain.run_values import RunValues

RESULTS: Json = {
    "path": "/results",
    "statusPath": "/status",
    "codePath": "/error/code",
    "messagePath": "/error/message",
    "idPath": "/id",
}


def write(transport: ScriptedTransport, records: list[Record], **http: Json) -> Written:
    """What an import to `/orders` makes of these records."""
    work = HttpImport.model_validate({"path": "/orders", **http})
    importer = HttpImporter(
        work, client(transport), lambda origin, body: idempotency_key(origin, "step", body)
    )
    return importer.write(records, origins(len(records)))


def answered(*results: Json, status: int = 200) -> HttpResponse:
    """An answer with results."""
    return HttpResponse(status, {}, json.dumps({"results": results}).encode())


def numbered(count: int) -> list[Record]:
    """So many records."""
    return [{"id": number} for number in range(count)]


def test_the_refused_ones_fail_and_the_others_are_written() -> None:
    """By the status of each result, with the system's own code and words."""
    transport = script(
        answered(
            {"status": 201, "id": "a"},
            {"status": 422, "error": {"code": "badQty", "message": "qty is\nnegative"}},
            {"status": "200", "id": "c"},
            {"status": 500},
        )
    )
    written = write(transport, numbered(4), batchSize=10, results=RESULTS)
    assert written.failures == [
        RecordFailure(1, "badQty", "qty is negative"),
        RecordFailure(3, "http500", "the other system refused it"),
    ]
    assert [written.answers[place].id for place in range(4)] == ["a", None, "c", None]
    assert written.answers[0].read() == {"status": 201, "id": "a"}
    assert written.answers[1].status == 422


def test_an_expression_may_say_which_were_written() -> None:
    """Systems have many words for success."""
    results = {"path": "", "okExpression": "outcome = 'OK'", "codePath": "/why"}
    body = b'[{"outcome": "OK"}, {"outcome": "NO", "why": 7}, "strange"]'
    written = write(script(ok(body)), numbered(3), batchSize=3, results=results)
    assert [(each.index, each.code) for each in written.failures] == [(1, "7"), (2, "refused")]


def test_the_expression_may_speak_of_the_run() -> None:
    """What a system calls success may be a variable of the workspace."""
    results = {"path": "", "okExpression": "outcome = $variables.success"}
    http = HttpImport.model_validate({"path": "/orders", "batchSize": 2, "results": results})
    transport = script(ok(b'[{"outcome": "gut"}, {"outcome": "schlecht"}]'))
    values = RunValues({}, {"success": "gut"})
    importer = HttpImporter(http, client(transport), lambda *_: "key", values=values)
    written = importer.write(numbered(2), origins(2))
    assert [each.index for each in written.failures] == [1]


def test_results_may_be_matched_by_key() -> None:
    """In any order; a record of which nothing is said is a failure, not a success."""
    results = {"path": "/results", "statusPath": "/status", "keyPath": "/sku"}
    results["recordKeyPath"] = "/item/sku"
    records: list[Record] = [{"item": {"sku": sku}} for sku in ("a", 2, "c", "d")] + [{}]
    transport = script(
        answered(
            {"sku": "c", "status": 400}, {"sku": "a", "status": 200}, {"sku": 2, "status": 200}
        )
    )
    written = write(transport, records, batchSize=10, results=results)
    assert [(each.index, each.code) for each in written.failures] == [
        (2, "http400"),
        (3, "resultMissing"),
        (4, "resultMissing"),
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"results": {}}', b'{"results": [{"status": 200}]}', b"{}"],
    ids=["empty", "no JSON", "no array", "too few", "nothing there"],
)
def test_an_answer_without_results_is_no_success(body: bytes) -> None:
    """Nobody knows what was written, and the records say so."""
    written = write(script(ok(body)), numbered(2), batchSize=2, results=RESULTS)
    assert [each.code for each in written.failures] == ["resultsMissing"] * 2
    assert "nobody knows what was written" in written.failures[0].message


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json; charset=ISO-8859-1", '{"results": [{"status": 200, "id": "é"}]}'),
        ("application/json", '\ufeff{"results": [{"status": 200, "id": "é"}]}'),
        ("text/html", '{"results": [{"status": 200, "id": "é"}]}'),
    ],
)
@pytest.mark.parametrize("status", [200, 422])
def test_an_answer_is_read_in_its_charset(content_type: str, body: str, status: int) -> None:
    """What arrived is known, whatever the bytes that say so."""
    charset = "latin-1" if "8859" in content_type else "utf-8"
    told = HttpResponse(status, {"content-type": content_type}, body.encode(charset))
    written = write(script(told), numbered(1), batchSize=1, results=RESULTS)
    assert [each.code for each in written.failures] == ([] if status == 200 else ["http422"])
    assert written.answers[0].read() == {"status": 200, "id": "é"}


@pytest.mark.parametrize(
    ("content_type", "body", "why"),
    [
        ("application/json; charset=klingon", b"{}", "no charset 'klingon' is known"),
        ("application/json; charset=utf-16", b"{}{", "the answer ends within a character"),
        ("application/json", b"<html>", "the answer is not JSON: Expecting value"),
        ("application/json", b"", "the answer is empty"),
    ],
)
def test_an_answer_that_cannot_be_read_says_why(content_type: str, body: bytes, why: str) -> None:
    """The batch was sent all the same, so the step goes on."""
    told = HttpResponse(200, {"content-type": content_type}, body)
    written = write(script(told), numbered(2), batchSize=2, results=RESULTS)
    assert [each.code for each in written.failures] == ["resultsMissing"] * 2
    assert written.failures[0].message.startswith(f"nobody knows what was written: {why}")
    assert written.answers[0].read() is None


def test_a_byte_that_is_no_text_spoils_its_result_alone() -> None:
    """Systems that send Latin-1 do not always say so."""
    body = '{"results": [{"status": 200, "id": "a"}, {"status": 400, "error": {"message": "é"}}]}'
    written = write(script(ok(body.encode("latin-1"))), numbered(2), batchSize=2, results=RESULTS)
    assert [(each.index, each.code) for each in written.failures] == [(1, "http400")]
    assert written.answers[0].id == "a"


def test_words_of_any_kind_are_taken() -> None:
    """Half a surrogate pair in an answer spoils nothing, as a code, as words or as a key."""
    results = {**RESULTS, "codePath": "/c", "messagePath": "/m"}
    told = answered(
        {"status": 400, "c": ["\ud800"], "m": ["\ud800"]}, {"status": 400, "c": "\ud800", "m": "é"}
    )
    written = write(script(told), numbered(2), batchSize=2, results=results)
    assert written.failures == [
        RecordFailure(0, '[" "]', '[" "]'),
        RecordFailure(1, "http400", "é"),
    ]
    results = {**RESULTS, "keyPath": "/key", "recordKeyPath": "/id"}
    told = answered({"key": ["\ud800"], "status": 200}, {"key": 0, "status": 201})
    written = write(script(told), numbered(1), batchSize=1, results=results)
    assert (written.failures, written.answers[0].status) == ([], 201)


def test_what_is_told_of_a_record_asks_for_no_new_token() -> None:
    """The secrets to be hidden are those of the request that was answered."""
    told = answered({"status": 403, "error": {"message": "bad s3cret t-1"}}, {"status": 404})
    oauth = OAuth2ClientCredentialsAuth(
        type="oauth2ClientCredentials", token_url="https://auth.example/token", client_id="c"
    )
    answers = iter([ok(b'{"access_token": "t-1", "expires_in": 1}'), told])
    time = FakeTime()

    def slow(_: HttpRequest) -> Answer:
        time.sleep(1)
        return next(answers)

    http = http_client(ScriptedTransport(slow), time)
    secrets = {"client_secret": "s3cret"}
    importer = HttpImporter(
        HttpImport.model_validate({"path": "/orders", "batchSize": 2, "results": RESULTS}),
        ConnectionClient(connection(auth=oauth), secrets, http, AccessTokens(time.clock)),
        lambda *_: "key",
    )
    assert importer.write(numbered(2), origins(2)).failures == [
        RecordFailure(0, "http403", "bad *** ***"),
        RecordFailure(1, "http404", "the other system refused it"),
    ]


def test_a_refused_batch_tells_the_reasons_that_it_gives() -> None:
    """All of it was refused, whatever single results say; each has the best reason there is."""
    results = answered(
        {"status": 200}, {"status": 422, "error": {"message": "no such sku"}}, status=422
    )
    written = write(script(results), numbered(2), batchSize=2, results=RESULTS)
    assert written.failures[0].message.startswith("POST api.example answered 422")
    assert written.failures[1] == RecordFailure(1, "http422", "no such sku")


def test_secrets_in_the_words_of_a_result_are_masked() -> None:
    """A system that repeats the token does not get it into a record error."""
    told = answered({"status": 403, "error": {"code": "s3cret", "message": "bad token s3cret"}})
    shop = connection(auth=BearerAuth(type="bearer"))
    importer = HttpImporter(
        HttpImport.model_validate({"path": "/orders", "batchSize": 1, "results": RESULTS}),
        client(script(told), shop, token="s3cret"),
        lambda *_: "key",
    )
    assert importer.write(numbered(1), origins(1)).failures == [
        RecordFailure(0, "***", "bad token ***")
    ]


def all_or_nothing(request: HttpRequest) -> Answer:
    """A system that refuses a batch for one poison record."""
    records = json.loads(request.body or b"")
    return refused(422, b"poison") if {"id": 613} in records else ok()


def test_r13_one_poison_record_among_a_thousand_fails_alone() -> None:
    """Where a system takes all or nothing, the batch is split until the reason stands alone."""
    transport = ScriptedTransport(all_or_nothing)
    written = write(transport, numbered(1_000), batchSize=1_000, splitRefused=True)
    assert [(each.index, each.code) for each in written.failures] == [(613, "http422")]
    taken = [request for request in transport.requests if all_or_nothing(request) == ok()]
    arrived = [record for request in taken for record in json.loads(request.body or b"")]
    assert sorted(each["id"] for each in arrived) == [n for n in range(1_000) if n != 613]
    keys = [request.headers["Idempotency-Key"] for request in transport.requests]
    assert len(set(keys)) == len(keys) <= 21


def test_equal_halves_have_keys_of_their_own() -> None:
    """A receiver that honours keys does not take the second half for the first one."""
    transport = script(refused(422), ok(), ok())
    write(transport, [{"a": 1}, {"a": 1}], batchSize=2, splitRefused=True)
    _, first, second = transport.requests
    assert first.body == second.body
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]


def test_a_lost_answer_is_asked_for_again_with_the_same_key() -> None:
    """Results come from the answer that arrives in the end."""
    transport = script(lost(), answered({"status": 200}, {"status": 400}))
    written = write(transport, numbered(2), batchSize=2, results=RESULTS)
    assert [each.index for each in written.failures] == [1]
    assert len({request.headers["Idempotency-Key"] for request in transport.requests}) == 1


def test_a_record_that_exists_is_updated() -> None:
    """The refusal of the first request leads to the other one, under a key of its own."""
    transport = script(refused(409), ok(b'{"id": 9}'))
    upsert = {"method": "PUT", "path": "/orders/by-number"}
    written = write(transport, numbered(1), upsert=upsert)
    assert written.failures == []
    assert written.answers[0].read() == {"id": 9}
    first, second = transport.requests
    assert (first.method, second.method) == ("POST", "PUT")
    assert second.url.endswith("/orders/by-number")
    assert first.body == second.body
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]


def test_a_refused_update_is_the_records_failure() -> None:
    """There is no third request."""
    transport = script(refused(409), refused(409))
    upsert = {"method": "PUT", "path": "/orders/by-number"}
    written = write(transport, numbered(1), upsert=upsert)
    assert [each.code for each in written.failures] == ["http409"]


@pytest.mark.parametrize(
    ("option", "status"), [("ignoreExisting", 409), ("ignoreMissing", 404), ("ignoreMissing", 410)]
)
def test_what_exists_or_is_missing_may_be_ignored(option: str, status: int) -> None:
    """It is neither written nor failed."""
    written = write(script(refused(status)), numbered(1), **{option: True})
    assert (written.failures, written.ignored) == ([], frozenset({0}))
    batch = script(answered({"status": 200}, {"status": status}))
    written = write(batch, numbered(2), batchSize=2, results=RESULTS, **{option: True})
    assert (written.failures, written.ignored) == ([], frozenset({1}))


def test_without_the_option_a_missing_address_fails_the_step() -> None:
    """404 mostly means that the path is wrong."""
    with pytest.raises(StepFailed):
        write(script(refused(404)), numbered(1), ignoreExisting=True)


@pytest.mark.parametrize(
    ("http", "words"),
    [
        ({"results": RESULTS}, "those of a batch"),
        ({"batchSize": 2, "results": {"path": "/a"}}, "statusPath or okExpression"),
        (
            {"batchSize": 2, "results": {"statusPath": "/s", "keyPath": "/k"}},
            "keyPath and recordKeyPath",
        ),
        ({"splitRefused": True}, "Only a batch can be split"),
        (
            {"batchSize": 2, "upsert": {"method": "PUT", "path": "/a"}},
            "upsert is of single records",
        ),
        ({"batchSize": 2, "ignoreExisting": True}, "needs the status of each record"),
        (
            {"ignoreExisting": True, "upsert": {"method": "PUT", "path": "/a"}},
            "speak of the same status",
        ),
        ({"format": "form", "batchSize": 2}, "A form holds one record"),
        ({"format": "csv", "bodyPath": "/a"}, "bodyPath have no meaning"),
        ({"format": "json", "csv": {}}, "csv has no meaning"),
        ({"batchSize": 2, "body": {"a": 1}}, "where in the body the records"),
        ({"body": {"a": 1}, "bodyPath": "/a/b"}, "which is no object"),
    ],
)
def test_what_makes_no_sense_together_is_refused(http: Json, words: str) -> None:
    """The author is told before anything runs."""
    with pytest.raises(ValidationError, match=words):
        HttpImport.model_validate({"path": "/orders", **http})
