"""Create, read, replace and delete: the one shape that all plain resources of a workspace share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from millrace.domain.base import Model
from millrace.domain.errors import Violation
from millrace.domain.orders import sort_text
from millrace.domain.ports import Create, Delete, Ref, Replace
from millrace.domain.resource import Resource, SecretHolder
from millrace.domain.token import Caller
from millrace.usecases.context import Context
from millrace.usecases.lists import Asked, Part, Test, find_part
from millrace.usecases.resources import born, changed, check_revision, fields_of, refuse
from millrace.usecases.write_only import (
    changed_secrets,
    commit_with_secrets,
    secrets_of,
    take_secrets,
)


def _no_rules(*_: object) -> Iterable[Violation]:
    return ()


def _kept(*_: object) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Crud[I: Model, R: Resource]:
    """The use cases of one kind of resource, of which callers send `I` and the store holds `R`.

    `R` has every field of `I`; what else it has is bookkeeping, or stays when it is replaced.
    """

    kind: type[R]
    input: type[I]
    check: Callable[[Context, Caller, I, R | None], Iterable[Violation]] = _no_rules
    """All that is wrong with an input that is well formed; the resource is what it replaces."""
    take: Callable[[I], tuple[I, dict[str, str]]] = take_secrets
    """Parts the input from its secrets."""
    keeps_secrets: Callable[[R, I], bool] = _kept
    """Whether secrets that the input leaves out stay as they are."""

    def new(self, context: Context, caller: Caller, given: I) -> tuple[R, dict[str, str]]:
        """A resource not stored yet, and its secrets."""
        given, secrets = self.take(given)
        fields: dict[str, Any] = fields_of(given, self.kind) | born(context, caller, self.kind)
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

    def create(self, context: Context, caller: Caller, given: I) -> R:
        """Store a new resource."""
        refuse(self.check(context, caller, given, None))
        resource, secrets = self.new(context, caller, given)
        new, _ = changed_secrets(None, resource, secrets)
        commit_with_secrets(context, [Create(resource)], new)
        return resource

    def get(self, context: Context, caller: Caller, id_: str) -> R:
        """A stored resource, without its secrets. Raises NotFoundError."""
        return context.resources.get(self.kind, caller.workspace_id, id_)

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
        self, context: Context, caller: Caller, id_: str, given: I, revision: int | None
    ) -> R:
        """Change a resource over the revision that the caller read; secrets left out are kept."""
        before = self.get(context, caller, id_)
        check_revision(before, revision)
        refuse(self.check(context, caller, given, before))
        after, secrets = self.changed(context, caller, before, given)
        if after is before:
            return before
        new, obsolete = changed_secrets(before, after, secrets)
        commit_with_secrets(context, [Replace(before, after)], new, obsolete)
        return after

    def delete(self, context: Context, caller: Caller, id_: str, revision: int | None) -> None:
        """Remove a resource and its secrets."""
        before = self.get(context, caller, id_)
        check_revision(before, revision)
        _, obsolete = changed_secrets(before, None, {})
        commit_with_secrets(context, [Delete(before)], {}, obsolete)
