"""Applying a file brings a workspace in line with it, all or nothing, and twice is once."""

from copy import deepcopy
from typing import Any

import pytest
from tests.support.samples import ALICE, MALLORY
from tests.support.world import World

from millrace.domain.action import Action, ExportAction
from millrace.domain.connection import Connection
from millrace.domain.errors import ConflictError, RuleViolationError
from millrace.domain.flow import Flow
from millrace.domain.integration import IntegrationInput
from millrace.domain.label import LabelInput
from millrace.domain.ports import Change
from millrace.domain.webhook import Webhook
from millrace.storage.memory import MemoryResources
from millrace.usecases.apply import apply
from millrace.usecases.apply_document import ApplyDocument, ApplyResult
from millrace.usecases.audit import list_audit
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.flows import get_flow, latest_version, list_versions
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.plain import LABELS

DOCUMENT: dict[str, Any] = {
    "connections": [
        {
            "name": "Shop",
            "stableKey": "shop",
            "baseUrl": "https://shop.example",
            "auth": {"type": "bearer", "token": "t0ken"},
        }
    ],
    "actions": [
        {
            "name": "Read orders",
            "stableKey": "read-orders",
            "work": {"type": "Export", "connectionId": "shop", "http": {"path": "/orders"}},
        }
    ],
    "flows": [
        {
            "name": "Orders",
            "stableKey": "orders",
            "webhooks": [
                {
                    "stableKey": "github",
                    "hmacAlgorithm": "sha256",
                    "hmacSecretKey": "s3cret",
                }
            ],
            "steps": [
                {"id": "read", "type": "Export", "referrer": "read-orders"},
                {
                    "id": "write",
                    "type": "Import",
                    "dependsOn": ["read"],
                    "action": {
                        "type": "Import",
                        "connectionId": "shop",
                        "http": {"path": "/copies"},
                    },
                },
            ],
        }
    ],
}


@pytest.fixture
def document() -> dict[str, Any]:
    """A file with one of everything, to be changed at will."""
    return deepcopy(DOCUMENT)


def put(world: World, document: dict[str, Any]) -> ApplyResult:
    """Apply a file as the workspace's owner."""
    return apply(world.context, ALICE, ApplyDocument.model_validate(document))


def changes(result: ApplyResult) -> list[str]:
    """What became of connections, actions, flows and webhooks, in this order."""
    hooks = [hook for flow in result.flows for hook in flow.webhooks]
    return [each.change for each in (*result.connections, *result.actions, *result.flows, *hooks)]


def refused(world: World, document: dict[str, Any]) -> set[tuple[str, str]]:
    """The codes and pointers with which a file is refused."""
    with pytest.raises(RuleViolationError) as raised:
        put(world, document)
    return {(violation.code, violation.pointer) for violation in raised.value.violations}


def is_empty(world: World) -> bool:
    """Whether nothing at all is stored."""
    kinds: tuple[type[Connection | Action | Flow], ...] = (Connection, Action, Flow)
    listed = [world.resources.page(kind, ALICE.workspace_id).items for kind in kinds]
    return not any((*listed, world.secrets.values, world.machines.deployed))


def test_a_first_apply_creates_and_deploys(world: World, document: dict[str, Any]) -> None:
    """After one command the flow can run, and its webhook has an address."""
    result = put(world, document)
    assert changes(result) == ["created"] * 4
    (flow,) = result.flows
    assert (flow.deployed, flow.version_number) == (True, 1)
    assert flow.webhooks[0].path == f"/hooks/{flow.webhooks[0].id}"
    assert get_flow(world.context, ALICE, flow.id).deployed_version_id == flow.version_id
    assert list(world.machines.deployed) == [f"{flow.id}-v1"]


def test_a_second_apply_changes_nothing(world: World, document: dict[str, Any]) -> None:
    """The same file again leaves every resource, secret and version as it is."""
    first = put(world, document)
    stored, secrets = dict(world.resources._items), dict(world.secrets.values)
    second = put(world, document)
    assert changes(second) == ["unchanged"] * 4
    assert [flow.version_id for flow in second.flows] == [first.flows[0].version_id]
    assert (world.resources._items, world.secrets.values) == (stored, secrets)


