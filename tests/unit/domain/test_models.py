"""What models refuse and how they look on the wire."""

import secrets
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta, timezone
from hashlib import sha256

import pytest
from pydantic import ValidationError
from tests.support import samples
from tests.support.samples import connection, export_step
from tests.support.time_and_ids import NOON

from millrace.domain.authentication import BasicAuth, BearerAuth
from millrace.domain.base import rfc3339
from millrace.domain.connection import ConnectionInput
from millrace.domain.flow import FlowInput
from millrace.domain.token import hash_token, new_token, parse_token


def test_the_wire_form_is_camel_case_without_absent_values() -> None:
    """What clients see is one style, and null is not a way to say absent."""
    told = connection(stable_key="shop").to_json()
    assert told["baseUrl"] == "https://shop.example"
    assert told["stableKey"] == "shop"
    assert told["createdAt"] == "2026-01-31T12:00:00.000Z"
    assert "description" not in told


def test_unknown_fields_are_refused_by_name() -> None:
    """A misspelt field is an error, not silence."""
    with pytest.raises(ValidationError, match="baseURL"):
        ConnectionInput.model_validate({"name": "n", "baseURL": "https://a.example"})


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\x7f", "x" * 129, "\ud800"])
def test_names_are_short_and_printable(name: str) -> None:
    """A name fits into logs, headers and terminals."""
    with pytest.raises(ValidationError):
        FlowInput(name=name)


def test_a_name_is_stripped() -> None:
    """Space around a name is a slip of the hand."""
    assert FlowInput(name="  Orders ").name == "Orders"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://shop.example",
        "shop.example",
        "https://",
        "https://user:pw@shop.example",
        "https://shop.example/?a=1",
        "https://shop.example/#x",
        "https://shop example",
    ],
)
def test_a_base_url_is_http_and_holds_no_credential(url: str) -> None:
    """Credentials belong into auth, where they are kept secret."""
    with pytest.raises(ValidationError):
        ConnectionInput(name="n", base_url=url)


def test_a_base_url_loses_its_trailing_slash() -> None:
    """A path starts with a slash, and two would be another path."""
    given = ConnectionInput(name="n", base_url="https://shop.example/v1/")
    assert given.base_url == "https://shop.example/v1"


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer", "token": "hunter2"},
        {"type": "basic", "username": "u", "password": "hunter2"},
    ],
)
def test_a_secret_is_never_shown(auth: dict[str, str]) -> None:
    """Neither JSON nor repr gives a secret away."""
    given = ConnectionInput.model_validate(
        {"name": "n", "baseUrl": "https://shop.example", "auth": auth}
    )
    assert isinstance(given.auth, BearerAuth | BasicAuth)
    assert "hunter2" not in given.model_dump_json() + repr(given) + str(given.to_json())


def test_times_are_utc_with_milliseconds() -> None:
    """One time format on the wire, whatever the zone it came in."""
    paris = timezone(timedelta(hours=1))
    assert rfc3339(datetime(2026, 1, 31, 13, 0, 0, 1_999, tzinfo=paris)) == (
        "2026-01-31T12:00:00.001Z"
    )


def test_a_time_needs_a_zone() -> None:
    """Nine o'clock where? is not for us to guess."""
    with pytest.raises(ValidationError, match="zone"):
        samples.version(deployed_at=NOON.replace(tzinfo=None))


def test_a_trigger_of_kind_schedule_needs_one() -> None:
    """A flow that says it runs by schedule must have a schedule."""
    with pytest.raises(ValidationError, match="needs a schedule"):
        FlowInput.model_validate({"name": "n", "trigger": {"kind": "schedule"}})


def test_failures_stop_and_partial_successes_go_on_unless_said_otherwise() -> None:
    """The defaults of a step's exception behaviour."""
    plain = export_step()
    assert (plain.strategy("failure"), plain.strategy("partial_success")) == ("stop", "continue")
    other = export_step(
        exception_behavior=[
            {"type": "failure", "strategy": "continue"},
            {"type": "partial_success", "strategy": "stop"},
        ]
    )
    assert (other.strategy("failure"), other.strategy("partial_success")) == ("continue", "stop")


def test_a_version_says_what_it_is() -> None:
    """Draft until first deployed, afterwards deployed or inactive."""
    assert samples.version().state == "draft"
    assert samples.version(deployed_at=NOON, frozen=True).state == "deployed"
    assert samples.version(frozen=True).state == "inactive"


def test_a_token_names_its_record_and_is_kept_as_a_hash() -> None:
    """From the text one finds the record; from the record nobody finds the text."""
    text, secret_hash = new_token("ws_1", "tok_1")
    assert parse_token(text) == ("ws_1", "tok_1")
    assert secret_hash == hash_token(text) == sha256(text.encode()).hexdigest()
    assert new_token("ws_1", "tok_1")[0] != text


def test_a_token_has_256_bits_of_the_systems_randomness(monkeypatch: pytest.MonkeyPatch) -> None:
    """All 32 bytes of them are in its last part."""
    asked: list[int | None] = []

    def random(count: int | None = None) -> str:
        asked.append(count)
        return urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")

    monkeypatch.setattr(secrets, "token_urlsafe", random)
    text, _ = new_token("ws_1", "tok_1")
    assert asked == [32]
    assert text == f"mr.ws_1.tok_1.{random()}"


@pytest.mark.parametrize("text", ["", "mr", "mr.ws_1.tok_1", "xx.ws_1.tok_1.s", "mr.a.b.c.d"])
def test_what_is_no_token_names_nothing(text: str) -> None:
    """Other systems' tokens are not looked up."""
    assert parse_token(text) is None
