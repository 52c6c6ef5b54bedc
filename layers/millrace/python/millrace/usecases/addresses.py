"""What webhooks and callbacks have in common when they are stored."""

from collections.abc import Iterator

from pydantic import SecretStr

from millrace.domain.address import SETTLED, AddressInput
from millrace.domain.callback import Callback
from millrace.domain.errors import Violation
from millrace.domain.signatures import PRESETS, key_of
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.domain.webhook import Webhook
from millrace.usecases.context import Context
from millrace.usecases.finders import Lookup, lookup
from millrace.usecases.work_rules import check_expression


def check_address(
    context: Context,
    caller: Caller,
    given: AddressInput,
    before: Webhook | Callback | None,
    find_environment: Lookup[VirtualEnvironment] | None = None,
) -> Iterator[Violation]:
    """What is wrong with an address that is well formed; `before` may hold the secrets already.

    Who checks several has their environments found by one function, which reads each once.
    """
    yield from _check_secrets(given, before)
    yield from _check_preset(given)
    yield from _check_delivery_id(context, given)
    id_ = given.virtual_environment_id
    is_new = id_ is not None and (before is None or before.virtual_environment_id != id_)
    find = find_environment or lookup(context, VirtualEnvironment, caller.workspace_id)
    if is_new and find(id_ or "") is None:
        yield Violation(
            "unknownEnvironment",
            "/virtualEnvironmentId",
            f"There is no virtual environment {id_!r}.",
            "Create it first, or correct the id.",
        )


def verifies(_: object, given: AddressInput) -> bool:
    """Whether secrets that are left out are kept: not if nothing is verified any more."""
    return given.hmac_algorithm is not None


def _check_secrets(given: AddressInput, before: Webhook | Callback | None) -> Iterator[Violation]:
    secret, following = given.hmac_secret_key, given.hmac_secret_key_next
    if given.hmac_algorithm is None:
        if secret is not None or following is not None:
            name = "hmacSecretKey" if secret is not None else "hmacSecretKeyNext"
            yield Violation(
                "algorithmMissing",
                "/hmacAlgorithm",
                f"{name} is set, but without an algorithm no signature is verified.",
                "Set hmacAlgorithm, such as to sha256, or leave out the secret.",
            )
        return
    is_kept = secret is None and before is not None and before.secrets_key is not None
    if not is_kept and not _text(secret):
        yield Violation(
            "secretMissing",
            "/hmacSecretKey",
            "hmacAlgorithm is set, but there is no secret to verify signatures with.",
            "Set hmacSecretKey to the secret that the sender signs with.",
        )
    scheme = given.scheme
    for name, value in (("hmacSecretKey", secret), ("hmacSecretKeyNext", following)):
        try:
            if scheme is not None and _text(value):
                key_of(scheme, _text(value))
        except ValueError as error:
            message = f"{name} is no secret of {given.hmac_preset}: {error}."
            yield Violation("badSecret", f"/{name}", message, "Copy it whole from the sender.")


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _check_preset(given: AddressInput) -> Iterator[Violation]:
    """What a preset settles is not said otherwise."""
    if given.hmac_preset is None:
        return
    scheme = PRESETS[given.hmac_preset]
    for name, alias in SETTLED.items():
        settled = getattr(scheme, name.removeprefix("hmac_"))
        if getattr(given, name) != settled:
            yield Violation(
                "settledByPreset",
                f"/{alias}",
                f"With hmacPreset {given.hmac_preset}, {alias} is {settled!r}.",
                f"Leave out {alias}, or the preset.",
            )


def _check_delivery_id(context: Context, given: AddressInput) -> Iterator[Violation]:
    named = {
        "deliveryIdHeader": given.delivery_id_header is not None,
        "deliveryIdExpression": given.delivery_id_expression is not None,
        "deliveryIdOfBody": given.delivery_id_of_body,
    }
    chosen = [name for name, is_chosen in named.items() if is_chosen]
    for name in chosen[1:]:
        yield Violation(
            "deliveryIdTwice",
            f"/{name}",
            f"Deliveries are named by {chosen[0]} already.",
            "Keep one of them.",
        )
    if given.delivery_id_expression is not None:
        where = "/deliveryIdExpression"
        yield from check_expression(context, given.delivery_id_expression, where)
    scheme = given.scheme
    header = (given.delivery_id_header or "").lower()
    if header and scheme is not None and scheme.is_timed and header not in scheme.signed_headers:
        yield Violation(
            "headerNotSigned",
            "/deliveryIdHeader",
            f"{given.hmac_preset} does not sign {given.delivery_id_header}, so that a request "
            "that is sent again could have another one.",
            "Leave it out, or use deliveryIdExpression or deliveryIdOfBody.",
        )
