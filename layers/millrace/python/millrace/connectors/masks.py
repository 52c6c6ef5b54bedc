"""Texts that may be sent, but neither told in a message nor kept in the table."""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Final
from urllib.parse import quote, quote_plus

from millrace.connectors.http_messages import HttpRequest

_PLACEHOLDER: Final = re.compile(r"\{\d+\.\d+\}")
_ANY: Final = "surrogatepass"
"""A secret may be any text that JSON can hold."""

_PERCENT: Final = re.compile("%[0-9A-F]{2}")
_BYTES_OF_BASE64: Final = 3
_TELLING: Final = 8
"""Fewer characters of base64 may be anything."""

_ORIGIN: Final = re.compile(r"[^:/?#]+://[^/?#]*")


def masks(*secrets: str) -> tuple[str, ...]:
    """The forms in which a receiver may repeat secrets, longest first."""
    return longest_first({form for secret in secrets for form in _forms(secret) if form})


def longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    """Texts in the order in which they are to be replaced, so that none is cut."""
    return tuple(sorted(texts, key=lambda text: (-len(text), text)))


def _forms(secret: str) -> tuple[str, ...]:
    """New forms go to the end: checkpoints count on the places of the others."""
    as_json = json.dumps(secret)[1:-1]
    strict = quote(secret, safe="", errors=_ANY)
    return (
        secret,
        quote(secret, errors=_ANY),
        strict,
        quote_plus(secret, errors=_ANY),
        as_json,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        b64encode(secret.encode(errors=_ANY)).decode(),
        # Written as other libraries do.
        as_json.replace("/", "\\/"),
        json.dumps(as_json)[1:-1],
        _PERCENT.sub(lambda found: found[0].lower(), strict),
        *_within_base64(secret),
    )


def _within_base64(secret: str) -> Iterator[str]:
    """What base64 has of a secret that other text stands before, whose length it depends on."""
    for before in range(_BYTES_OF_BASE64):
        data = b"\0" * before + secret.encode(errors=_ANY)
        # The characters at both ends depend on what stands beside the secret, too.
        own = slice((before * 8 + 5) // 6, len(data) * 8 // 6)
        for encode in (b64encode, urlsafe_b64encode):
            found = encode(data).decode()[own]
            if len(found) >= _TELLING:
                yield found


class PrivateTexts:
    """What secret variables put into an action's requests.

    A receiver may repeat it in the link to the next page, which is kept in a checkpoint. So an
    address holds placeholders wherever it is not just being sent; no address holds braces.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = tuple(dict.fromkeys(filter(None, texts)))

    def hidden(self, url: str) -> str:
        """An address with placeholders for the texts, behind its host; it may have some already."""
        if not self._texts:
            return url
        url = self.shown(url)
        origin = _ORIGIN.match(url)
        head = "" if origin is None else origin[0]
        rest = url[len(head) :]
        return head + self._pattern.sub(lambda found: self._placeholders[found[0]], rest)

    def shown(self, url: str) -> str:
        """The address that `hidden` was given."""
        if not self._texts:
            return url
        return _PLACEHOLDER.sub(lambda found: self._hidden.get(found[0], found[0]), url)

    def guarded(self, request: HttpRequest) -> HttpRequest:
        """The request, about which no message may repeat the texts."""
        if not self._texts:
            return request
        both = {*request.secrets, *masks(*self._texts)}
        return replace(request, secrets=longest_first(both))

    @cached_property
    def _hidden(self) -> Mapping[str, str]:
        """Placeholders to the texts in their forms: the same for the same texts in their order."""
        return {
            f"{{{number}.{kind}}}": form
            for number, text in enumerate(self._texts)
            for kind, form in enumerate(_forms(text))
        }

    @cached_property
    def _placeholders(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for placeholder, form in self._hidden.items():
            found.setdefault(form, placeholder)
        return found

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(re.escape(form) for form in masks(*self._texts)))
