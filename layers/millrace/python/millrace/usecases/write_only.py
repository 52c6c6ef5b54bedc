"""Write-only fields: taken out of what a caller sends and kept in the secret store."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAliasType, get_args

from pydantic import SecretStr
from pydantic.alias_generators import to_camel

from millrace import limits
from millrace.domain.base import Model
from millrace.domain.errors import DomainError, TooLargeError, UnavailableError
from millrace.domain.ports import Change, Secrets
from millrace.domain.resource import Resource, SecretHolder
from millrace.usecases.context import Context


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


def write_only_places(kind: type[Model]) -> Iterator[str]:
    """The pointers of a model's write-only fields, and of those of the models within."""
    for name, field in kind.model_fields.items():
        place = f"/{field.alias or to_camel(name)}"
        for each in _types_in(field.annotation):
            if issubclass(each, SecretStr):
                yield place
            elif issubclass(each, Model):
                yield from (f"{place}{inner}" for inner in write_only_places(each))


def _types_in(annotation: Any) -> Iterator[type]:  # noqa: ANN401 - any annotation
    """The types that an annotation is made of, through aliases, unions and lists."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    parts = get_args(annotation)
    if isinstance(annotation, type) and not parts:
        yield annotation
    for part in parts:
        yield from _types_in(part)


def secrets_of(secrets: Secrets, holder: SecretHolder) -> dict[str, str]:
    """A resource's secrets; empty if it has none."""
    return {} if holder.secrets_key is None else secrets.get(holder.secrets_key)


def changed_secrets(
    before: Resource | None, after: Resource | None, values: dict[str, str]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """What to store in the secret store for a changed resource, and which keys to forget."""
    old, new = _secrets_key(before), _secrets_key(after)
    stored = {new: values} if values and new is not None else {}
    return stored, [old] if old is not None and old != new else []


def _secrets_key(resource: Resource | None) -> str | None:
    return resource.secrets_key if isinstance(resource, SecretHolder) else None


def commit_with_secrets(
    context: Context,
    changes: Iterable[Change],
    new: Mapping[str, dict[str, str]],
    obsolete: Iterable[str] = (),
) -> None:
    """Store secrets by their keys, then the resources that name them, and forget the old ones.

    If the resources are refused, the new secrets go again. After an error that leaves open whether
    they were stored, the secrets stay: a set that nobody names does no harm, a missing one does.

    Raises TooLargeError for a set that the secret store cannot hold.
    """
    for values in new.values():
        size = len(json.dumps(values))
        if size > limits.SECRETS_BYTES:
            raise TooLargeError(
                f"its secrets take {size:,} bytes as JSON; the limit is {limits.SECRETS_BYTES:,}"
            )
    for key, values in new.items():
        context.secrets.put(key, values)
    try:
        context.resources.commit(*changes)
    except UnavailableError:
        raise  # it may have been written all the same
    except DomainError:
        for key in new:
            context.secrets.delete(key)
        raise
    for key in obsolete:
        context.secrets.delete(key)
