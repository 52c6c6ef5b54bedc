"""Virtual environments: the connections and data pools that they name exist."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import Violation
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import (
    Replacements,
    VirtualEnvironment,
    VirtualEnvironmentInput,
)
from millrace.usecases.api_keys import API_KEYS, key_texts
from millrace.usecases.checks import lookup, pointer_token, unknown_connection, unknown_data_pool
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud


def _check(
    context: Context,
    caller: Caller,
    given: VirtualEnvironmentInput,
    before: VirtualEnvironment | None,
) -> Iterator[Violation]:
    old = Replacements() if before is None else before.replacements
    known = {id_ for id_, _ in _named("connections", old.connections)}
    find_connection = lookup(context, Connection, caller.workspace_id)
    for id_, pointer in _named("connections", given.replacements.connections):
        if id_ not in known and find_connection(id_) is None:
            yield unknown_connection(id_, pointer)
    known = {id_ for id_, _ in _named("dataPools", old.data_pools)}
    find_data_pool = lookup(context, DataPool, caller.workspace_id)
    for id_, pointer in _named("dataPools", given.replacements.data_pools):
        if id_ not in known and find_data_pool(id_) is None:
            yield unknown_data_pool(id_, pointer)


def _named(field: str, replacements: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The ids on both sides, and where they stand."""
    for replaced, replacing in replacements.items():
        pointer = f"/replacements/{field}/{pointer_token(replaced)}"
        yield from ((replaced, pointer), (replacing, pointer))


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
