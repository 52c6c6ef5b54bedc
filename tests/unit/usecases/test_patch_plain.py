"""A JSON Patch of a plain resource: it sets what PUT can set, and looks at nothing hidden."""

from typing import Any

import pytest
from tests.support.collections import SAMPLES, Sample
from tests.support.samples import ALICE, MALLORY
from tests.support.world import World

from millrace.domain.base import Json
from millrace.domain.connection import Connection
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    PreconditionRequiredError,
    RevisionMismatchError,
    RuleViolationError,
    TooLargeError,
)
from millrace.domain.patch import Patch, PatchOperation
from millrace.domain.resource import Resource, SecretHolder
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.crud import Crud
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.plain import NOTIFICATION_GROUPS, TEMPLATES
from millrace.usecases.tokens import TOKENS, create_token
from millrace.usecases.variables import VARIABLES
from millrace.usecases.write_only import secrets_of

every_kind = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.collection)

BEARER = {"name": "Shop", "baseUrl": "https://shop.example", "auth": {"type": "bearer"}}


def read(*operations: dict[str, Json]) -> list[PatchOperation]:
    """The operations as a route gets them."""
    return Patch.model_validate([*operations]).root


def create(world: World, crud: Crud[Any, Any], given: object) -> Any:  # noqa: ANN401 - of any kind
    """A new resource."""
    return crud.create(world.context, ALICE, crud.input.model_validate(given))


def patch(
    world: World, crud: Crud[Any, Any], before: Resource, *operations: dict[str, Json]
) -> Any:  # noqa: ANN401 - of any kind
    """The resource after a patch over the revision that was read."""
    return crud.patch(world.context, ALICE, before.id, read(*operations), before.revision)


def faults(
    world: World, crud: Crud[Any, Any], before: Resource, *operations: dict[str, Json]
) -> set[tuple[str, str]]:
    """Code and place of all that is wrong with a patch; it changes nothing."""
    with pytest.raises(RuleViolationError) as raised:
        patch(world, crud, before, *operations)
    assert crud.get(world.context, ALICE, before.id) == before
    return {(fault.code, fault.pointer) for fault in raised.value.violations}


def put(path: str, value: Json) -> dict[str, Json]:
    """The operation that sets a value."""
    return {"op": "replace", "path": path, "value": value}


def shop(world: World) -> Connection:
    """A connection with a token."""
    given = BEARER | {"auth": {"type": "bearer", "token": "old"}}
    made: Connection = create(world, CONNECTIONS, given)
    return made


@every_kind
def test_a_patch_sets_what_a_put_sets(world: World, sample: Sample) -> None:
    """Field by field it comes to the same; what is not named stays, a secret too."""
    before = create(world, sample.crud, sample.given)
    operations = [put(f"/{name}", value) for name, value in sample.change.items()]
    after = patch(world, sample.crud, before, *operations)
    assert (after.revision, sample.crud.get(world.context, ALICE, before.id)) == (2, after)
    wanted = sample.crud.input.model_validate(sample.changed)
    assert sample.crud.replace(world.context, ALICE, before.id, wanted, 2) == after
    if isinstance(after, SecretHolder) and sample.secret is not None:
        assert sample.secret in str(secrets_of(world.secrets, after))


@every_kind
def test_a_patch_needs_the_revision_that_was_read(world: World, sample: Sample) -> None:
    """As every change does; another workspace finds nothing to patch."""
    made = create(world, sample.crud, sample.given)
    operations = read(put(f"/{next(iter(sample.change))}", None))
    for revision, error in ((None, PreconditionRequiredError), (7, RevisionMismatchError)):
        with pytest.raises(error):
            sample.crud.patch(world.context, ALICE, made.id, operations, revision)
    with pytest.raises(NotFoundError):
        sample.crud.patch(world.context, MALLORY, made.id, operations, 1)