def test_what_differs_is_updated_and_deployed_anew(world: World, document: dict[str, Any]) -> None:
    """A changed step becomes version 2, live at once; the rest is left alone."""
    flow_id = put(world, document).flows[0].id
    document["flows"][0]["steps"][1]["action"]["http"]["path"] = "/elsewhere"
    result = put(world, document)
    assert changes(result) == ["unchanged", "unchanged", "updated", "unchanged"]
    assert (result.flows[0].version_number, result.flows[0].deployed) == (2, True)
    states = [v.state for v in list_versions(world.context, ALICE, flow_id, 10, None)[1].items]
    assert states == ["inactive", "deployed"]


def test_a_flow_may_stay_undeployed(world: World, document: dict[str, Any]) -> None:
    """`deploy: false` stores the draft only; saying true later deploys it."""
    document["flows"][0]["deploy"] = False
    assert not put(world, document).flows[0].deployed
    assert world.machines.deployed == {}
    document["flows"][0]["deploy"] = True
    assert put(world, document).flows[0].deployed


def test_a_changed_schedule_takes_effect(world: World, document: dict[str, Any]) -> None:
    """Settings that need no new version are still brought to the scheduler."""
    document["flows"][0]["schedule"] = "rate(1 hour)"
    flow_id = put(world, document).flows[0].id
    document["flows"][0]["schedule"] = "rate(2 hours)"
    put(world, document)
    assert world.schedules.schedules[flow_id].expression == "rate(2 hours)"


def test_references_are_stable_keys_or_ids(world: World, document: dict[str, Any]) -> None:
    """A file names what it holds, or what is there, by stable key; ids work too."""
    first = put(world, document)
    connection_id, action_id = first.connections[0].id, first.actions[0].id
    action = world.resources.get(Action, ALICE.workspace_id, action_id)
    assert isinstance(action.work, ExportAction)
    assert action.work.connection_id == connection_id
    step = {"id": "read", "type": "Export"}
    flows = [
        {"name": "By key", "stableKey": "by-key", "steps": [step | {"referrer": "read-orders"}]},
        {"name": "By id", "stableKey": "by-id", "steps": [step | {"referrer": action_id}]},
    ]
    for applied in put(world, {"flows": flows}).flows:
        flow = get_flow(world.context, ALICE, applied.id)
        assert latest_version(world.context, flow).steps[0].referrer == action_id


def test_a_stable_key_of_another_workspace_is_unknown(
    world: World, document: dict[str, Any]
) -> None:
    """Files cannot refer across workspaces."""
    put(world, document)
    theirs = ApplyDocument.model_validate({"actions": document["actions"]})
    with pytest.raises(RuleViolationError) as raised:
        apply(world.context, MALLORY, theirs)
    assert [found.code for found in raised.value.violations] == ["unknownConnection"]


def test_secrets_are_kept_apart(world: World, document: dict[str, Any]) -> None:
    """No stored resource holds a secret; the secret store holds them all."""
    put(world, document)
    stored = " ".join(item.model_dump_json() for item in world.resources._items.values())
    assert "t0ken" not in stored
    assert "s3cret" not in stored
    assert sorted(map(str, world.secrets.values.values())) == [
        "{'hmac_secret_key': 's3cret'}",
        "{'token': 't0ken'}",
    ]


def test_secrets_left_out_are_kept(world: World, document: dict[str, Any]) -> None:
    """A file that is under version control need not hold them after the first time."""
    put(world, document)
    before = dict(world.secrets.values)
    del document["connections"][0]["auth"]["token"]
    del document["flows"][0]["webhooks"][0]["hmacSecretKey"]
    assert changes(put(world, document)) == ["unchanged"] * 4
    assert world.secrets.values == before


def test_a_changed_secret_replaces_the_old_one(world: World, document: dict[str, Any]) -> None:
    """The new set gets a new key, and the old one is forgotten."""
    put(world, document)
    document["connections"][0]["auth"]["token"] = "n3w"
    document["flows"][0]["webhooks"][0]["hmacSecretKey"] = "n3w"
    assert changes(put(world, document)) == ["updated", "unchanged", "unchanged", "updated"]
    kept = sorted(map(str, world.secrets.values.values()))
    assert kept == ["{'hmac_secret_key': 'n3w'}", "{'token': 'n3w'}"]


