"""Texts that may be sent, but neither told in a message nor kept in the table."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Final
from urllib.parse import quote, quote_plus

from millrace.connectors.http_messages import HttpRequest

_PLACEHOLDER: Final = re.compile(r"\{\d+\.\d+\}")
_ANY: Final = "surrogatepass"
"""A secret may be any text that JSON can hold."""

_ORIGIN: Final = re.compile(r"[^:/?#]+://[^/?#]*")


def masks(*secrets: str) -> tuple[str, ...]:
    """The forms in which a receiver may repeat secrets, longest first."""
    return longest_first({form for secret in secrets for form in _forms(secret) if form})


def longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    """Texts in the order in which they are to be replaced, so that none is cut."""
    return tuple(sorted(texts, key=lambda text: (-len(text), text)))


def _forms(secret: str) -> tuple[str, ...]:
    return (
        secret,
        quote(secret, errors=_ANY),
        quote(secret, safe="", errors=_ANY),
        quote_plus(secret, errors=_ANY),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        b64encode(secret.encode(errors=_ANY)).decode(),
    )


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
