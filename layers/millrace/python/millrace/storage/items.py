"""Resources as items of the table, and back."""

import json
from functools import cache
from typing import Any

from pydantic.alias_generators import to_camel

from millrace.domain.base import rfc3339
from millrace.domain.resource import Resource
from millrace.storage import keys
from millrace.storage.attributes import Attributes, attributes, data
from millrace.storage.codec import pack, unpack
from millrace.storage.orders import order_keys


@cache
def _names_beside(kind: type[Resource]) -> tuple[str, ...]:
    """The attributes of what is kept beside a resource."""
    return tuple(map(to_camel, kind.beside))


def resource_of[R: Resource](kind: type[R], item: dict[str, Any]) -> R:
    """The model of an item, with what is kept beside it."""
    beside: dict[str, str] = {}
    for name in _names_beside(kind):
        match item.get(name):
            case {"SS": ids}:
                beside[name] = json.dumps(sorted(ids))
            case {"S": written}:
                beside[name] = written
    return unpack(kind, data(item), beside)


def item_of(resource: Resource, parent_id: str | None) -> Attributes:
    """The item of a resource, with its keys in every index that holds it."""
    key = keys.resource(resource.workspace_id, resource.prefix, resource.id, parent_id)
    item: Attributes = attributes(**key, data=pack(resource), revision=resource.revision)
    item |= attributes(**order_keys(resource))
    if resource.found_without_parent:
        item |= attributes(gsi3pk=keys.lookup(resource.workspace_id, resource.id))
    if resource.is_public:
        item |= attributes(gsi1pk=resource.id, gsi1sk=keys.PUBLIC)
    if resource.unsettled_at is not None:
        item |= attributes(gsi2pk=keys.UNSETTLED, gsi2sk=rfc3339(resource.unsettled_at))
    if resource.forgotten_at is not None:
        item |= attributes(expiresAt=int(resource.forgotten_at.timestamp()))
    return item
