"""The API keys of a flow's endpoints: write-only, kept in the secret store.

Those of the organization belong to the flow. Those of a customer belong to the virtual environment
in which the customer's runs take place; a webhook or callback names it.
"""

import hmac
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic import SecretStr

from millrace.domain.address import AddressInput
from millrace.domain.callback import Callback
from millrace.domain.errors import UnauthenticatedError, Violation
from millrace.domain.flow import Flow, FlowInput, FlowSettings
from millrace.domain.ports import Ref
from millrace.domain.resource import SecretHolder
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.domain.webhook import Webhook
from millrace.usecases.context import Context
from millrace.usecases.write_only import changed_secrets, secrets_of

API_KEYS: Final = "api_keys"
"""The name of an environment's keys in the secret store."""

_NAME: Final = "organization_api_keys"


def changed_keys(context: Context, before: Flow | None, given: FlowInput) -> dict[str, Any]:
    """What a flow will say of its keys: the version of the set, and how many there are."""
    same = {
        "secrets_version": None if before is None else before.secrets_version,
        "organization_api_keys_count": 0 if before is None else before.organization_api_keys_count,
    }
    if given.organization_api_keys is None:
        return same
    keys = key_texts(given.organization_api_keys)
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
    keys = key_texts(given.organization_api_keys)
    return changed_secrets(before, after, {_NAME: json.dumps(keys)} if keys else {})


def check_api_key(
    context: Context, flow: Flow, given: str | None, environment: VirtualEnvironment | None = None
) -> None:
    """Raise UnauthenticatedError unless the flow's endpoint lets a caller with this key in.

    The environment is that of the address. One without keys lets anybody in, if customers may go
    without, and nobody if they may not.
    """
    match flow.endpoint_security_type:
        case "unsecured":
            return
        case "organization":
            keys = _stored(context, flow)
        case "customerOptional" | "customerRequired":
            keys = [] if environment is None else _stored(context, environment, API_KEYS)
            if not keys and flow.endpoint_security_type == "customerOptional":
                return
    presented = (given or "").encode("utf-8", "surrogatepass")
    # All are compared, so that the time taken says nothing about which one it was.
    matches = [hmac.compare_digest(key.encode(), presented) for key in keys]
    if not any(matches):
        raise UnauthenticatedError("no valid API key")


def missing_customer_keys(
    context: Context,
    workspace_id: str,
    settings: FlowSettings,
    addresses: Iterable[AddressInput],
) -> Iterator[Violation]:
    """A flow that requires keys of customers has some for each of its addresses, and has any.

    Otherwise it would be deployed with addresses that let nobody in.
    """
    if settings.endpoint_security_type != "customerRequired":
        return
    ids = [address.virtual_environment_id for address in addresses]
    refs = {id_: Ref(VirtualEnvironment, id_) for id_ in ids if id_ is not None}
    found = context.resources.get_many(workspace_id, refs.values())
    environments = {id_: found.get(ref) for id_, ref in refs.items()}
    with_keys = {id_ for id_, each in environments.items() if each and each.secrets_version}
    without = sum(id_ not in with_keys for id_ in ids)
    if without or not ids:
        lack = (
            f"{without} of the flow's webhooks and callbacks have none"
            if ids
            else "the flow has neither webhook nor callback"
        )
        yield Violation(
            "customerKeysMissing",
            "/endpointSecurityType",
            f"customerRequired asks for the API keys of an address's environment, but {lack}.",
            "Give a virtual environment apiKeys, and each address its virtualEnvironmentId.",
        )


def addresses_of(context: Context, flow: Flow) -> list[AddressInput]:
    """The webhooks and callbacks of a flow."""
    refs: list[Ref[Any]] = [Ref(Webhook, id_, flow.id) for id_ in flow.webhook_ids]
    refs += [Ref(Callback, id_, flow.id) for id_ in flow.callback_ids]
    found = context.resources.get_many(flow.workspace_id, refs)
    return [address for ref in refs if (address := found.get(ref)) is not None]


def key_texts(keys: Iterable[SecretStr] | None) -> list[str]:
    """The keys as they are stored."""
    return [key.get_secret_value() for key in keys or ()]


def _stored(context: Context, holder: SecretHolder, name: str = _NAME) -> list[str]:
    keys: list[str] = json.loads(secrets_of(context.secrets, holder).get(name, "[]"))
    return keys
