"""Bearer tokens: shown once, kept as a hash, and good for one workspace."""

import pytest
from tests.support.samples import ALICE
from tests.support.world import World

from millrace.domain.errors import UnauthenticatedError
from millrace.domain.ports import Replace
from millrace.domain.token import Caller, Token, Workspace
from millrace.usecases.tokens import authenticate, create_token, create_workspace


def test_a_new_workspace_is_its_own(world: World) -> None:
    """A workspace is a resource within itself, so that its key starts with its id."""
    workspace = create_workspace(world.context, "Acme")
    assert workspace.id == workspace.workspace_id
    assert world.resources.get(Workspace, workspace.id, workspace.id).name == "Acme"


def test_a_token_opens_its_workspace(world: World) -> None:
    """Whoever holds the text is the caller."""
    token, text = create_token(world.context, ALICE, "laptop")
    assert authenticate(world.context, text) == Caller(
        workspace_id=ALICE.workspace_id, token_id=token.id
    )


def test_only_a_hash_is_kept(world: World) -> None:
    """Whoever reads the table cannot call the API."""
    token, text = create_token(world.context, ALICE, "laptop")
    stored = world.resources.get(Token, ALICE.workspace_id, token.id).model_dump_json()
    assert text.rpartition(".")[2] not in stored


def test_what_is_no_token_of_ours_opens_nothing(world: World) -> None:
    """Changed, cut, of another workspace, empty in parts: all refused with the same words."""
    _, text = create_token(world.context, ALICE, "laptop")
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
    token, text = create_token(world.context, ALICE, "laptop")
    world.clock.forward(hours=1)
    ending = token.model_copy(update={"revision": 2, "expires_at": world.clock.now})
    world.resources.commit(Replace(token, ending))
    with pytest.raises(UnauthenticatedError):
        authenticate(world.context, text)
    world.clock.forward(seconds=-1)
    assert authenticate(world.context, text).token_id == token.id
