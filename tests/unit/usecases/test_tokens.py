"""Bearer tokens: shown once, kept as a hash, and good for one workspace."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.support.samples import ALICE, MALLORY
from tests.support.world import World

from millrace import limits
from millrace.domain.errors import (
    NotFoundError,
    RuleViolationError,
    UnauthenticatedError,
    UnavailableError,
)
from millrace.domain.ports import Replace
from millrace.domain.token import ROLES, Caller, Role, Token, TokenInput, Workspace
from millrace.storage.memory import MemoryResources
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
        # A JWT without a signature, and one that says it is ours.
        "eyJhbGciOiJub25lIn0.eyJ3b3Jrc3BhY2VJZCI6IndzX2FsaWNlIn0.",
        f"eyJhbGciOiJub25lIn0.{workspace}.{token_id}.",
        f"{prefix}.{workspace}.{token_id}.none",
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
    assert token_of(world.context, caller).id == token.id
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


def test_the_last_use_of_a_token_is_known(world: World) -> None:
    """From the first use on, and written anew only when it is some minutes behind."""
    token, text = create_token(world.context, ALICE, LAPTOP)
    assert token.last_used_at is None
    used_at = []
    for seconds in (0, limits.LAST_USED_SECONDS - 1, 1):
        world.clock.forward(seconds=seconds)
        authenticate(world.context, text)
        used_at.append(TOKENS.get(world.context, ALICE, token.id).last_used_at)
    now = world.clock.now
    first = now - timedelta(seconds=limits.LAST_USED_SECONDS)
    assert used_at == [first, first, now]


def test_a_refused_token_is_not_used(world: World) -> None:
    """Who guesses leaves no trace in the token."""
    token, text = create_token(world.context, ALICE, LAPTOP)
    with pytest.raises(UnauthenticatedError):
        authenticate(world.context, text + "x")
    assert TOKENS.get(world.context, ALICE, token.id).last_used_at is None


class BusyResources(MemoryResources):
    """A store that cannot write down uses just now, and counts the tries."""

    tries = 0

    def record_use(self, workspace_id: str, token_id: str, at: datetime, since: datetime) -> None:
        """Fail."""
        self.tries += 1
        raise UnavailableError(f"{workspace_id} {token_id} {at} {since}")


def test_a_use_that_cannot_be_written_down_keeps_nobody_out() -> None:
    """It is tried again with the next request."""
    resources = BusyResources()
    context = replace(World().context, resources=resources)
    token, text = create_token(context, ALICE, LAPTOP)
    for _ in range(2):
        assert authenticate(context, text).token_id == token.id
    assert resources.tries == 2


@pytest.mark.parametrize("own", ROLES)
def test_nobody_gives_a_role_above_their_own(world: World, own: Role) -> None:
    """Neither to a new token nor to one that is there."""
    caller = ALICE.model_copy(update={"role": own})
    viewer, _ = create_token(world.context, ALICE, TokenInput(name="v", role="viewer"))
    for role in ROLES:
        given = TokenInput(name="t", role=role)
        before = TOKENS.get(world.context, ALICE, viewer.id)
        if caller.may(role):
            assert create_token(world.context, caller, given)[0].role == role
            TOKENS.replace(world.context, caller, viewer.id, given, before.revision)
            continue
        for act in (
            lambda given=given: create_token(world.context, caller, given),
            lambda given=given, before=before: TOKENS.replace(
                world.context, caller, viewer.id, given, before.revision
            ),
        ):
            with pytest.raises(RuleViolationError) as raised:
                act()
            assert [(each.code, each.pointer) for each in raised.value.violations] == [
                ("roleTooHigh", "/role")
            ]