def test_a_tokens_fields_are_patched(world: World) -> None:
    """Name, role and end; what lets its holder in is no field of it."""
    given = TOKENS.input.model_validate({"name": "laptop", "role": "viewer"})
    token, _ = create_token(world.context, ALICE, given)
    after = patch(world, TOKENS, token, put("/role", "editor"))
    assert (after.role, after.name, after.secret_hash) == ("editor", "laptop", token.secret_hash)
    assert faults(world, TOKENS, after, put("/secretHash", "x")) == {("notPatchable", "/0/path")}
    assert faults(world, TOKENS, after, put("/expiresAt", "2020-01-01T00:00:00Z")) == {
        ("alreadyExpired", "/0/value")
    }


@pytest.mark.parametrize("op", ["add", "replace"])
def test_a_secret_can_be_set(world: World, op: str) -> None:
    """The new one takes the place of the old one, which is forgotten."""
    after = patch(
        world, CONNECTIONS, shop(world), {"op": op, "path": "/auth/token", "value": "new"}
    )
    assert secrets_of(world.secrets, after) == {"token": "new"}
    assert len(world.secrets.values) == 1
    assert "new" not in repr(after) + after.model_dump_json()


def test_a_secret_variable_can_be_set(world: World) -> None:
    """What is hidden there depends on the variable, not on the field."""
    given = {"key": "k", "value": "old", "secret": True}
    before = create(world, VARIABLES, given)
    after = patch(world, VARIABLES, before, put("/value", "new"))
    assert (after.value, secrets_of(world.secrets, after)) == (None, {"value": '"new"'})
    look = {"op": "test", "path": "/value", "value": "new"}
    assert faults(world, VARIABLES, after, look) == {("writeOnly", "/0/path")}
    assert faults(world, VARIABLES, after, put("/secret", value=False)) == {("valueMissing", "")}
    plain = create(world, VARIABLES, {"key": "p", "value": "seen"})
    hidden = patch(
        world,
        VARIABLES,
        plain,
        {"op": "test", "path": "/value", "value": "seen"},
        put("/secret", value=True),
    )
    assert (hidden.value, secrets_of(world.secrets, hidden)) == (None, {"value": '"seen"'})


@pytest.mark.parametrize(
    ("operation", "place"),
    [
        ({"op": "test", "path": "/auth/token", "value": "old"}, "path"),
        ({"op": "test", "path": "/auth/token", "value": None}, "path"),
        ({"op": "remove", "path": "/auth/token"}, "path"),
        ({"op": "add", "path": "/auth/token/x", "value": 1}, "path"),
        ({"op": "copy", "from": "/auth/token", "path": "/description"}, "from"),
        ({"op": "move", "from": "/auth/token", "path": "/name"}, "from"),
        ({"op": "copy", "from": "/auth", "path": "/headers"}, "from"),
        ({"op": "move", "from": "/name", "path": "/auth/token"}, "path"),
    ],
)
def test_a_secret_cannot_be_looked_at(world: World, operation: dict[str, Json], place: str) -> None:
    """Neither the stored one nor one that the same patch sets; not by what holds it either."""
    sets = put("/auth/token", "new")
    found = faults(world, CONNECTIONS, shop(world), sets, operation)
    assert found == {("writeOnly", f"/1/{place}")}


def test_a_fault_does_not_repeat_a_secret(world: World) -> None:
    """Whatever else is wrong with a patch that sets one."""
    before = shop(world)
    for operations in (
        [put("/auth/token", "s3cret\n")],
        [put("/auth", {"type": "bearer", "token": "s3cret", "tokn": "s3cret"})],
        [put("/auth/token", "s3cret"), put("/auth/nothing", "x")],
        [put("/auth/token", ["s3cret"])],
    ):
        with pytest.raises(RuleViolationError) as raised:
            patch(world, CONNECTIONS, before, *operations)
        assert "s3cret" not in str(raised.value.violations) + raised.value.message


