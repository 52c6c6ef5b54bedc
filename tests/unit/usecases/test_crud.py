"""What every plain resource promises, and the rules of some."""

from typing import Any

import pytest
from tests.support.collections import SAMPLES, Sample
from tests.support.samples import ALICE, MALLORY
from tests.support.world import World

from millrace import limits
from millrace.domain.connection import Connection
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    PreconditionRequiredError,
    RevisionMismatchError,
    RuleViolationError,
    TooLargeError,
    UnavailableError,
)
from millrace.domain.ports import Change
from millrace.domain.resource import Resource
from millrace.domain.variable import Variable
from millrace.storage.memory import MemoryResources
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.crud import Crud
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.lists import Asked
from millrace.usecases.plain import NOTIFICATION_GROUPS
from millrace.usecases.variables import VARIABLES
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS
from millrace.usecases.write_only import secrets_of

every_kind = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.collection)
secret_kinds = pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if sample.secret],
    ids=lambda sample: sample.collection,
)


def create(world: World, sample: Sample, **changes: object) -> Any:  # noqa: ANN401 - of any kind
    """A new resource of the sample's kind."""
    given = sample.crud.input.model_validate({**sample.given, **changes})
    return sample.crud.create(world.context, ALICE, given)


def replace(world: World, sample: Sample, before: Resource, given: object) -> Any:  # noqa: ANN401 - of any kind
    """The resource after a change."""
    wanted = sample.crud.input.model_validate(given)
    return sample.crud.replace(world.context, ALICE, before.id, wanted, before.revision)


def violations(world: World, crud: Crud[Any, Any], given: object) -> list[tuple[str, str]]:
    """Code and place of all that is wrong with a new resource."""
    with pytest.raises(RuleViolationError) as raised:
        crud.create(world.context, ALICE, crud.input.model_validate(given))
    return [(violation.code, violation.pointer) for violation in raised.value.violations]


@every_kind
def test_it_is_created_read_and_listed(world: World, sample: Sample) -> None:
    """What was made is there, at revision 1, with every field and who made it."""
    made = create(world, sample)
    assert (made.revision, made.created_by) == (1, ALICE.token_id)
    assert sample.crud.get(world.context, ALICE, made.id) == made
    assert world.context.resources.page(sample.crud.kind, ALICE.workspace_id).items == (made,)


@every_kind
def test_it_is_replaced_over_the_revision_that_was_read(world: World, sample: Sample) -> None:
    """A change counts up; without a revision it needs one, with an old one it is refused."""
    before = create(world, sample)
    world.clock.forward(minutes=1)
    after = replace(world, sample, before, sample.changed)
    assert (after.id, after.revision, after.created_at) == (before.id, 2, before.created_at)
    assert after.modified_at == world.clock.now
    assert sample.crud.get(world.context, ALICE, before.id) == after
    wanted = sample.crud.input.model_validate(sample.given)
    for revision, error in ((None, PreconditionRequiredError), (1, RevisionMismatchError)):
        with pytest.raises(error):
            sample.crud.replace(world.context, ALICE, before.id, wanted, revision)
        with pytest.raises(error):
            sample.crud.delete(world.context, ALICE, before.id, revision)


@every_kind
def test_a_change_that_changes_nothing_is_none(world: World, sample: Sample) -> None:
    """Sending the same again keeps the revision and the secrets' version."""
    before = create(world, sample)
    assert replace(world, sample, before, sample.given) == before


@every_kind
def test_it_is_deleted_with_all_that_is_its_own(world: World, sample: Sample) -> None:
    """Neither it nor its secrets stay, and its key may be used again."""
    made = create(world, sample)
    sample.crud.delete(world.context, ALICE, made.id, 1)
    assert world.context.resources.page(sample.crud.kind, ALICE.workspace_id).items == ()
    assert world.secrets.values == {}
    assert create(world, sample).id != made.id


@every_kind
def test_its_key_is_its_own(world: World, sample: Sample) -> None:
    """No two of a workspace share one, neither new nor changed; nothing is left of the attempt."""
    create(world, sample)
    other = create(world, sample, **{sample.key: "other"})
    kept = len(world.secrets.values)
    with pytest.raises(ConflictError):
        create(world, sample)
    with pytest.raises(ConflictError):
        replace(world, sample, other, sample.changed)
    assert len(world.secrets.values) == kept
    assert len(world.context.resources.page(sample.crud.kind, ALICE.workspace_id).items) == 2


