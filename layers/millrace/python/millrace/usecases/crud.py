"""The one shape that all plain resources share: create, read, replace, patch and delete."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from millrace.domain.audit import AuditEvent
from millrace.domain.base import Model
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow
from millrace.domain.orders import sort_text
from millrace.domain.patch import PatchOperation
from millrace.domain.ports import Create, Delete, Ref, Replace
from millrace.domain.resource import Resource, SecretHolder
from millrace.domain.token import Caller
from millrace.usecases.audit import audited
from millrace.usecases.context import Context
from millrace.usecases.json_patch import patched, reads_of, settable, unpatchable
from millrace.usecases.lists import Asked, Part, Test, find_part
from millrace.usecases.resources import born, changed, check_revision, fields_of, refuse
from millrace.usecases.write_only import (
    changed_secrets,
    commit_with_secrets,
    secrets_of,
    take_secrets,
    write_only_places,
)


def _no_rules(*_: object) -> Iterable[Violation]:
    return ()


def _kept(*_: object) -> bool:
    return True


def _nothing(*_: object) -> Collection[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Events:
    """What the audit trail of a flow calls the changes of its resources of a kind."""

    created: AuditEvent = "created"
    replaced: AuditEvent = "replaced"
    patched: AuditEvent = "patched"
    deleted: AuditEvent = "deleted"


@dataclass(frozen=True, slots=True)
class Crud[I: Model, R: Resource]:
    """The use cases of one kind of resource, of which callers send `I` and the store holds `R`.

    `R` has every field of `I`; what else it has is bookkeeping, or stays when it is replaced.
    Resources are the workspace's, or those of a flow, which has them in its audit trail.
    """

    kind: type[R]
    input: type[I]
    check: Callable[[Context, Caller, I, R | None], Iterable[Violation]] = _no_rules
    """All that is wrong with an input that is well formed; the resource is what it replaces."""
    take: Callable[[I], tuple[I, dict[str, str]]] = take_secrets
    """Parts the input from its secrets."""
    keeps_secrets: Callable[[R, I], bool] = _kept
    """Whether secrets that the input leaves out stay as they are."""
    hides: Callable[[R], Collection[str]] = _nothing
    """The pointers of values that are write-only by what the resource says, not by their type."""
    events: Events = Events()

    def new(
        self, context: Context, caller: Caller, given: I, flow_id: str | None = None
    ) -> tuple[R, dict[str, str]]:
        """A resource not stored yet, and its secrets."""
        given, secrets = self.take(given)
        fields: dict[str, Any] = fields_of(given, self.kind) | born(context, caller, self.kind)
        if flow_id is not None:
            fields["flow_id"] = flow_id
        if secrets:
            fields["secrets_version"] = context.new_id("sec")
        return self.kind(**fields), secrets

    def changed(
        self, context: Context, caller: Caller, before: R, given: I
    ) -> tuple[R, dict[str, str]]:
        """A resource as it will be, and its secrets if they change.

        Gives `before` itself, with no secrets, if nothing changes.
        """
        keeps_secrets = self.keeps_secrets(before, given)
        given, new = self.take(given)
        update: dict[str, Any] = fields_of(given, self.kind)
        secrets: dict[str, str] = {}
        if isinstance(before, SecretHolder):
            # Secrets that nothing uses any more are forgotten, not kept out of sight.
            old = secrets_of(context.secrets, before)
            wanted = (old if keeps_secrets else {}) | new
            if wanted != old:
                secrets = wanted
                update["secrets_version"] = context.new_id("sec") if wanted else None
        after = before.model_copy(update=update)
        # Python's 1 == True is a change in JSON.
        if after == before and after.model_dump_json() == before.model_dump_json():
            return before, {}
        return after.model_copy(update=changed(context, caller, before)), secrets

    def create(
        self, context: Context, caller: Caller, given: I, *, flow_id: str | None = None
    ) -> R:
        """Store a new resource. Raises NotFoundError for a flow that is not there."""
        if flow_id is not None:
            context.resources.get(Flow, caller.workspace_id, flow_id)
        refuse(self.check(context, caller, given, None))
        resource, secrets = self.new(context, caller, given, flow_id)
        new, _ = changed_secrets(None, resource, secrets)
        created = [Create(resource, parent_id=flow_id)]
        commit_with_secrets(context, audited(context, caller, self.events.created, created), new)
        return resource

    def get(self, context: Context, caller: Caller, id_: str, *, flow_id: str | None = None) -> R:
        """A stored resource, without its secrets. Raises NotFoundError."""
        return context.resources.get(self.kind, caller.workspace_id, id_, parent_id=flow_id)

    def list_of_flow(
        self,
        context: Context,
        caller: Caller,
        flow_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        newest_first: bool = False,
    ) -> Part[R]:
        """One page of a flow's resources of this kind. Raises NotFoundError."""
        flow = context.resources.get(Flow, caller.workspace_id, flow_id)
        listing = context.resources.page(
            self.kind,
            caller.workspace_id,
            parent_id=flow_id,
            limit=limit,
            cursor=cursor,
            newest_first=newest_first,
        )
        total = len(getattr(flow, str(self.kind.listed_in)))
        return Part(listing.items, listing.cursor, total)

    def find_part(
        self, context: Context, asked: Asked[R], filters: Mapping[str, Sequence[str]]
    ) -> Part[R]:
        """The part of the workspace's resources of this kind that is asked for."""
        tests: list[Test[R]] = []
        if "name" in filters:
            words = [word.casefold() for word in filters["name"]]
            tests.append(
                lambda resource: any(word in sort_text(resource, "name") for word in words)
            )
        among = None
        if "id" in filters:
            refs = [Ref(self.kind, id_) for id_ in dict.fromkeys(filters["id"])]
            found = context.resources.get_many(asked.workspace_id, refs)
            among = [resource for ref in refs if (resource := found.get(ref)) is not None]
        return find_part(context.resources, replace(asked, tests=tests, among=among))

    def replace(
        self,
        context: Context,
        caller: Caller,
        id_: str,
        given: I,
        revision: int | None,
        *,
        flow_id: str | None = None,
    ) -> R:
        """Change a resource over the revision that the caller read; secrets left out are kept."""
        before = self.get(context, caller, id_, flow_id=flow_id)
        check_revision(before, revision)
        refuse(self.check(context, caller, given, before))
        return self._store(context, caller, before, given, self.events.replaced, flow_id)

    def patch(
        self,
        context: Context,
        caller: Caller,
        id_: str,
        patch: Sequence[PatchOperation],
        revision: int | None,
        *,
        flow_id: str | None = None,
    ) -> R:
        """Change what a patch names, all or nothing, over the revision that the caller read.

        Write-only values can be set, and stay otherwise. Raises ConflictError if a test fails, and
        RuleViolationError with pointers into the patch for everything else that is wrong with it.
        """
        before = self.get(context, caller, id_, flow_id=flow_id)
        check_revision(before, revision)
        hidden = {*write_only_places(self.input), *self.hides(before)}
        refuse([*unpatchable(self.input, patch), *reads_of(patch, hidden)])
        shown = self.input(**fields_of(before, self.input)).model_dump(mode="json", by_alias=True)
        made = patched(self.input, shown, settable(patch, hidden))
        refuse(map(made.blame, self.check(context, caller, made.given, before)))
        return self._store(context, caller, before, made.given, self.events.patched, flow_id)

    def delete(
        self,
        context: Context,
        caller: Caller,
        id_: str,
        revision: int | None,
        *,
        flow_id: str | None = None,
    ) -> None:
        """Remove a resource and its secrets."""
        before = self.get(context, caller, id_, flow_id=flow_id)
        check_revision(before, revision)
        _, obsolete = changed_secrets(before, None, {})
        deleted = [Delete(before, parent_id=flow_id)]
        changes = audited(context, caller, self.events.deleted, deleted)
        commit_with_secrets(context, changes, {}, obsolete)

    def _store(
        self,
        context: Context,
        caller: Caller,
        before: R,
        given: I,
        event: AuditEvent,
        flow_id: str | None,
    ) -> R:
        after, secrets = self.changed(context, caller, before, given)
        if after is before:
            return before
        replaced = [Replace(before, after, parent_id=flow_id)]
        commit_with_secrets(
            context,
            audited(context, caller, event, replaced),
            *changed_secrets(before, after, secrets),
        )
        return after
