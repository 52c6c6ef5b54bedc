"""Write-only fields: taken out of what a caller sends and kept in the secret store."""

from typing import Any

from pydantic import SecretStr

from millrace.domain.base import Model
from millrace.domain.ports import Secrets
from millrace.domain.resource import SecretHolder


def take_secrets[M: Model](model: M) -> tuple[M, dict[str, str]]:
    """The model without the values of its SecretStr fields, and those values by field name.

    Looks one level down as well, where a connection keeps its `auth`.
    """
    values: dict[str, str] = {}
    update: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, SecretStr):
            values[name] = value.get_secret_value()
            update[name] = None
        elif isinstance(value, Model):
            update[name], inner = take_secrets(value)
            values |= inner
    return model.model_copy(update=update), values


def secrets_of(secrets: Secrets, holder: SecretHolder) -> dict[str, str]:
    """A resource's secrets; empty if it has none."""
    return {} if holder.secrets_key is None else secrets.get(holder.secrets_key)
