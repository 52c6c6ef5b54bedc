"""Requests that are carried out once, however often they are sent."""

from typing import ClassVar

from pydantic import Field

from millrace.domain.base import Moment
from millrace.domain.resource import Resource


class RememberedRequest(Resource):
    """A request that came with an Idempotency-Key, and the answer to give if it comes again.

    It is stored by the transaction that carries the request out, so the request is carried out at
    most once; the answer follows. Its id is the SHA-256 of the key.
    """

    prefix: ClassVar[str] = "once"

    fingerprint: str
    """SHA-256 of what was asked; another request may not have the same key."""
    expires_at: Moment
    made: str | None = None
    """The id of what the transaction made, if anything, of which a lost answer can be made."""
    status: int | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    body: str = ""

    @property
    def forgotten_at(self) -> Moment:
        """When the store may remove it."""
        return self.expires_at