def test_every_fault_is_named_with_its_place(world: World, document: dict[str, Any]) -> None:
    """One apply tells the author everything there is to correct, and stores nothing."""
    document["actions"][0]["work"]["connectionId"] = "shoppe"
    flow = document["flows"][0]
    flow["steps"][0]["dependsOn"] = ["write"]
    flow["steps"][1]["dependsOn"] = ["read", "nowhere"]
    flow["steps"][1]["action"]["connectionId"] = ""
    flow["steps"][1]["filter"] = "(("
    del flow["webhooks"][0]["hmacSecretKey"]
    found = refused(world, document)
    assert found >= {
        ("unknownConnection", "/actions/0/work/connectionId"),
        ("unknownDependency", "/flows/0/steps/1/dependsOn/1"),
        ("unknownConnection", "/flows/0/steps/1/action/connectionId"),
        ("badExpression", "/flows/0/steps/1/filter"),
        ("secretMissing", "/flows/0/webhooks/0/hmacSecretKey"),
    }
    assert any("cycle" in code for code, _ in found)
    assert is_empty(world)


def test_faults_of_actions_point_into_the_file(world: World, document: dict[str, Any]) -> None:
    """The second action's fault is at the second action."""
    bad = deepcopy(document["actions"][0])
    bad |= {"stableKey": "other"}
    bad["work"]["connectionId"] = "con_999999"
    document["actions"].append(bad)
    assert refused(world, document) == {("unknownConnection", "/actions/1/work/connectionId")}


def test_every_resource_of_a_file_needs_a_key_of_its_own(
    world: World, document: dict[str, Any]
) -> None:
    """Without a key a second apply would not know it; with one twice, which is meant?"""
    del document["connections"][0]["stableKey"]
    document["flows"] *= 2
    document["flows"][0]["webhooks"] *= 2
    assert refused(world, document) >= {
        ("stableKeyMissing", "/connections/0/stableKey"),
        ("stableKeyTwice", "/flows/1/stableKey"),
        ("stableKeyTwice", "/flows/0/webhooks/1/stableKey"),
    }
    assert is_empty(world)


def test_callbacks_of_a_flow_are_applied_with_it(world: World, document: dict[str, Any]) -> None:
    """Created, left alone, changed at the same address; in the flow's list and its trail."""
    callback = {"stableKey": "caller", "status": 201}
    document["flows"][0]["callbacks"] = [callback]
    (first,) = put(world, document).flows[0].callbacks
    assert (first.change, first.path) == ("created", f"/callbacks/{first.id}")
    (second,) = put(world, document).flows[0].callbacks
    assert (second.change, second.id) == ("unchanged", first.id)
    callback["format"] = "xml"
    flow = put(world, document).flows[0]
    assert (flow.callbacks[0].change, flow.callbacks[0].id) == ("updated", first.id)
    stored = CALLBACKS.get(world.context, ALICE, first.id, flow_id=flow.id)
    assert (stored.status, stored.format, stored.revision) == (201, "xml", 2)
    assert get_flow(world.context, ALICE, flow.id).callback_ids == (first.id,)
    entry, *_ = list_audit(world.context, ALICE, flow.id, 1, None).items
    assert [change.after for change in entry.changes] == [{"format": "xml"}]


def test_callbacks_of_a_file_need_a_key_of_their_own(
    world: World, document: dict[str, Any]
) -> None:
    """As everything in a file does; nothing is stored."""
    document["flows"][0]["callbacks"] = [{}, {"stableKey": "a"}, {"stableKey": "a"}]
    assert refused(world, document) == {
        ("stableKeyMissing", "/flows/0/callbacks/0/stableKey"),
        ("stableKeyTwice", "/flows/0/callbacks/2/stableKey"),
    }
    assert is_empty(world)


def test_webhooks_of_two_flows_may_share_a_key(world: World, document: dict[str, Any]) -> None:
    """A webhook's key is unique in its flow."""
    document["flows"].append(deepcopy(document["flows"][0]) | {"stableKey": "invoices"})
    result = put(world, document)
    first, second = (flow.webhooks[0].id for flow in result.flows)
    assert first != second
    found = world.resources.find_public(Webhook, second)
    assert found is not None
    assert found.flow_id == result.flows[1].id


