"""Integrations: the ids of their groups are their own."""

from collections.abc import Iterator
from typing import Final

from millrace.domain.errors import Violation
from millrace.domain.integration import Integration, IntegrationInput
from millrace.usecases.crud import Crud


def _check(
    _context: object, _caller: object, given: IntegrationInput, _: object
) -> Iterator[Violation]:
    seen: set[str] = set()
    for number, group in enumerate(given.groups):
        if group.id in seen:
            yield Violation(
                "groupTwice",
                f"/groups/{number}/id",
                f"The group id {group.id!r} is used twice.",
                "Give each group an id of its own.",
            )
        seen.add(group.id)


INTEGRATIONS: Final = Crud(Integration, IntegrationInput, check=_check)
