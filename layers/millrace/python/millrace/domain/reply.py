"""What a flow answers to the caller of a callback.

A record of the flow's last steps that has `$response` says it all:
`{"$response": {"status": 201, "headers": {"Location": "/orders/7"}, "body": {"id": 7}}}`.
"""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from millrace import limits
from millrace.domain.base import Json, Model, Whole
from millrace.domain.flow_parts import HeaderName

RESPONSE: Final = "$response"
"""The field of a record that is the answer, rather than a part of it."""

OWN_HEADERS: Final = frozenset(
    {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
)
"""They are the connection's, which is not the flow's to speak of."""

HeaderText = Annotated[
    str, StringConstraints(pattern=r"^[\t\x20-\x7e\x80-\U0010ffff]*$", max_length=8_192)
]


class Reply(Model):
    """An answer as a flow's last step words it."""

    status: Whole | None = Field(default=None, ge=200, le=599)
    headers: dict[HeaderName, HeaderText] = Field(
        default_factory=dict, max_length=limits.REPLY_HEADERS
    )
    body: Json = None