def test_an_empty_file_is_refused() -> None:
    """Applying nothing is a mistake, such as the wrong file."""
    with pytest.raises(ValueError, match="nothing to apply"):
        ApplyDocument.model_validate({})


class RacedResources(MemoryResources):
    """A store in which somebody else is always a moment faster."""

    def commit(self, *changes: Change) -> None:
        """Refuse what would change something."""
        raise ConflictError(f"another writer was faster than these {len(changes)} changes")


def test_a_lost_race_leaves_no_secrets_behind(document: dict[str, Any]) -> None:
    """Secrets are stored before the resources that point to them, and go if those cannot be."""
    world = World(resources=RacedResources())
    with pytest.raises(ConflictError):
        put(world, document)
    assert world.secrets.values == {}


def test_a_flows_references_may_be_stable_keys(world: World, document: dict[str, Any]) -> None:
    """Of what is stored and, for flows and actions, of what the same file makes."""
    groups = [{"id": "nightly", "name": "Nightly"}]
    erp = INTEGRATIONS.create(
        world.context,
        ALICE,
        IntegrationInput.model_validate({"name": "ERP", "stableKey": "erp", "groups": groups}),
    )
    label = LABELS.create(
        world.context, ALICE, LabelInput(name="Finance", colour="#00aa00", stable_key="finance")
    )
    document["flows"][0] |= {
        "integrationId": "erp",
        "flowGroupId": "nightly",
        "labels": ["finance"],
        "runNextFlowIds": ["after"],
        "aliases": [{"alias": "reader", "actionId": "read-orders"}],
        "endpointSecurityType": "organization",
        "organizationApiKeys": ["k3y-of-sixteen-or-more"],
    }
    document["flows"].append(
        {
            "name": "After",
            "stableKey": "after",
            "deploy": False,
            "steps": [{"id": "sub", "type": "Flow", "flowId": "third"}],
        }
    )
    document["flows"].append({"name": "Third", "stableKey": "third"})
    result = put(world, document)
    flow, after, third = (get_flow(world.context, ALICE, each.id) for each in result.flows)
    assert (flow.integration_id, flow.labels) == (erp.id, (label.id,))
    assert flow.run_next_flow_ids == (after.id,)
    assert [alias.action_id for alias in flow.aliases] == [result.actions[0].id]
    assert latest_version(world.context, after).steps[0].flow_id == third.id
    assert changes(put(world, document)) == ["unchanged"] * 6
    document["flows"][2]["runNextFlowIds"] = ["orders"]
    assert refused(world, document) == {("flowCircle", "/flows/2/runNextFlowIds/0")}


def test_a_file_moves_a_flow_into_an_integration(world: World, document: dict[str, Any]) -> None:
    """It is the same flow, found by its key where it was; taken out again, it is another."""
    (before,) = put(world, document).flows
    erp = INTEGRATIONS.create(world.context, ALICE, IntegrationInput(name="ERP", stable_key="erp"))
    document["flows"][0]["integrationId"] = "erp"
    (after,) = put(world, document).flows
    assert (after.id, after.change) == (before.id, "updated")
    assert get_flow(world.context, ALICE, after.id).integration_id == erp.id
    del document["flows"][0]["integrationId"]
    assert put(world, document).flows[0].change == "created"


def test_a_file_with_a_flow_that_cannot_run_yet_stores_nothing(
    world: World, document: dict[str, Any]
) -> None:
    """All or nothing holds for what only a deployment would refuse."""
    document["flows"].append({"name": "Other", "stableKey": "other"})
    document["flows"][0]["steps"].append({"id": "sub", "type": "Flow", "flowId": "other"})
    document["flows"][0]["isSynchronous"] = True
    assert refused(world, document) == {("subflowOfSynchronousFlow", "/flows/0/steps/2/type")}
    assert is_empty(world)


def test_a_file_makes_a_flow_synchronous(world: World, document: dict[str, Any]) -> None:
    """The live version gets its other machine by applying the file, and keeps its schedule."""
    document["flows"][0]["schedule"] = "rate(1 hour)"
    (flow,) = put(world, document).flows
    document["flows"][0]["isSynchronous"] = True
    assert put(world, document).flows[0].version_number == 1
    assert sorted(world.machines.deployed) == [f"{flow.id}-v1", f"{flow.id}-v1-sync"]
    assert list(world.schedules.schedules) == [flow.id]
