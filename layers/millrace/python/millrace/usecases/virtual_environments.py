"""Virtual environments: the connections that they name exist."""

from collections.abc import Iterator
from typing import Final

from millrace.domain.connection import Connection
from millrace.domain.errors import Violation
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import VirtualEnvironment, VirtualEnvironmentInput
from millrace.usecases.checks import lookup, pointer_token, unknown_connection
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud


def _check(
    context: Context, caller: Caller, given: VirtualEnvironmentInput, _: object
) -> Iterator[Violation]:
    find = lookup(context, Connection, caller.workspace_id)
    for replaced, replacing in given.replacements.connections.items():
        pointer = f"/replacements/connections/{pointer_token(replaced)}"
        for id_ in (replaced, replacing):
            if find(id_) is None:
                yield unknown_connection(id_, pointer)


VIRTUAL_ENVIRONMENTS: Final = Crud(VirtualEnvironment, VirtualEnvironmentInput, check=_check)
