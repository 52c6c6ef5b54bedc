"""Who calls: bearer tokens made, checked and revoked."""

import hmac
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from millrace import limits
from millrace.domain.errors import (
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
    Violation,
)
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

logger = logging.getLogger(__name__)

_BOOTSTRAP = "bootstrap"


def _check(context: Context, caller: Caller, given: TokenInput, _: object) -> Iterator[Violation]:
    if not caller.may(given.role):
        yield Violation(
            "roleTooHigh",
            "/role",
            f"The role {given.role!r} may do more than yours, {caller.role!r}.",
            "Give it your own role or a lower one, or ask somebody who has that role.",
        )
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
    """Who holds this token. Raises UnauthenticatedError, without saying why.

    Takes one read, and every few minutes a write.
    """
    named = parse_token(text)
    if named is None:
        raise UnauthenticatedError("no valid token")
    workspace_id, token_id = named
    try:
        token = context.resources.get(Token, workspace_id, token_id)
    except NotFoundError as error:
        raise UnauthenticatedError("no valid token") from error
    now = context.clock()
    expired = token.expires_at is not None and token.expires_at <= now
    if expired or not hmac.compare_digest(token.secret_hash, hash_token(text)):
        raise UnauthenticatedError("no valid token")
    _note_use(context, token, now)
    return Caller(workspace_id=workspace_id, token_id=token_id, role=token.role)


def _note_use(context: Context, token: Token, now: datetime) -> None:
    """Write down that a token is used, now and then; nobody is kept out because that fails."""
    since = now - timedelta(seconds=limits.LAST_USED_SECONDS)
    if token.last_used_at is not None and token.last_used_at > since:
        return
    try:
        context.resources.record_use(token.workspace_id, token.id, now, since)
    except UnavailableError as error:
        logger.warning("%s: %s", token.id, error.message)
