"""Pages of lists: their links, also as a header (RFC 8288), and what is known of the whole."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from aws_lambda_powertools.event_handler import Response

from millrace import limits
from millrace.domain.base import Model
from millrace.http.body import JSON
from millrace.http.queries import NumberedQuery, PagedQuery
from millrace.http.requests import Links, Meta, Page
from millrace.usecases.lists import Part

_PLACE: Final = {"page", "cursor"}


def links_of(event: Mapping[str, Any], query: PagedQuery, part: Part[Any]) -> tuple[Links, Meta]:
    """The links of the page that a request got, and what is known of the list.

    The other parameters of the request stay in the links.
    """
    per_page, cursor, total = query.per_page, part.cursor, part.total
    page = query.page if isinstance(query, NumberedQuery) else None
    numbered = isinstance(query, NumberedQuery)
    given = parse_qsl(str(event.get("rawQueryString") or ""), keep_blank_values=True)
    kept = [(name, value) for name, value in given if name not in _PLACE]

    def address(**place: str | int) -> str:
        query = urlencode([*kept, *place.items()], quote_via=quote, safe=",")
        return f"{event['rawPath']}?{query}" if query else str(event["rawPath"])

    reachable = limits.PAGED_ITEMS // per_page
    pages = None if total is None else max(1, -(-total // per_page))
    following = None
    if cursor is not None and page is not None and page < reachable:
        following = address(page=page + 1)
    elif cursor is not None:
        following = address(cursor=cursor)
    links = Links(
        first=address(),
        prev=address(page=page - 1) if page is not None and page > 1 else None,
        next=following,
        last=address(page=pages) if numbered and pages is not None and pages <= reachable else None,
    )
    number = (page or 1) if numbered and query.cursor is None else None
    return links, Meta(total=total, page=number, per_page=per_page, pages=pages)


def page_answer[M: Model](
    event: Mapping[str, Any], query: PagedQuery, part: Part[M]
) -> Response[Page[M]]:
    """A page of a list as an answer to the request for it."""
    links, meta = links_of(event, query, part)
    page = Page(data=part.items, meta=meta, links=links)
    return Response(HTTPStatus.OK.value, JSON, body=page, headers=link_header(links))


def link_header(links: Links) -> dict[str, str]:
    """The links as a header."""
    told = [
        f'<{address}>; rel="{relation}"'
        for relation, address in links.model_dump(exclude_none=True).items()
    ]
    return {"Link": ", ".join(told)}