@every_kind
def test_another_workspace_sees_nothing_of_it(world: World, sample: Sample) -> None:
    """Neither in its list nor by its id, and the key is free there."""
    made = create(world, sample)
    context, given = world.context, sample.crud.input.model_validate(sample.given)
    assert context.resources.page(sample.crud.kind, MALLORY.workspace_id).items == ()
    for act in (
        lambda: sample.crud.get(context, MALLORY, made.id),
        lambda: sample.crud.replace(context, MALLORY, made.id, given, 1),
        lambda: sample.crud.delete(context, MALLORY, made.id, 1),
    ):
        with pytest.raises(NotFoundError):
            act()
    assert sample.crud.create(context, MALLORY, given).workspace_id == MALLORY.workspace_id


@secret_kinds
def test_its_secret_is_in_the_secret_store_only(world: World, sample: Sample) -> None:
    """Neither what is stored nor what is answered holds it."""
    made = create(world, sample)
    assert str(sample.secret) not in made.model_dump_json() + repr(made)
    assert str(sample.secret) in str(secrets_of(world.secrets, made))


@secret_kinds
def test_a_secret_that_is_too_long_to_keep_is_refused(world: World, sample: Sample) -> None:
    """The secret store's limit is ours, told before anything is stored."""
    text = "x" * limits.SECRETS_BYTES
    with pytest.raises(TooLargeError):
        sample.crud.create(
            world.context,
            ALICE,
            sample.crud.input.model_validate(_with_secret(sample.given, sample.secret, text)),
        )
    assert world.secrets.values == {}
    assert world.context.resources.page(sample.crud.kind, ALICE.workspace_id).items == ()


def _with_secret(given: Any, old: str | None, new: str) -> Any:  # noqa: ANN401 - walks JSON
    if isinstance(given, dict):
        return {name: _with_secret(value, old, new) for name, value in given.items()}
    return new if given == old else given


def test_groups_of_an_integration_have_ids_of_their_own(world: World) -> None:
    """The second of two equal ids is named."""
    group = {"id": "a", "name": "A"}
    given = {"name": "ERP", "groups": [group, {"id": "b", "name": "B"}, group]}
    assert violations(world, INTEGRATIONS, given) == [("groupTwice", "/groups/2/id")]


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        ("string", ["", "text"], [1, True, {}, None]),
        ("number", [0, -1, 1.5], ["1", True, [], None]),
        ("boolean", [True, False], [0, 1, "true", None]),
        ("json", [{}, [], {"a": None}, 0, False, ""], [None]),
    ],
)
@pytest.mark.parametrize("secret", [False, True])
def test_a_variable_has_a_value_of_its_type(
    world: World, type_: str, good: list[object], bad: list[object], *, secret: bool
) -> None:
    """Neither more nor less than its type says, secret or not."""
    fields = {"type": type_, "secret": secret}
    for number, value in enumerate(good):
        given = VARIABLES.input.model_validate({"key": f"k{number}", "value": value, **fields})
        made = VARIABLES.create(world.context, ALICE, given)
        assert made.value == (None if secret else value)
    for value in bad:
        code = "valueMissing" if value is None else "valueType"
        wrong = {"key": "bad", "value": value, **fields}
        assert violations(world, VARIABLES, wrong) == [(code, "/value")]


def secret_variable(world: World) -> Variable:
    """A stored secret of type string."""
    given = VARIABLES.input.model_validate({"key": "k", "value": "s3cret", "secret": True})
    return VARIABLES.create(world.context, ALICE, given)


def test_a_secret_value_left_out_is_kept(world: World) -> None:
    """Its description changes without anyone having to know it."""
    before = secret_variable(world)
    given = VARIABLES.input.model_validate({"key": "k", "secret": True, "description": "new"})
    after = VARIABLES.replace(world.context, ALICE, before.id, given, 1)
    assert secrets_of(world.secrets, after) == {"value": '"s3cret"'}


