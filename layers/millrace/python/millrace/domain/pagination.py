"""How a system hands out its records page by page, and how to know the last page."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from millrace import limits
from millrace.domain.base import JsonPointer, Model
from millrace.domain.findings import contradiction, finding, missing, need_one
from millrace.domain.flow_parts import HeaderName

ParameterName = Annotated[str, StringConstraints(pattern=r"^[^\s&=#]+$", max_length=128)]

PlaceName = Annotated[
    ParameterName,
    Field(description="A parameter's name; in a body, the JSON Pointer of the value to set."),
]


_NEXT: Final = "/next"


class _Pages(Model):
    """What all kinds have in common."""

    max_pages: int | None = Field(
        default=None, ge=1, le=limits.EXPORT_PAGES, description="Read at most this many pages."
    )
    has_more_path: JsonPointer | None = Field(
        default=None,
        description="Where in the answer stands whether there is more; absent is false.",
    )
    total_path: JsonPointer | None = Field(
        default=None, description="Where in the answer the number of all records stands."
    )

    @property
    def reads_body(self) -> bool:
        """Whether the end is told within the answer's JSON."""
        return self.has_more_path is not None or self.total_path is not None

    @property
    def writes_body(self) -> bool:
        """Whether the place is told within the request's JSON."""
        return False


class _Counted(_Pages):
    send_in: Literal["query", "body"] = "query"

    @property
    def writes_body(self) -> bool:
        """See above."""
        return self.send_in == "body"


class OffsetPagination(_Counted):
    """`?offset=200&limit=100`: ends at a page shorter than `limit`."""

    type: Literal["offset"]
    offset_parameter: PlaceName = "offset"
    limit_parameter: PlaceName = "limit"
    limit: int = Field(default=100, ge=1, le=limits.PAGE_RECORDS)

    @model_validator(mode="after")
    def _names_are_pointers(self) -> Self:
        _check_names(self, self.send_in, "offset_parameter", "limit_parameter")
        return self


class PagePagination(_Counted):
    """`?page=3&perPage=100`: ends at an empty page, or at one shorter than `size`."""

    type: Literal["page"]
    page_parameter: PlaceName = "page"
    start: int = Field(default=1, ge=0, le=1, description="The number of the first page.")
    size_parameter: PlaceName | None = None
    size: int | None = Field(default=None, ge=1, le=limits.PAGE_RECORDS)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.size_parameter is not None and self.size is None:
            raise missing(
                "size", "sizeParameter needs a size to send.", "Add it, or leave sizeParameter out."
            )
        _check_names(self, self.send_in, "page_parameter", "size_parameter")
        return self


class _Linked(_Pages):
    end_at_empty_page: bool = Field(
        default=False, description="End at a page without records, though it names a next one."
    )


class NextLinkPagination(_Linked):
    """Each answer holds the address of the next page; ends where there is none."""

    type: Literal["nextLink"]
    link_in: Literal["body", "header"] = Field(
        default="body", description="header: the Link header's rel=next (RFC 8288)."
    )
    next_link_path: JsonPointer = Field(
        default=_NEXT, description="Where in the answer the next page's address stands."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.link_in == "header" and self.next_link_path != _NEXT:
            raise contradiction(
                "nextLinkPath",
                "nextLinkPath has no meaning with linkIn header.",
                "Leave it out, or set linkIn to body.",
            )
        return self

    @property
    def reads_body(self) -> bool:
        """See above."""
        return self.link_in == "body" or super().reads_body


class CursorPagination(_Linked):
    """Each answer holds a token that asks for the next page; ends where there is none."""

    type: Literal["cursor"]
    token_path: JsonPointer | None = Field(
        default=None, description="Where in the answer the token stands."
    )
    token_header: HeaderName | None = Field(
        default=None, description="The header of the answer that holds the token."
    )
    send_in: Literal["query", "header", "body"] = "query"
    parameter: PlaceName = "cursor"

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        need_one(self, "token_path", "token_header")
        _check_names(self, self.send_in, "parameter")
        return self

    @property
    def reads_body(self) -> bool:
        """See above."""
        return self.token_path is not None or super().reads_body

    @property
    def writes_body(self) -> bool:
        """See above."""
        return self.send_in == "body"


def _check_names(pagination: Model, send_in: str, *fields: str) -> None:
    for field in fields:
        name = getattr(pagination, field)
        if send_in == "body" and name is not None and not name.startswith("/"):
            raise finding(
                "notAPointer",
                f"{name!r} is no place in a body.",
                f"Write a JSON Pointer such as /{name}.",
                f"/{to_camel(field)}",
            )


type Pagination = Annotated[
    OffsetPagination | PagePagination | NextLinkPagination | CursorPagination,
    Field(discriminator="type"),
]
