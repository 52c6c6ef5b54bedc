"""Where requests are to be sent is looked at before it is stored, and again before each request."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from millrace.domain.authentication import OAuth2ClientCredentialsAuth
from millrace.domain.connection import Connection, ConnectionInput
from millrace.domain.errors import Violation
from millrace.domain.notification_group import (
    NotificationGroup,
    NotificationGroupInput,
    UrlTarget,
)
from millrace.domain.token import Caller
from millrace.usecases.context import Context

_REMEDY: Final = (
    "Write a public address, or have who runs Millrace allow the network to the workspace "
    "(docs/operations.md)."
)


def check_connection(
    context: Context, caller: Caller, given: ConnectionInput, before: Connection | None
) -> Iterable[Violation]:
    """The system and its token endpoint may be reached."""
    known = {} if before is None else _of_connection(before)
    return _refusals(context, caller, _of_connection(given), known.values())


def check_notification_group(
    context: Context,
    caller: Caller,
    given: NotificationGroupInput,
    before: NotificationGroup | None,
) -> Iterable[Violation]:
    """What notifications are posted to may be reached."""
    known = {} if before is None else _of_group(before)
    return _refusals(context, caller, _of_group(given), known.values())


def _of_connection(given: ConnectionInput) -> dict[str, str]:
    urls = {"/baseUrl": given.base_url}
    if isinstance(given.auth, OAuth2ClientCredentialsAuth):
        urls["/auth/tokenUrl"] = given.auth.token_url
    return urls


def _of_group(given: NotificationGroupInput) -> dict[str, str]:
    return {
        f"/targets/{number}/url": target.url
        for number, target in enumerate(given.targets)
        if isinstance(target, UrlTarget)
    }


def _refusals(
    context: Context, caller: Caller, urls: Mapping[str, str], known: Collection[str]
) -> Iterator[Violation]:
    """What stood there already stays: who renames a connection need not correct it as well."""
    for pointer, url in urls.items():
        if url in known:
            continue
        why = context.connectors.check_address(caller.workspace_id, url)
        if why is not None:
            message = f"Requests may not be sent to this address: {why}."
            yield Violation("addressRefused", pointer, message, _REMEDY)
