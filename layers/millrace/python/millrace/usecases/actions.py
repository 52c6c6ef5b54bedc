"""Actions: what they refer to exists, and their expressions can be compiled."""

from collections.abc import Iterable
from typing import Final

from millrace.domain.action import Action, ActionInput
from millrace.domain.connection import Connection
from millrace.domain.errors import Violation
from millrace.domain.token import Caller
from millrace.usecases.checks import check_work, lookup
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud


def _check(
    context: Context, caller: Caller, given: ActionInput, before: Action | None
) -> Iterable[Violation]:
    del before
    return check_work(
        context, given.work, "/work", lookup(context, Connection, caller.workspace_id)
    )


ACTIONS: Final = Crud(Action, ActionInput, check=_check)