class CutOff(MemoryResources):
    """Stores what it is given, and the answer is lost on the way."""

    def commit(self, *changes: Change) -> None:
        """Nobody hears that it went well."""
        super().commit(*changes)
        raise UnavailableError("the store cannot be reached just now")


def test_a_secret_outlives_an_answer_that_was_lost() -> None:
    """What is stored may name it: it is not taken back as it is after a refusal."""
    world = World(resources=CutOff())
    with pytest.raises(UnavailableError):
        secret_variable(world)
    (stored,) = world.resources.page(Variable, ALICE.workspace_id).items
    assert secrets_of(world.secrets, stored) == {"value": '"s3cret"'}


@pytest.mark.parametrize("change", [{"secret": False}, {"secret": True, "type": "number"}])
def test_a_secret_value_does_not_become_another(world: World, change: dict[str, Any]) -> None:
    """Nothing makes a secret readable, or a value of another type, but a new value."""
    before = secret_variable(world)
    given = VARIABLES.input.model_validate({"key": "k", **change})
    with pytest.raises(RuleViolationError):
        VARIABLES.replace(world.context, ALICE, before.id, given, 1)
    given = given.model_copy(update={"type": "number", "value": 7})
    after = VARIABLES.replace(world.context, ALICE, before.id, given, 1)
    assert secrets_of(world.secrets, after) == ({"value": "7"} if given.secret else {})
    assert len(world.secrets.values) == given.secret


def test_a_virtual_environment_names_connections_of_its_workspace(world: World) -> None:
    """What is replaced and what replaces it exist; keys are escaped as pointers want it."""
    shop, other = world.connection("shop"), world.connection("other")
    given = {"name": "Test", "replacements": {"connections": {shop.id: other.id}}}
    made = VIRTUAL_ENVIRONMENTS.input.model_validate(given)
    assert VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, made).revision == 1
    given["replacements"] = {"connections": {"con/9": shop.id, shop.id: "con_8"}}
    assert violations(world, VIRTUAL_ENVIRONMENTS, given) == [
        ("unknownConnection", "/replacements/connections/con~19"),
        ("unknownConnection", f"/replacements/connections/{shop.id}"),
    ]
    with pytest.raises(RuleViolationError):
        VIRTUAL_ENVIRONMENTS.create(world.context, MALLORY, made)


def test_one_secret_of_several_may_change(world: World) -> None:
    """A notification group's new signing secret takes the place of the old one."""
    given = {"name": "n", "targets": [{"type": "email", "address": "a@b.example"}]}
    wanted = NOTIFICATION_GROUPS.input.model_validate(given | {"signingSecret": "old"})
    before = NOTIFICATION_GROUPS.create(world.context, ALICE, wanted)
    wanted = NOTIFICATION_GROUPS.input.model_validate(given | {"signingSecret": "new"})
    after = NOTIFICATION_GROUPS.replace(world.context, ALICE, before.id, wanted, 1)
    assert list(world.secrets.values.values()) == [{"signing_secret": "new"}]
    assert secrets_of(world.secrets, after) == {"signing_secret": "new"}


def test_what_json_tells_apart_is_a_change(world: World) -> None:
    """Python holds true equal to 1; a client that sends the one does not mean the other."""
    given = {"key": "k", "type": "json", "value": {"n": 1}}
    before = VARIABLES.create(world.context, ALICE, VARIABLES.input.model_validate(given))
    wanted = VARIABLES.input.model_validate(given | {"value": {"n": True}})
    assert VARIABLES.replace(world.context, ALICE, before.id, wanted, 1).revision == 2


def test_a_list_goes_on_where_it_stopped(world: World) -> None:
    """Page by page, in the order of creation."""
    made = [world.connection(name) for name in "abc"]
    asked = Asked(Connection, ALICE.workspace_id, limit=2)
    first = CONNECTIONS.find_part(world.context, asked, {})
    asked = Asked(Connection, ALICE.workspace_id, limit=2, cursor=first.cursor)
    rest = CONNECTIONS.find_part(world.context, asked, {})
    assert [*first.items, *rest.items] == made
    assert rest.cursor is None
