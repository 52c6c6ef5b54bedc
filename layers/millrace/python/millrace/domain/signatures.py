"""Signatures of requests: who signs what in which header, and whether a signature is right.

A scheme that signs the time as well takes a signature only near that time, and names by
`Verified.replay_id` what it signed, so that the same request sent again can be told from a new one.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from millrace import limits

type HmacAlgorithm = Literal["sha1", "sha256", "sha512"]
type HmacEncoding = Literal["hex", "base64"]
type HmacPreset = Literal["github", "stripe", "slack", "shopify", "patchworks", "standardWebhooks"]
type _Form = Literal["body", "stripe", "slack", "standardWebhooks"]

_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_STANDARD_SECRET: Final = "whsec_"  # noqa: S105 - what such secrets begin with


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a sender signs."""

    algorithm: HmacAlgorithm
    header: str
    prefix: str = ""
    encoding: HmacEncoding = "hex"
    form: _Form = "body"
    """What is signed, and how it stands in the header: the bare body, or as the vendor does it."""

    @property
    def signed_headers(self) -> tuple[str, ...]:
        """The headers that are signed with the body, in lower case."""
        return ("webhook-id",) if self.form == "standardWebhooks" else ()

    @property
    def is_timed(self) -> bool:
        """Whether the time is signed too."""
        return self.form != "body"


PRESETS: Final[Mapping[str, Scheme]] = {
    "github": Scheme("sha256", "X-Hub-Signature-256", "sha256="),
    "patchworks": Scheme("sha256", "X-HMAC-HASH"),
    "shopify": Scheme("sha256", "X-Shopify-Hmac-Sha256", encoding="base64"),
    "slack": Scheme("sha256", "X-Slack-Signature", "v0=", form="slack"),
    "standardWebhooks": Scheme(
        "sha256", "webhook-signature", "v1,", encoding="base64", form="standardWebhooks"
    ),
    "stripe": Scheme("sha256", "Stripe-Signature", "v1=", form="stripe"),
}


@dataclass(frozen=True, slots=True)
class Verified:
    """A request whose signature is right."""

    replay_id: str | None = None
    """Names what was signed if the time was: sent again, it is the same."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says of its signature."""

    signed: bytes
    signatures: Sequence[str]
    moment: str = ""
    id: str | None = None


def verified(
    scheme: Scheme,
    secrets: Iterable[str],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
) -> Verified | None:
    """Whether any signature of the request is right by any of the secrets; None if none is.

    Header names are in lower case. Everything is compared, in constant time, whatever is found.
    """
    claim = _claim(scheme, headers, body)
    expected = [_signature(scheme, key, claim.signed) for key in _keys(scheme, secrets)]
    given = [_plain(scheme, each) for each in claim.signatures]
    matches = [hmac.compare_digest(one, other) for one in expected for other in given]
    if not any(matches):
        return None
    if not scheme.is_timed:
        return Verified()
    if claim.id == "" or not _is_near(claim.moment, now):
        return None
    return Verified(claim.id or hashlib.sha256(claim.signed).hexdigest())


def key_of(scheme: Scheme, secret: str) -> bytes:
    """The key that a secret stands for. Raises ValueError if it stands for none."""
    if scheme.form != "standardWebhooks":
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_STANDARD_SECRET), validate=True)
    except binascii.Error as error:
        raise ValueError(f"behind {_STANDARD_SECRET!r} it has to be base64") from error


def _keys(scheme: Scheme, secrets: Iterable[str]) -> Iterator[bytes]:
    """The keys of secrets; one that stands for none, or is empty, opens nothing."""
    for secret in secrets:
        with suppress(ValueError):
            key = key_of(scheme, secret)
            if key:
                yield key


def _claim(scheme: Scheme, headers: Mapping[str, str], body: bytes) -> _Claim:
    given = headers.get(scheme.header.lower(), "")
    match scheme.form:
        case "body":
            return _Claim(body, [given])
        case "slack":
            moment = headers.get("x-slack-request-timestamp", "")
            return _Claim(_bytes(f"v0:{moment}:") + body, [given], moment)
        case "stripe":
            parts = given.split(",")
            moment = next((each[2:] for each in parts if each.startswith("t=")), "")
            return _Claim(_bytes(f"{moment}.") + body, parts, moment)
        case "standardWebhooks":
            id_, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
            signed = _bytes(f"{id_}.{moment}.") + body
            return _Claim(signed, given.split(" "), moment, id_)


def _signature(scheme: Scheme, key: bytes, signed: bytes) -> bytes:
    digest = hmac.digest(key, signed, scheme.algorithm)
    text = digest.hex() if scheme.encoding == "hex" else base64.b64encode(digest).decode()
    return _bytes(scheme.prefix + text)


def _plain(scheme: Scheme, given: str) -> bytes:
    """A signature as bytes, since compare_digest refuses other text than ASCII.

    Hexadecimal digits may be capital letters.
    """
    place = len(scheme.prefix)
    if scheme.encoding == "hex":
        given = given[:place] + given[place:].lower()
    return _bytes(given)


def _is_near(moment: str, now: datetime) -> bool:
    if _SECONDS.fullmatch(moment) is None:
        return False
    return abs(int(now.timestamp()) - int(moment)) <= limits.SIGNATURE_SECONDS


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
