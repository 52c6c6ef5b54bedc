"""What routes take from a request beside its body: who calls, which revision, which page."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header
from pydantic import Field

from millrace.domain.base import Model
from millrace.domain.errors import InvalidRequestError, UnauthenticatedError
from millrace.domain.resource import Revised
from millrace.domain.token import Caller
from millrace.http.body import JSON

IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="The ETag of the revision to change.")
]

_ETAG = re.compile(r'^(?:W/)?"(\d{1,12})"$')


class Links(Model):
    """Where to go on, and where pages with numbers are."""

    first: str | None = None
    prev: str | None = None
    next: str | None = None
    last: str | None = None


class Meta(Model):
    """What is known of the whole list."""

    total: int | None = Field(
        default=None, description="Absent where it would take reading the whole list."
    )
    page: int | None = Field(default=None, description="Absent after a cursor.")
    per_page: int
    pages: int | None = None


class Page[R: Model](Model):
    """One page of a list."""

    data: tuple[R, ...]
    meta: Meta | None = None
    links: Links = Links()


def caller_of(event: Mapping[str, Any]) -> Caller:
    """Who calls, as the authorizer found out."""
    authorizer = event["requestContext"].get("authorizer") or {}
    context = authorizer.get("lambda") or {}
    if "workspaceId" not in context:
        raise UnauthenticatedError("no valid token")
    return Caller(
        workspace_id=context["workspaceId"],
        token_id=context["tokenId"],
        role=context.get("role", "viewer"),
        request_id=event["requestContext"].get("requestId"),
    )


def revision_of(if_match: str | None) -> int | None:
    """The revision that an If-Match header names; None if there is none."""
    if if_match is None:
        return None
    match = _ETAG.match(if_match.strip())
    if match is None:
        raise InvalidRequestError('If-Match is not an ETag that we gave, such as "3"')
    return int(match[1])


def answer[M: Model](model: M, resource: Revised | None = None, status: int = 200) -> Response[M]:
    """An answer that holds a model, with the ETag of the resource that it shows."""
    etag = {} if resource is None else etag_of(resource)
    return Response(status_code=status, content_type=JSON, body=model, headers=etag)


def etag_of(resource: Revised) -> dict[str, str]:
    """The header that names the revision of what is answered."""
    return {"ETag": f'"{resource.revision}"'}
