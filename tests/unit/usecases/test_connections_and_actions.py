"""Connections and actions: changed over the revision that was read, secrets write-only."""

from typing import Any

import pytest
from tests.support.samples import ALICE, MALLORY
from tests.support.world import World

from millrace.domain.action import ActionInput
from millrace.domain.connection import Connection, ConnectionInput
from millrace.domain.errors import (
    NotFoundError,
    PreconditionRequiredError,
    RevisionMismatchError,
    RuleViolationError,
)
from millrace.usecases.actions import ACTIONS
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.write_only import secrets_of

BEARER = {"type": "bearer", "token": "t0ken"}


def given(auth: dict[str, str] | None = None, **changes: Any) -> ConnectionInput:  # noqa: ANN401 - JSON
    """What a client sends."""
    fields = {"name": "Shop", "baseUrl": "https://shop.example", "auth": auth or {"type": "none"}}
    return ConnectionInput.model_validate(fields | changes)


def replaced(world: World, before: Connection, wanted: ConnectionInput) -> Connection:
    """The connection after a change."""
    return CONNECTIONS.replace(world.context, ALICE, before.id, wanted, before.revision)


def secrets(world: World, connection: Connection) -> dict[str, str]:
    """What the secret store holds for a connection."""
    return secrets_of(world.secrets, connection)


def test_secrets_go_to_the_secret_store_only(world: World) -> None:
    """The stored connection holds none, the store all of them."""
    connection = CONNECTIONS.create(world.context, ALICE, given(BEARER))
    assert "t0ken" not in connection.model_dump_json() + repr(connection)
    assert CONNECTIONS.get(world.context, ALICE, connection.id) == connection
    assert secrets(world, connection) == {"token": "t0ken"}


def test_secrets_left_out_are_kept(world: World) -> None:
    """Changing the name does not need the token."""
    before = CONNECTIONS.create(world.context, ALICE, given(BEARER))
    after = replaced(world, before, given({"type": "bearer"}, name="Other"))
    assert (after.name, after.revision) == ("Other", 2)
    assert secrets(world, after) == {"token": "t0ken"}


def test_a_new_secret_replaces_the_old_one(world: World) -> None:
    """The old set is forgotten once the connection names the new one."""
    before = CONNECTIONS.create(world.context, ALICE, given(BEARER))
    after = replaced(world, before, given(BEARER | {"token": "n3w"}))
    assert list(world.secrets.values.values()) == [{"token": "n3w"}]
    assert secrets(world, after) == {"token": "n3w"}


@pytest.mark.parametrize("auth", [{"type": "none"}, {"type": "basic", "username": "u"}])
def test_another_kind_of_authentication_forgets_the_secrets(
    world: World, auth: dict[str, str]
) -> None:
    """No token lies around that nothing uses."""
    before = CONNECTIONS.create(world.context, ALICE, given(BEARER))
    after = replaced(world, before, given(auth))
    assert (after.secrets_key, world.secrets.values) == (None, {})


def test_a_change_that_changes_nothing_is_none(world: World) -> None:
    """Sending the same again, with or without the secret, keeps the revision."""
    before = CONNECTIONS.create(world.context, ALICE, given(BEARER))
    assert replaced(world, before, given(BEARER)) == before
    assert replaced(world, before, given({"type": "bearer"})) == before
    assert len(world.secrets.values) == 1


def test_deleting_forgets_the_secrets(world: World) -> None:
    """Nothing of a deleted connection stays."""
    connection = CONNECTIONS.create(world.context, ALICE, given(BEARER))
    CONNECTIONS.delete(world.context, ALICE, connection.id, 1)
    assert world.secrets.values == {}
    assert world.context.resources.page(CONNECTIONS.kind, ALICE.workspace_id).items == ()


def test_connections_change_over_the_revision_that_was_read(world: World) -> None:
    """Without a revision 428, with an old one 412, and another's connection is not there."""
    connection = CONNECTIONS.create(world.context, ALICE, given())
    context, id_ = world.context, connection.id
    for revision, error in ((None, PreconditionRequiredError), (2, RevisionMismatchError)):
        with pytest.raises(error):
            CONNECTIONS.replace(context, ALICE, id_, given(), revision)
        with pytest.raises(error):
            CONNECTIONS.delete(context, ALICE, id_, revision)
    for act in (
        lambda: CONNECTIONS.get(context, MALLORY, id_),
        lambda: CONNECTIONS.replace(context, MALLORY, id_, given(), 1),
        lambda: CONNECTIONS.delete(context, MALLORY, id_, 1),
    ):
        with pytest.raises(NotFoundError):
            act()
    assert context.resources.page(CONNECTIONS.kind, ALICE.workspace_id).items == (connection,)


def work(connection_id: str, path: str = "/orders") -> ActionInput:
    """An export as a client sends it."""
    http = {"path": path}
    return ActionInput.model_validate(
        {"name": "Read", "work": {"type": "Export", "connectionId": connection_id, "http": http}}
    )


def test_an_action_lives_like_other_resources(world: World) -> None:
    """Created, read, changed, left alone, deleted."""
    connection = world.connection()
    action = ACTIONS.create(world.context, ALICE, work(connection.id))
    assert ACTIONS.get(world.context, ALICE, action.id) == action
    assert ACTIONS.replace(world.context, ALICE, action.id, work(connection.id), 1) == action
    after = ACTIONS.replace(world.context, ALICE, action.id, work(connection.id, "/o2"), 1)
    assert after.revision == 2
    with pytest.raises(RevisionMismatchError):
        ACTIONS.delete(world.context, ALICE, action.id, 1)
    ACTIONS.delete(world.context, ALICE, action.id, 2)
    assert world.context.resources.page(ACTIONS.kind, ALICE.workspace_id).items == ()


def test_an_action_needs_a_connection_of_its_workspace(world: World) -> None:
    """Unknown ones, and those of others, are named with their place."""
    connection = world.connection()
    for caller, id_ in ((ALICE, "con_9"), (MALLORY, connection.id)):
        with pytest.raises(RuleViolationError) as raised:
            ACTIONS.create(world.context, caller, work(id_))
        (violation,) = raised.value.violations
        assert (violation.code, violation.pointer) == ("unknownConnection", "/work/connectionId")


def test_an_actions_expressions_are_compiled_when_it_is_saved(world: World) -> None:
    """Every place that holds an expression is checked, keys escaped as pointers want it."""
    operations = [
        {"type": "filter", "expression": "a ="},
        {"type": "map", "expression": "$"},
        {
            "type": "aggregate",
            "groupBy": {"a/b": "(("},
            "figures": {"n~": {"function": "sum", "expression": "]"}},
        },
    ]
    wanted = ActionInput.model_validate(
        {"name": "n", "work": {"type": "Process", "operations": operations}}
    )
    with pytest.raises(RuleViolationError) as raised:
        ACTIONS.create(world.context, ALICE, wanted)
    assert [violation.pointer for violation in raised.value.violations] == [
        "/work/operations/0/expression",
        "/work/operations/2/groupBy/a~1b",
        "/work/operations/2/figures/n~0/expression",
    ]
