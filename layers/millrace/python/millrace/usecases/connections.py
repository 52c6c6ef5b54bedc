"""Connections: create, read, replace, delete. Their secrets go to the secret store."""

from millrace.domain.connection import Connection, ConnectionInput
from millrace.domain.ports import Create, Delete, Listing, Replace
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.resources import born, changed, check_revision, fields_of
from millrace.usecases.write_only import (
    changed_secrets,
    commit_with_secrets,
    secrets_of,
    take_secrets,
)


def new_connection(
    context: Context, caller: Caller, given: ConnectionInput
) -> tuple[Connection, dict[str, str]]:
    """A connection not stored yet, and its secrets."""
    given, secrets = take_secrets(given)
    connection = Connection(
        **fields_of(given, Connection),
        **born(context, caller, Connection),
        secrets_version=context.new_id("sec") if secrets else None,
    )
    return connection, secrets


def changed_connection(
    context: Context, caller: Caller, before: Connection, given: ConnectionInput
) -> tuple[Connection, dict[str, str]]:
    """A connection as it will be, and its secrets; those left out of `given` are kept.

    Gives `before` itself, with no secrets, if nothing changes.
    """
    given, new = take_secrets(given)
    # A secret of another kind of authentication is forgotten, not kept out of sight.
    old = secrets_of(context.secrets, before) if given.auth.type == before.auth.type else {}
    secrets = old | new
    same_secrets = secrets == old and bool(secrets) == (before.secrets_version is not None)
    if same_secrets and fields_of(before, ConnectionInput) == fields_of(given, ConnectionInput):
        return before, {}
    version = before.secrets_version
    if not same_secrets:
        version = context.new_id("sec") if secrets else None
    after = Connection(
        **fields_of(given, Connection),
        **changed(context, caller, before),
        secrets_version=version,
    )
    return after, {} if same_secrets else secrets


def create_connection(context: Context, caller: Caller, given: ConnectionInput) -> Connection:
    """Store a new connection."""
    connection, secrets = new_connection(context, caller, given)
    new, _ = changed_secrets(None, connection, secrets)
    commit_with_secrets(context, [Create(connection)], new)
    return connection


def get_connection(context: Context, caller: Caller, connection_id: str) -> Connection:
    """A stored connection, without its secrets."""
    return context.resources.get(Connection, caller.workspace_id, connection_id)


def list_connections(
    context: Context, caller: Caller, limit: int, cursor: str | None
) -> Listing[Connection]:
    """One page of the workspace's connections."""
    return context.resources.page(Connection, caller.workspace_id, limit=limit, cursor=cursor)


def replace_connection(
    context: Context,
    caller: Caller,
    connection_id: str,
    given: ConnectionInput,
    revision: int | None,
) -> Connection:
    """Change a connection; secrets left out are kept."""
    before = get_connection(context, caller, connection_id)
    check_revision(before, revision)
    after, secrets = changed_connection(context, caller, before, given)
    if after is before:
        return before
    new, obsolete = changed_secrets(before, after, secrets)
    commit_with_secrets(context, [Replace(before, after)], new, obsolete)
    return after


def delete_connection(
    context: Context, caller: Caller, connection_id: str, revision: int | None
) -> None:
    """Remove a connection and its secrets."""
    before = get_connection(context, caller, connection_id)
    check_revision(before, revision)
    context.resources.commit(Delete(before))
    if before.secrets_key is not None:
        context.secrets.delete(before.secrets_key)
