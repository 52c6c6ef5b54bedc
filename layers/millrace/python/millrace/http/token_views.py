"""Answers that show tokens without what would let their holders in."""

from typing import Self

from pydantic import Field

from millrace.domain.base import Model, Moment
from millrace.domain.resource import Resource
from millrace.domain.token import Role, Token, TokenInput
from millrace.usecases.resources import fields_of


class TokenView(TokenInput, Resource):
    """A token without anything that would let its holder in."""

    last_used_at: Moment | None = Field(
        description="To some minutes; null: never, or before it was written down."
    )

    @classmethod
    def of(cls, token: Token) -> Self:
        """The view of a stored token."""
        return cls(**fields_of(token, cls))


class CreatedToken(TokenView):
    """A new token, with the text that its holder sends: shown now and never again."""

    token: str

    @classmethod
    def with_text(cls, token: Token, text: str) -> Self:
        """The view of a token just made."""
        return cls(**fields_of(token, TokenView), token=text)


class TokenInfo(Model):
    """What the caller's own token is good for."""

    workspace_id: str
    token_id: str
    name: str
    role: Role
    expires_at: Moment | None

    @classmethod
    def of(cls, token: Token) -> Self:
        """The view of the caller's token."""
        return cls(token_id=token.id, **fields_of(token, cls))
