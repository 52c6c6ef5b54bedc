"""Virtual environments: the connections and data pools that they name exist."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import Violation
from millrace.domain.pointers import pointer_of
from millrace.domain.ports import Ref
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import (
    Replacements,
    VirtualEnvironment,
    VirtualEnvironmentInput,
)
from millrace.usecases.api_keys import API_KEYS, key_texts
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud
from millrace.usecases.work_rules import unknown_connection, unknown_data_pool


def _check(
    context: Context,
    caller: Caller,
    given: VirtualEnvironmentInput,
    before: VirtualEnvironment | None,
) -> Iterator[Violation]:
    known = set() if before is None else {ref for _, ref in _named(before.replacements)}
    wanted = [(place, ref) for place, ref in _named(given.replacements) if ref not in known]
    found = context.resources.get_many(caller.workspace_id, {ref for _, ref in wanted})
    for pointer, ref in wanted:
        if found.get(ref) is None:
            unknown = unknown_data_pool if ref.kind is DataPool else unknown_connection
            yield unknown(ref.id, pointer)


def _named(replacements: Replacements) -> Iterator[tuple[str, Ref[Any]]]:
    """What is replaced and what replaces it, with the places."""
    kinds: tuple[tuple[str, type[Any], Mapping[str, str]], ...] = (
        ("connections", Connection, replacements.connections),
        ("dataPools", DataPool, replacements.data_pools),
    )
    for field, kind, ids in kinds:
        for replaced, replacing in ids.items():
            pointer = f"/replacements/{field}{pointer_of(replaced)}"
            yield from ((pointer, Ref(kind, replaced)), (pointer, Ref(kind, replacing)))


def _take_keys(given: VirtualEnvironmentInput) -> tuple[VirtualEnvironmentInput, dict[str, str]]:
    keys = key_texts(given.api_keys)
    return given.model_copy(update={"api_keys": None}), {API_KEYS: json.dumps(keys)} if keys else {}


def _keeps_keys(_: object, given: VirtualEnvironmentInput) -> bool:
    return given.api_keys is None


VIRTUAL_ENVIRONMENTS: Final = Crud(
    VirtualEnvironment,
    VirtualEnvironmentInput,
    check=_check,
    take=_take_keys,
    keeps_secrets=_keeps_keys,
)
