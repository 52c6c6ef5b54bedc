"""Signatures: what each sender's scheme lets in, to the byte and to the second."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.time_and_ids import NOON

from millrace import limits
from millrace.domain.signatures import PRESETS, Scheme, verified

type Headers = dict[str, str]

SECRET: Final = "s3cret é"
KEY: Final = bytes(range(24))
STANDARD: Final = "whsec_" + base64.b64encode(KEY).decode()
BODY: Final = b'{"id": "evt_1",  "n": 1.0}'
NOW: Final = int(NOON.timestamp())


def mac(signed: bytes, key: bytes = SECRET.encode()) -> bytes:
    """The HMAC-SHA256."""
    return hmac.digest(key, signed, hashlib.sha256)


def by_github(body: bytes, _: str = "") -> Headers:
    """As GitHub documents it: the body, in hex."""
    return {"x-hub-signature-256": "sha256=" + mac(body).hex()}


def by_shopify(body: bytes, _: str = "") -> Headers:
    """As Shopify documents it: the body, in base64."""
    return {"x-shopify-hmac-sha256": base64.b64encode(mac(body)).decode()}


def by_patchworks(body: bytes, _: str = "") -> Headers:
    """The body, in hex, without a prefix."""
    return {"x-hmac-hash": mac(body).hex()}


def by_stripe(body: bytes, moment: str = str(NOW)) -> Headers:
    """As Stripe documents it: the time and the body, in hex, beside the time."""
    signed = mac(moment.encode() + b"." + body).hex()
    return {"stripe-signature": f"t={moment},v1={signed},v0={signed[::-1]}"}


def by_slack(body: bytes, moment: str = str(NOW)) -> Headers:
    """As Slack documents it: version, time and body, in hex; the time in a header of its own."""
    signed = mac(b"v0:" + moment.encode() + b":" + body).hex()
    return {"x-slack-signature": f"v0={signed}", "x-slack-request-timestamp": moment}


def by_standard(body: bytes, moment: str = str(NOW), id_: str = "msg_1") -> Headers:
    """As Standard Webhooks 1.0 says: id, time and body, in base64."""
    signed = mac(f"{id_}.{moment}.".encode() + body, KEY)
    text = base64.b64encode(signed).decode()
    return {"webhook-id": id_, "webhook-timestamp": moment, "webhook-signature": f"v1,{text}"}


SIGNED_BY: Final = {
    "github": (by_github, SECRET),
    "shopify": (by_shopify, SECRET),
    "patchworks": (by_patchworks, SECRET),
    "stripe": (by_stripe, SECRET),
    "slack": (by_slack, SECRET),
    "standardWebhooks": (by_standard, STANDARD),
}
TIMED: Final = ("stripe", "slack", "standardWebhooks")
PRESET_NAMES: Final = tuple(SIGNED_BY)


def is_let_in(
    preset: str, headers: Mapping[str, str], body: bytes = BODY, *secrets: str, at: float = 0
) -> bool:
    """Whether a request with these headers is let in, so many seconds after it was signed."""
    secrets = secrets or (SIGNED_BY[preset][1],)
    now = NOON + timedelta(seconds=at)
    return verified(PRESETS[preset], secrets, headers, body, now) is not None


@pytest.mark.parametrize("preset", PRESET_NAMES)
@given(body=st.binary(max_size=64))
def test_s1_what_a_vendor_signs_is_let_in(preset: str, body: bytes) -> None:
    """Whatever the bytes are, none included."""
    assert is_let_in(preset, SIGNED_BY[preset][0](body), body)


FAULTS: Final[Mapping[str, Callable[[str], str]]] = {
    "empty": lambda _: "",
    "cut": lambda digits: digits[:-1],
    "longer": lambda digits: digits + digits[-1],
    "another digit": lambda digits: ("1" if digits[0] == "0" else "0") + digits[1:],
    "not ASCII": lambda digits: "é☃" + digits[2:],
    "half a surrogate pair": lambda digits: digits[:-1] + "\ud800",
    "space before": lambda digits: " " + digits,
    "twice": lambda digits: digits + digits,
}


@pytest.mark.parametrize("preset", PRESET_NAMES)
@pytest.mark.parametrize("spoil", FAULTS.values(), ids=FAULTS.keys())
def test_s1_any_other_signature_is_not(preset: str, spoil: Callable[[str], str]) -> None:
    """Whatever is wrong with it."""
    name, prefix = PRESETS[preset].header.lower(), PRESETS[preset].prefix
    headers = SIGNED_BY[preset][0](BODY)
    before, found, rest = headers[name].rpartition(prefix) if prefix else ("", "", headers[name])
    digits, comma, after = rest.partition(",")
    spoiled = f"{before}{found}{spoil(digits)}{comma}{after}"
    assert not is_let_in(preset, headers | {name: spoiled})


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_s1_a_signature_stands_in_its_header_behind_its_prefix(preset: str) -> None:
    """Nowhere else, and not bare."""
    name, prefix = PRESETS[preset].header.lower(), PRESETS[preset].prefix
    headers = SIGNED_BY[preset][0](BODY)
    value = headers.pop(name)
    assert not is_let_in(preset, headers)
    assert not is_let_in(preset, headers | {"x-other": value})
    if prefix:
        assert not is_let_in(preset, headers | {name: value.replace(prefix, "")})
        assert not is_let_in(preset, headers | {name: value.replace(prefix, prefix.upper())})


@pytest.mark.parametrize("preset", PRESET_NAMES)
@given(body=st.binary(max_size=64), other=st.binary(max_size=64))
def test_s1_a_signature_is_of_its_bytes_alone(preset: str, body: bytes, other: bytes) -> None:
    """No other body passes with it, and no other secret makes it."""
    assume(body != other)
    headers = SIGNED_BY[preset][0](body)
    assert not is_let_in(preset, headers, other)
    assert not is_let_in(preset, headers, body, "whsec_" + base64.b64encode(b"guess").decode())


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_s1_either_secret_counts_during_rotation(preset: str) -> None:
    """And no others: neither an empty one nor what is no secret at all."""
    sign, secret = SIGNED_BY[preset]
    other = "whsec_" + base64.b64encode(b"other").decode()
    headers = sign(BODY)
    assert is_let_in(preset, headers, BODY, other, secret)
    assert is_let_in(preset, headers, BODY, secret, other)
    assert not is_let_in(preset, headers, BODY, other, "", "whsec_no base64")


def test_s1_an_empty_secret_opens_nothing() -> None:
    """Anybody could sign with it."""
    signed = {"x-hub-signature-256": "sha256=" + mac(BODY, b"").hex()}
    assert verified(PRESETS["github"], [""], signed, BODY, NOON) is None
    text = base64.b64encode(mac(f"m.{NOW}.".encode() + BODY, b"")).decode()
    signed = {
        "webhook-id": "m",
        "webhook-timestamp": str(NOW),
        "webhook-signature": f"v1,{text}",
    }
    assert verified(PRESETS["standardWebhooks"], ["", "whsec_"], signed, BODY, NOON) is None


def test_s1_capital_digits_are_the_same_digits() -> None:
    """Some systems write hexadecimal so; base64 has no such freedom."""
    plain = Scheme("sha256", "X-Sign")
    assert verified(plain, [SECRET], {"x-sign": mac(BODY).hex().upper()}, BODY, NOON)
    based = Scheme("sha256", "X-Sign", encoding="base64")
    text = base64.b64encode(mac(BODY)).decode()
    assert verified(based, [SECRET], {"x-sign": text}, BODY, NOON)
    for bad in (text.upper(), text.rstrip("="), f"{text}=", text[:-2] + "_=", f"\n{text}"):
        assert verified(based, [SECRET], {"x-sign": bad}, BODY, NOON) is None


def test_s1_one_right_signature_among_several_is_enough() -> None:
    """Senders that change their secret sign with both for a while."""
    right = by_standard(BODY)
    wrong = "v1," + base64.b64encode(bytes(32)).decode()
    signature = right["webhook-signature"]
    several = right | {"webhook-signature": f"{wrong} v1a,abc {signature}"}
    assert is_let_in("standardWebhooks", several)
    assert not is_let_in("standardWebhooks", right | {"webhook-signature": f"{wrong} {wrong}"})
    # The asymmetric version is another scheme, whatever stands behind it.
    other = signature.replace("v1,", "v1a,")
    assert not is_let_in("standardWebhooks", right | {"webhook-signature": other})
    v1 = by_stripe(BODY)["stripe-signature"].split(",")[1]
    assert is_let_in("stripe", {"stripe-signature": f"t={NOW},v1={'0' * 64},{v1}"})


def test_s1_the_example_of_standard_webhooks() -> None:
    """The vector that the specification's libraries are tested with."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    now = NOON.fromtimestamp(1614265330, NOON.tzinfo)
    assert verified(PRESETS["standardWebhooks"], [secret], headers, body, now)


