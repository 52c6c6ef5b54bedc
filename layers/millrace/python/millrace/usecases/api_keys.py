"""The API keys of a flow's endpoints: write-only, kept in the secret store."""

import hmac
import json
from typing import Any, Final

from millrace.domain.errors import UnauthenticatedError
from millrace.domain.flow import Flow, FlowInput
from millrace.usecases.context import Context
from millrace.usecases.write_only import changed_secrets, secrets_of

_NAME: Final = "organization_api_keys"


def changed_keys(context: Context, before: Flow | None, given: FlowInput) -> dict[str, Any]:
    """What a flow will say of its keys: the version of the set, and how many there are."""
    same = {
        "secrets_version": None if before is None else before.secrets_version,
        "organization_api_keys_count": 0 if before is None else before.organization_api_keys_count,
    }
    if given.organization_api_keys is None:
        return same
    keys = _texts(given)
    if keys == ([] if before is None else _stored(context, before)):
        return same
    return {
        "secrets_version": context.new_id("sec") if keys else None,
        "organization_api_keys_count": len(keys),
    }


def new_keys(
    before: Flow | None, after: Flow, given: FlowInput
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """What to store in the secret store for a flow, and which keys of the store to forget."""
    if before is not None and before.secrets_version == after.secrets_version:
        return {}, []
    keys = _texts(given)
    return changed_secrets(before, after, {_NAME: json.dumps(keys)} if keys else {})


def check_api_key(context: Context, flow: Flow, given: str | None) -> None:
    """Raise UnauthenticatedError unless the flow's endpoint lets a caller with this key in."""
    if flow.endpoint_security_type != "organization":
        return
    presented = (given or "").encode("utf-8", "surrogatepass")
    # All are compared, so that the time taken says nothing about which one it was.
    matches = [hmac.compare_digest(key.encode(), presented) for key in _stored(context, flow)]
    if not any(matches):
        raise UnauthenticatedError("no valid API key")


def _texts(given: FlowInput) -> list[str]:
    return [key.get_secret_value() for key in given.organization_api_keys or ()]


def _stored(context: Context, flow: Flow) -> list[str]:
    keys: list[str] = json.loads(secrets_of(context.secrets, flow).get(_NAME, "[]"))
    return keys
