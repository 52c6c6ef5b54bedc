"""Actions: what they come to refer to exists, and their expressions can be compiled."""

from collections.abc import Iterable
from typing import Final

from millrace.domain.action import Action, ActionInput
from millrace.domain.connection import Connection
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import Violation
from millrace.domain.token import Caller
from millrace.usecases.checks import check_work, lookup, named_by
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud


def _check(
    context: Context, caller: Caller, given: ActionInput, before: Action | None
) -> Iterable[Violation]:
    find_connection = lookup(context, Connection, caller.workspace_id)
    find_data_pool = lookup(context, DataPool, caller.workspace_id)
    named = () if before is None else named_by(before.work)
    return check_work(context, given.work, "/work", find_connection, find_data_pool, named)


ACTIONS: Final = Crud(Action, ActionInput, check=_check)
