"""Addresses that show that they lead inside are not stored, and say where they stand."""

from typing import Any

import pytest
from tests.support.samples import ALICE
from tests.support.world import World

from millrace.domain.connection import ConnectionInput
from millrace.domain.errors import RuleViolationError
from millrace.domain.notification_group import NotificationGroupInput
from millrace.domain.patch import ValueOperation
from millrace.domain.ports import Create
from millrace.usecases.apply import apply
from millrace.usecases.apply_document import ApplyDocument
from millrace.usecases.connections import CONNECTIONS
from millrace.usecases.plain import NOTIFICATION_GROUPS

INSIDE = "http://169.254.169.254/latest"


def connection(**changes: Any) -> ConnectionInput:  # noqa: ANN401 - JSON
    """What a client sends."""
    return ConnectionInput.model_validate(
        {"name": "Shop", "baseUrl": "https://shop.example", "auth": {"type": "none"}} | changes
    )


def places(raised: pytest.ExceptionInfo[RuleViolationError]) -> list[tuple[str, str]]:
    """Code and place of each violation."""
    return [(each.code, each.pointer) for each in raised.value.violations]


def test_s6_a_file_names_the_connection_that_leads_inside(world: World) -> None:
    """As it names everything else that is wrong with it; nothing of it is stored."""
    document = ApplyDocument(
        connections=(
            connection(stableKey="a"),
            connection(stableKey="b", baseUrl=INSIDE),
        )
    )
    with pytest.raises(RuleViolationError) as raised:
        apply(world.context, ALICE, document)
    assert places(raised) == [("addressRefused", "/connections/1/baseUrl")]
    assert raised.value.violations[0].message == (
        "Requests may not be sent to this address: 169.254.169.254 is not public (link-local), and "
        "in no network that this workspace may reach."
    )


def test_s6_a_notification_group_is_checked_as_a_connection(world: World) -> None:
    """What is posted to its targets is posted by Millrace as well."""
    targets = [
        {"type": "email", "address": "ann@shop.example"},
        {"type": "url", "url": "https://hooks.example/x"},
        {"type": "url", "url": "http://[::1]:8080/x"},
    ]
    given = NotificationGroupInput.model_validate({"name": "Ops", "targets": targets})
    with pytest.raises(RuleViolationError) as raised:
        NOTIFICATION_GROUPS.create(world.context, ALICE, given)
    assert places(raised) == [("addressRefused", "/targets/2/url")]


def test_s6_a_patch_is_refused_where_it_says_so(world: World) -> None:
    """As all rules are."""
    before = CONNECTIONS.create(world.context, ALICE, connection())
    patch = [ValueOperation(op="replace", path="/baseUrl", value=INSIDE)]
    with pytest.raises(RuleViolationError) as raised:
        CONNECTIONS.patch(world.context, ALICE, before.id, patch, before.revision)
    assert places(raised) == [("addressRefused", "/0/value")]


def test_what_is_stored_already_may_be_renamed(world: World) -> None:
    """A network may be allowed no more; calls are refused then, and other changes are not."""
    inside, _ = CONNECTIONS.new(world.context, ALICE, connection(baseUrl=INSIDE))
    world.resources.commit(Create(inside))
    renamed = connection(baseUrl=INSIDE, name="Old shop")
    after = CONNECTIONS.replace(world.context, ALICE, inside.id, renamed, inside.revision)
    assert (after.name, after.base_url) == ("Old shop", INSIDE)
    other = connection(baseUrl="http://169.254.169.254/other")
    with pytest.raises(RuleViolationError) as raised:
        CONNECTIONS.replace(world.context, ALICE, inside.id, other, after.revision)
    assert places(raised) == [("addressRefused", "/baseUrl")]
