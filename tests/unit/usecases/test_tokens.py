"""Bearer tokens: shown once, kept as a hash, and good for one workspace."""

from datetime import timedelta

import pytest
from tests.support.samples import ALICE, MALLORY
from tests.support.world import World

from millrace.domain.errors import NotFoundError, RuleViolationError, UnauthenticatedError
from millrace.domain.ports import Replace
from millrace.domain.token import Caller, Token, TokenInput, Workspace
from millrace.usecases.tokens import TOKENS, authenticate, create_token, create_workspace, token_of

LAPTOP = TokenInput(name="laptop", role="editor")


def test_a_new_workspace_is_its_own(world: World) -> None:
    """A workspace is a resource within itself, so that its key starts with its id."""
    workspace = create_workspace(world.context, "Acme")
    assert workspace.id == workspace.workspace_id
    assert world.resources.get(Workspace, workspace.id, workspace.id).name == "Acme"


def test_a_token_opens_its_workspace(world: World) -> None:
    """Whoever holds the text is the caller."""
    token, text = create_token(world.context, ALICE, LAPTOP)
    assert authenticate(world.context, text) == Caller(
        workspace_id=ALICE.workspace_id, token_id=token.id, role=token.role
    )


def test_only_a_hash_is_kept(world: World) -> None:
    """Whoever reads the table cannot call the API."""
    token, text = create_token(world.context, ALICE, LAPTOP)
    stored = world.resources.get(Token, ALICE.workspace_id, token.id).model_dump_json()
    assert text.rpartition(".")[2] not in stored


def test_what_is_no_token_of_ours_opens_nothing(world: World) -> None:
    """Changed, cut, of another workspace, empty in parts: all refused with the same words."""
    _, text = create_token(world.context, ALICE, LAPTOP)
    prefix, workspace, token_id, secret = text.split(".")
    for forged in (
        "",
        "Bearer",
        secret,
        text + "x",
        text[:-1],
        f"{prefix}.ws_mallory.{token_id}.{secret}",
        f"{prefix}.{workspace}.tok_9.{secret}",
        f"{prefix}.{workspace}.{token_id}.",
        f"{prefix}...",
        f"{prefix}.{'w' * 5_000}.{token_id}.{secret}",
    ):
        with pytest.raises(UnauthenticatedError, match=r"^no valid token$"):
            authenticate(world.context, forged)


def test_a_token_ends_at_its_time(world: World) -> None:
    """At the second of its end it is no good any more."""
    token, text = create_token(world.context, ALICE, LAPTOP)
    world.clock.forward(hours=1)
    ending = token.model_copy(update={"revision": 2, "expires_at": world.clock.now})
    world.resources.commit(Replace(token, ending))
    with pytest.raises(UnauthenticatedError):
        authenticate(world.context, text)
    world.clock.forward(seconds=-1)
    assert authenticate(world.context, text).token_id == token.id


def test_a_token_keeps_its_text_when_it_changes(world: World) -> None:
    """Renamed, with another role and end, it still opens its workspace."""
    token, text = create_token(world.context, ALICE, LAPTOP)
    end = world.clock.now + timedelta(days=1)
    given = TokenInput(name="server", role="viewer", expires_at=end)
    changed = TOKENS.replace(world.context, ALICE, token.id, given, 1)
    assert (changed.name, changed.role, changed.expires_at) == ("server", "viewer", end)
    assert authenticate(world.context, text).token_id == token.id


def test_a_deleted_token_is_revoked(world: World) -> None:
    """Nobody gets in with it, and what the gateway still remembers is no token either."""
    token, text = create_token(world.context, ALICE, LAPTOP)
    caller = authenticate(world.context, text)
    assert token_of(world.context, caller) == token
    with pytest.raises(NotFoundError):
        TOKENS.delete(world.context, MALLORY, token.id, 1)
    TOKENS.delete(world.context, ALICE, token.id, 1)
    for act in (
        lambda: authenticate(world.context, text),
        lambda: token_of(world.context, caller),
    ):
        with pytest.raises(UnauthenticatedError):
            act()


def test_no_token_is_made_for_a_time_that_is_over(world: World) -> None:
    """A token that opens nothing is a mistake, new or changed."""
    given = LAPTOP.model_copy(update={"expires_at": world.clock.now})
    with pytest.raises(RuleViolationError):
        create_token(world.context, ALICE, given)
    token, _ = create_token(world.context, ALICE, LAPTOP)
    with pytest.raises(RuleViolationError):
        TOKENS.replace(world.context, ALICE, token.id, given, 1)


def test_a_token_from_before_there_were_roles_may_do_everything(world: World) -> None:
    """What is stored without a role is read, as what it always was."""
    token, _ = create_token(world.context, ALICE, LAPTOP)
    assert Token.model_validate(token.model_dump(exclude={"role"})).role == "admin"
