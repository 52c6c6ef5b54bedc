"""Storing several resources at once, all or nothing, with their secrets and the audit trail."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from millrace.domain.audit import AuditEvent
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow, FlowInput
from millrace.domain.ports import Change, Create, Replace
from millrace.domain.resource import Resource
from millrace.domain.token import Caller
from millrace.usecases.api_keys import new_keys
from millrace.usecases.audit import audited
from millrace.usecases.context import Context
from millrace.usecases.write_only import changed_secrets, commit_with_secrets

type ChangeKind = Literal["created", "updated", "unchanged"]


@dataclass(slots=True)
class Plan:
    """What will be stored, collected before anything is."""

    changes: list[Change] = field(default_factory=list)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    obsolete_secrets: list[str] = field(default_factory=list)

    def store(
        self,
        before: Resource | None,
        after: Resource,
        secrets: Mapping[str, str],
        parent_id: str | None = None,
    ) -> ChangeKind:
        """Plan to store a resource, unless it is the one before; says what that means for it."""
        self._add_secrets(*changed_secrets(before, after, dict(secrets)))
        if before is None:
            self.changes.append(Create(after, parent_id))
            return "created"
        if after is before:
            return "unchanged"
        self.changes.append(Replace(before, after, parent_id))
        return "updated"

    def store_flow(
        self, before: Flow | None, after: Flow, given: FlowInput, changes: Iterable[Change]
    ) -> ChangeKind:
        """Plan the changes of a flow, and to store its API keys."""
        self._add_secrets(*new_keys(before, after, given))
        count = len(self.changes)
        self.changes += changes
        if before is None:
            return "created"
        return "unchanged" if len(self.changes) == count else "updated"

    def commit(self, context: Context, caller: Caller, event: AuditEvent) -> None:
        """Store it all, with what the audit trail says of it."""
        changes = audited(context, caller, event, self.changes)
        commit_with_secrets(context, changes, self.secrets, self.obsolete_secrets)

    def _add_secrets(self, new: Mapping[str, dict[str, str]], obsolete: Iterable[str]) -> None:
        self.secrets |= new
        self.obsolete_secrets += obsolete


def keys_used_twice(placed: Iterable[tuple[str, str | None]]) -> Iterator[Violation]:
    """No two resources of a kind, given as places and stable keys, share one: one would be lost."""
    seen: set[str] = set()
    for pointer, key in placed:
        if key is None:
            continue
        if key in seen:
            yield Violation(
                "stableKeyTwice",
                f"{pointer}/stableKey",
                f"The stable key {key!r} is used twice.",
                "Give each resource a key of its own.",
            )
        seen.add(key)