def test_another_kind_of_authentication_forgets_the_secret(world: World) -> None:
    """As with PUT: a secret ends with what used it."""
    after = patch(world, CONNECTIONS, shop(world), put("/auth", {"type": "none"}))
    assert (after.secrets_version, world.secrets.values) == (None, {})
    signed = create(
        world,
        NOTIFICATION_GROUPS,
        {"name": "n", "targets": [{"type": "email", "address": "a@b.example"}]},
    )
    after = patch(world, NOTIFICATION_GROUPS, signed, put("/signingSecret", "s"))
    assert secrets_of(world.secrets, after) == {"signing_secret": "s"}


@pytest.mark.parametrize(
    ("operations", "places"),
    [
        ([put("/id", "x"), put("/revision", 7)], {"notPatchable": {"/0/path", "/1/path"}}),
        ([put("", {})], {"notPatchable": {"/0/path"}}),
        ([{"op": "copy", "from": "", "path": "/settings"}], {"notPatchable": {"/0/from"}}),
        ([put("/nmae", "x")], {"notPatchable": {"/0/path"}}),
        ([put("/settings/x", 1)], {"noSuchPlace": {"/0/path"}}),
        ([put("/name/x", 1)], {"noSuchPlace": {"/0/path"}}),
        ([put("/groups/01/name", "x")], {"noSuchPlace": {"/0/path"}}),
        ([{"op": "move", "from": "/groups/7", "path": "/name"}], {"noSuchPlace": {"/0/from"}}),
        ([{"op": "remove", "path": "/name"}], {"missingField": {"/0/path"}}),
        (
            [put("/name", ""), put("/groups/0/sortOrder", "x")],
            {"stringTooShort": {"/0/value"}, "wrongType": {"/1/value"}},
        ),
        (
            [{"op": "add", "path": "/groups/-", "value": {"id": "b", "nmae": "B", "name": "B"}}],
            {"unknownField": {"/0/value/nmae"}},
        ),
        (
            [{"op": "add", "path": "/groups/-", "value": {"id": "a", "name": "B"}}],
            {"groupTwice": {"/0/value/id"}},
        ),
    ],
)
def test_a_fault_names_its_operation(
    world: World, operations: list[dict[str, Json]], places: dict[str, set[str]]
) -> None:
    """All faults at once, with pointers into the patch, whether of shape or of rules."""
    given = {"name": "ERP", "groups": [{"id": "a", "name": "A"}]}
    found = faults(world, INTEGRATIONS, create(world, INTEGRATIONS, given), *operations)
    assert found == {(code, place) for code, named in places.items() for place in named}


@pytest.mark.parametrize("path", ["/name", "", "/document/n"])
def test_a_test_that_fails_undoes_the_rest(world: World, path: str) -> None:
    """What came before it is not stored either; true is not 1."""
    before = create(world, TEMPLATES, {"name": "a", "document": {"n": 1}})
    test = {"op": "test", "path": path, "value": True}
    with pytest.raises(ConflictError) as raised:
        patch(world, TEMPLATES, before, put("/name", "b"), test)
    assert [fault.pointer for fault in raised.value.violations] == ["/1/value"]
    assert TEMPLATES.get(world.context, ALICE, before.id) == before


def test_a_patch_that_changes_nothing_is_none(world: World) -> None:
    """The revision stays."""
    before = create(world, TEMPLATES, {"name": "a", "document": {"n": 1}})
    assert patch(world, TEMPLATES, before, put("/name", "b"), put("/name", "a")) == before


@pytest.mark.parametrize("path", ["/document/x", "/document/x/x"])
def test_a_document_cannot_be_made_to_burst(world: World, path: str) -> None:
    """A hundred copies of a document into itself would double it a hundred times."""
    before = create(world, TEMPLATES, {"name": "a", "document": {"x": {"text": "y" * 100}}})
    copies = [{"op": "copy", "from": "/document", "path": path}] * 100
    with pytest.raises(TooLargeError):
        patch(world, TEMPLATES, before, *copies)
    assert TEMPLATES.get(world.context, ALICE, before.id) == before
