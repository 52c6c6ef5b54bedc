"""How to ask for each page, and whether there is another: one class for each kind of pagination.

A place is JSON and small, so that a checkpoint can hold it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Protocol
from urllib.parse import urljoin

from millrace.connectors import json_documents
from millrace.connectors.json_documents import describe
from millrace.domain.action import HttpExport
from millrace.domain.base import Json
from millrace.domain.errors import StepFailed
from millrace.domain.pagination import (
    CursorPagination,
    NextLinkPagination,
    OffsetPagination,
    PagePagination,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is particular to the request for one page."""

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    url: str | None = None
    """The whole address, in place of path and query."""

    def having(self, send_in: str, name: str, value: str | int) -> "Ask":
        """The same with one more value, in the query, a header or the body."""
        match send_in:
            case "query":
                return replace(self, query={**self.query, name: str(value)})
            case "header":
                return replace(self, headers={**self.headers, name: str(value)})
            case _:
                try:
                    return replace(self, body=json_documents.replaced(self.body, name, value))
                except LookupError as error:
                    raise StepFailed("badBody", f"'{name}' cannot be set: {error}") from error


@dataclass(frozen=True, slots=True)
class Told:
    """What one answer tells of the pages after it."""

    document: Json
    """None where the format is not JSON."""
    headers: Mapping[str, str]
    url: str
    """Where it came from."""
    elements: int
    """Records in it, those that cannot be read included."""
    seen: int
    """Records in all answers, this one included."""


class Pager(Protocol):
    """One way of asking for the next page."""

    def ask(self, place: Json) -> Ask:
        """How to ask for the page at a place; None is the first page."""
        ...

    def next(self, place: Json, told: Told) -> Json:
        """The place after this page; None if it was the last."""
        ...


def pager_of(export: HttpExport, bare: Callable[[str], str]) -> Pager:
    """The pager of an export. `bare` takes credentials out of an address."""
    first = Ask(export.query, {}, export.body)
    match export.pagination:
        case OffsetPagination() as pagination:
            return _OffsetPager(pagination, first)
        case PagePagination() as pagination:
            return _NumberPager(pagination, first)
        case NextLinkPagination() as pagination:
            return _LinkPager(pagination, first, bare)
        case CursorPagination() as pagination:
            return _TokenPager(pagination, first)
        case None:
            return _OnePage(first)


@dataclass(frozen=True, slots=True)
class _OnePage:
    first: Ask

    def ask(self, place: Json) -> Ask:  # noqa: ARG002 - the port's signature
        return self.first

    def next(self, place: Json, told: Told) -> Json:
        """The only page is the last."""


@dataclass(frozen=True, slots=True)
class _OffsetPager:
    """A place is `{"offset": records read so far}`."""

    pagination: OffsetPagination
    first: Ask

    def ask(self, place: Json) -> Ask:
        here = self.pagination
        ask = self.first.having(here.send_in, here.offset_parameter, _offset(place))
        return ask.having(here.send_in, here.limit_parameter, here.limit)

    def next(self, place: Json, told: Told) -> Json:
        limit = self.pagination.limit
        _check_size(told.elements, limit, self.pagination.limit_parameter)
        if _is_last(self.pagination, told, told.elements < limit):
            return None
        return {"offset": _offset(place) + told.elements}


def _offset(place: Json) -> int:
    return 0 if place is None else int(place["offset"])


@dataclass(frozen=True, slots=True)
class _NumberPager:
    """A place is `{"page": number}`."""

    pagination: PagePagination
    first: Ask

    def ask(self, place: Json) -> Ask:
        here = self.pagination
        ask = self.first.having(here.send_in, here.page_parameter, self._number(place))
        if here.size_parameter is None or here.size is None:
            return ask
        return ask.having(here.send_in, here.size_parameter, here.size)

    def next(self, place: Json, told: Told) -> Json:
        size, name = self.pagination.size, self.pagination.size_parameter
        if size is not None and name is not None:
            _check_size(told.elements, size, name)
        is_short = size is not None and told.elements < size
        if _is_last(self.pagination, told, is_short):
            return None
        return {"page": self._number(place) + 1}

    def _number(self, place: Json) -> int:
        return self.pagination.start if place is None else int(place["page"])


def _check_size(elements: int, asked: int, name: str) -> None:
    if elements > asked:
        raise StepFailed(
            "limitIgnored",
            f"the answer holds {elements} records where {asked} were asked for; "
            f"the system does not take '{name}'",
        )


def _is_last(pagination: OffsetPagination | PagePagination, told: Told, is_short: bool) -> bool:  # noqa: FBT001 - a word of the sentence
    """Whether a page is the last: because it is empty, because the answer says so, or is short.

    A system may give fewer records than it was asked for; one that says more than that is believed.
    """
    if not told.elements:
        return True
    more = _says_more(pagination, told)
    return is_short if more is None else not more


