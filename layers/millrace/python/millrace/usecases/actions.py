"""Actions: what they come to refer to exists, and their expressions can be compiled."""

from collections.abc import Iterable
from typing import Final

from millrace.domain.action import Action, ActionInput
from millrace.domain.errors import Violation
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud
from millrace.usecases.stored_finders import stored
from millrace.usecases.work_rules import check_work, named_by


def _check(
    context: Context, caller: Caller, given: ActionInput, before: Action | None
) -> Iterable[Violation]:
    find = stored(context, caller.workspace_id)
    named = () if before is None else named_by(before.work)
    return check_work(context, given.work, "/work", find, named)


ACTIONS: Final = Crud(Action, ActionInput, check=_check)
