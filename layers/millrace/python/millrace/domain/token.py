"""API tokens: what a client sends as bearer, and what we keep of it."""

import hashlib
import secrets
from typing import ClassVar, Final, Literal

from pydantic import Field

from millrace.domain.base import Model, Moment, Name
from millrace.domain.resource import Resource

TOKEN_PREFIX = "mr"  # noqa: S105 - the public marker of our tokens, not a secret
_SECRET_BYTES = 32


class Workspace(Resource):
    """A tenant."""

    prefix: ClassVar[str] = "ws"

    name: Name


type Role = Literal["viewer", "operator", "editor", "admin"]

ROLES: Final[tuple[Role, ...]] = ("viewer", "operator", "editor", "admin")
"""Each may do what those before it may: read; run, test and resolve; change; and give tokens."""


class TokenInput(Model):
    """What a caller sends to create or replace a token."""

    name: Name
    role: Role
    expires_at: Moment | None = Field(default=None, description="Absent: it never expires.")


class Token(TokenInput, Resource):
    """A stored token: the SHA-256 of what the client holds, and nothing that gives it back."""

    prefix: ClassVar[str] = "tok"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")
    beside: ClassVar[tuple[str, ...]] = ("last_used_at",)

    role: Role = "admin"  # what a token stored before there were roles may do
    secret_hash: str
    last_used_at: Moment | None = None
    """To some minutes (`limits.LAST_USED_SECONDS`); absent: never."""


class Caller(Model):
    """Who makes a request, as the authorizer found out."""

    workspace_id: str
    token_id: str
    role: Role = "admin"
    request_id: str | None = None
    """Of the request that is being handled, for the audit trail."""

    def may(self, role: Role) -> bool:
        """Whether the caller may do what this role may."""
        return ROLES.index(self.role) >= ROLES.index(role)


def new_token(workspace_id: str, token_id: str) -> tuple[str, str]:
    """A fresh bearer token and its hash.

    The token names its workspace and record, so that checking it is one strongly consistent
    read; only the last part, 256 random bits, is secret.
    """
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    text = f"{TOKEN_PREFIX}.{workspace_id}.{token_id}.{secret}"
    return text, hash_token(text)


def parse_token(text: str) -> tuple[str, str] | None:
    """The workspace id and token id that a bearer token names, or None if it is none of ours."""
    parts = text.split(".")
    if len(parts) != 4 or parts[0] != TOKEN_PREFIX:  # noqa: PLR2004 - prefix, workspace, id, secret
        return None
    return parts[1], parts[2]


def hash_token(text: str) -> str:
    """SHA-256, hex. A plain hash is enough: the secret is 256 random bits, not a password."""
    return hashlib.sha256(text.encode()).hexdigest()