def _says_more(
    pagination: OffsetPagination | PagePagination | NextLinkPagination | CursorPagination,
    told: Told,
) -> bool | None:
    """What the answer itself says of more pages; None if it says nothing."""
    says: bool | None = None
    if pagination.has_more_path is not None:
        value = _at(told.document, pagination.has_more_path)
        if not isinstance(value, bool | None):
            message = (
                f"at hasMorePath '{pagination.has_more_path}' is {describe(value)}, not a boolean"
            )
            raise StepFailed("badHasMore", message)
        says = bool(value)
    if says is not False and pagination.total_path is not None:
        total = _at(told.document, pagination.total_path)
        if isinstance(total, str) and total.isascii() and total.isdigit():
            total = int(total)
        if total is not None and (not isinstance(total, int) or isinstance(total, bool)):
            message = (
                f"at totalPath '{pagination.total_path}' is {describe(total)}, not a whole number"
            )
            raise StepFailed("badTotal", message)
        if total is not None:
            says = told.seen < total
    return says


def _at(document: Json, pointer: str) -> Json:
    """The value at a pointer; None where there is none."""
    try:
        return json_documents.resolve(document, pointer)
    except LookupError:
        return None


@dataclass(frozen=True, slots=True)
class _Trail:
    """A link or token, and enough of the way to it to notice that it goes in a circle.

    Brent's algorithm ("An improved Monte Carlo factorization algorithm", BIT 20, 1980): compare
    each with one that is remembered, and remember the current one after 1, 2, 4, 8... steps.
    A page that leads to itself is noticed at once, a longer circle after at most three rounds of
    it and of the way to it; the place stays small however long the export is.
    """

    here: Json
    remembered: Json
    steps: int = 0
    power: int = 1

    def to(self, there: Json) -> "_Trail":
        if there == self.remembered:
            raise StepFailed("pageLoop", "the way to the next page leads back to an earlier page")
        if self.steps + 1 == self.power:
            return _Trail(there, remembered=there, power=self.power * 2)
        return replace(self, here=there, steps=self.steps + 1)


def _goes_on(pagination: NextLinkPagination | CursorPagination, told: Told) -> bool:
    if pagination.end_at_empty_page and not told.elements:
        return False
    return _says_more(pagination, told) is not False


@dataclass(frozen=True, slots=True)
class _LinkPager:
    """A place is a trail of addresses."""

    pagination: NextLinkPagination
    first: Ask
    bare: Callable[[str], str]

    def ask(self, place: Json) -> Ask:
        return self.first if place is None else replace(self.first, url=_Trail(**place).here)

    def next(self, place: Json, told: Told) -> Json:
        if not _goes_on(self.pagination, told):
            return None
        link, where = self._link(told)
        if not link:
            return None
        if not isinstance(link, str):
            raise StepFailed("badLink", f"{where} is {describe(link)}, not an address")
        here = _Trail(told.url, remembered=told.url) if place is None else _Trail(**place)
        try:
            # The place is stored, so a key that the receiver put into the link is not in it.
            url = self.bare(urljoin(told.url, link))
        except ValueError as error:
            raise StepFailed("badLink", f"the link {where} is not an address") from error
        return asdict(here.to(url))

    def _link(self, told: Told) -> tuple[Json, str]:
        if self.pagination.link_in == "header":
            return next_link(told.headers.get("link", "")), "in the Link header"
        path = self.pagination.next_link_path
        return _at(told.document, path), f"at nextLinkPath '{path}'"


@dataclass(frozen=True, slots=True)
class _TokenPager:
    """A place is a trail of tokens."""

    pagination: CursorPagination
    first: Ask

    def ask(self, place: Json) -> Ask:
        if place is None:
            return self.first
        token = _Trail(**place).here
        return self.first.having(self.pagination.send_in, self.pagination.parameter, token)

    def next(self, place: Json, told: Told) -> Json:
        if not _goes_on(self.pagination, told):
            return None
        if self.pagination.token_header is not None:
            token: Json = told.headers.get(self.pagination.token_header.lower())
        else:
            token = _at(told.document, self.pagination.token_path or "")
        if token is None or token is False or token == "":
            return None
        if not isinstance(token, str | int) or isinstance(token, bool):
            raise StepFailed("badToken", f"the next page's token is {describe(token)}, not text")
        here = _Trail("", remembered="") if place is None else _Trail(**place)
        return asdict(here.to(token))


_LINK: Final = re.compile(r"<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,]*))?)*)")
_RELATIONS: Final = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,]*))", re.IGNORECASE)


def next_link(header: str) -> str | None:
    """The target of a Link header's link with the relation `next` (RFC 8288), if there is one."""
    for link in _LINK.finditer(header):
        found = _RELATIONS.search(link[2])
        if found and "next" in (found[1] or found[2] or "").lower().split():
            return link[1]
    return None