@pytest.mark.parametrize("preset", TIMED)
@pytest.mark.parametrize(
    ("seconds", "is_in"), [(-301, False), (-300, True), (300, True), (301, False), (300.999, True)]
)
def test_s3_the_window_is_exact(preset: str, seconds: float, is_in: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Five minutes before and after, to the second."""
    assert is_let_in(preset, SIGNED_BY[preset][0](BODY), at=seconds) is is_in


@pytest.mark.parametrize("preset", TIMED)
@pytest.mark.parametrize(
    "moment",
    ["0", f"-{NOW}", f"{NOW}.0", "1" * 20, f"{NOW}000", "", f" {NOW}", f"+{NOW}", "٣", "1e9"],
)
def test_s3_a_time_is_whole_seconds(preset: str, moment: str) -> None:
    """Signed rightly, but no time of now: refused."""
    assert not is_let_in(preset, SIGNED_BY[preset][0](BODY, moment))


@pytest.mark.parametrize("preset", TIMED)
def test_s3_the_time_is_signed(preset: str) -> None:
    """A captured request cannot be made young again."""
    old, new = SIGNED_BY[preset][0](BODY, str(NOW - 400)), str(NOW)
    renewed = {name: value.replace(str(NOW - 400), new) for name, value in old.items()}
    assert not is_let_in(preset, renewed)


def test_s4_what_was_signed_is_known_again() -> None:
    """The same request has the same replay id; another time, body or id has another one."""

    def replay_id(preset: str, headers: Headers, body: bytes = BODY) -> str | None:
        found = verified(PRESETS[preset], [SIGNED_BY[preset][1]], headers, body, NOON)
        assert found is not None
        return found.replay_id

    assert replay_id("standardWebhooks", by_standard(BODY)) == "msg_1"
    for preset, sign in (("stripe", by_stripe), ("slack", by_slack)):
        first = replay_id(preset, sign(BODY))
        assert first is not None
        assert replay_id(preset, sign(BODY)) == first
        assert replay_id(preset, sign(BODY, str(NOW + 1))) != first
        assert replay_id(preset, sign(b"{}"), b"{}") != first
    assert replay_id("github", by_github(BODY)) is None
    assert not is_let_in("standardWebhooks", by_standard(BODY, id_=""))


@pytest.mark.parametrize("right", [0, 31, 64])
def test_s5_everything_is_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, right: int
) -> None:
    """However much of a signature is right, as much is done: each with each, by compare_digest."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    digits = mac(BODY).hex()[:right].ljust(64, "x")
    headers = {"x-hub-signature-256": f"sha256={digits}"}
    found = verified(PRESETS["github"], [SECRET, "other"], headers, BODY, NOON)
    assert (found is not None) == (right == 64)
    assert len(compared) == 2
    assert {len(one) for pair in compared for one in pair} == {71}


def test_the_window_is_that_of_the_documentation() -> None:
    """As the senders' own libraries have it."""
    assert limits.SIGNATURE_SECONDS == 300
