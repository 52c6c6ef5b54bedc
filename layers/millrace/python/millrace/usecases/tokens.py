"""Who calls: bearer tokens made, checked and revoked."""

import hmac
from collections.abc import Iterator
from typing import Final

from millrace.domain.errors import NotFoundError, UnauthenticatedError, Violation
from millrace.domain.ports import Create
from millrace.domain.token import (
    Caller,
    Token,
    TokenInput,
    Workspace,
    hash_token,
    new_token,
    parse_token,
)
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud
from millrace.usecases.resources import born, fields_of, refuse

_BOOTSTRAP = "bootstrap"


def _check(context: Context, _: object, given: TokenInput, __: object) -> Iterator[Violation]:
    if given.expires_at is not None and given.expires_at <= context.clock():
        yield Violation(
            "alreadyExpired",
            "/expiresAt",
            "The token would have expired already.",
            "Name a time to come; to end a token now, delete it.",
        )


TOKENS: Final = Crud(Token, TokenInput, check=_check)
"""Tokens once made. To make one, there is `create_token`: its text is shown only then."""


def create_workspace(context: Context, name: str) -> Workspace:
    """Store a new workspace. Done by whoever may write to the table, not over the API."""
    workspace_id = context.new_id(Workspace.prefix)
    stamps = born(context, Caller(workspace_id=workspace_id, token_id=_BOOTSTRAP), Workspace)
    workspace = Workspace(**(stamps | {"id": workspace_id}), name=name)
    context.resources.commit(Create(workspace))
    return workspace


def create_token(context: Context, caller: Caller, given: TokenInput) -> tuple[Token, str]:
    """Store a new token; the second value is what the client sends, shown this once."""
    refuse(_check(context, caller, given, None))
    stamps = born(context, caller, Token)
    text, secret_hash = new_token(caller.workspace_id, stamps["id"])
    token = Token(**fields_of(given, Token), **stamps, secret_hash=secret_hash)
    context.resources.commit(Create(token))
    return token, text


def token_of(context: Context, caller: Caller) -> Token:
    """The token that the caller sent. Raises UnauthenticatedError once it is revoked."""
    try:
        return TOKENS.get(context, caller, caller.token_id)
    except NotFoundError as error:
        # API Gateway remembers what the authorizer said for a while.
        raise UnauthenticatedError("no valid token") from error


def authenticate(context: Context, text: str) -> Caller:
    """Who holds this token. Raises UnauthenticatedError, without saying why."""
    named = parse_token(text)
    if named is None:
        raise UnauthenticatedError("no valid token")
    workspace_id, token_id = named
    try:
        token = context.resources.get(Token, workspace_id, token_id)
    except NotFoundError as error:
        raise UnauthenticatedError("no valid token") from error
    expired = token.expires_at is not None and token.expires_at <= context.clock()
    if expired or not hmac.compare_digest(token.secret_hash, hash_token(text)):
        raise UnauthenticatedError("no valid token")
    return Caller(workspace_id=workspace_id, token_id=token_id, role=token.role)
