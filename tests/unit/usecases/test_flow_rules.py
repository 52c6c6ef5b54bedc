"""The rules between a flow's fields, what it refers to, and who is said to have made its steps."""

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support.samples import ALICE, export_step, import_step, process_step
from tests.support.time_and_ids import NOON
from tests.support.world import World

from millrace import limits
from millrace.domain.action import ActionInput, ProcessAction
from millrace.domain.base import Json
from millrace.domain.callback import CallbackInput
from millrace.domain.errors import ConflictError, RuleViolationError, UnauthenticatedError
from millrace.domain.flow import Flow, FlowInput
from millrace.domain.flow_parts import Concurrency
from millrace.domain.integration import IntegrationInput
from millrace.domain.label import LabelInput
from millrace.domain.operations import MapOperation
from millrace.domain.patch import Patch
from millrace.domain.run import Run, RunOutcome, RunStatus
from millrace.domain.step import Step
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import VirtualEnvironmentInput
from millrace.domain.webhook import WebhookInput
from millrace.storage.memory import MemoryMachines, MemoryRuns
from millrace.usecases.actions import ACTIONS
from millrace.usecases.api_keys import check_api_key
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.deploy import deploy_version, undeploy_version
from millrace.usecases.flow_changes import create_flow, delete_flow, replace_flow
from millrace.usecases.flows import get_flow, get_version, latest_version
from millrace.usecases.integrations import INTEGRATIONS
from millrace.usecases.latest_runs import tell_flow
from millrace.usecases.patch import patch_flow
from millrace.usecases.plain import LABELS
from millrace.usecases.versions import create_draft, delete_version
from millrace.usecases.virtual_environments import VIRTUAL_ENVIRONMENTS
from millrace.usecases.webhooks import WEBHOOKS

BOB = Caller(workspace_id=ALICE.workspace_id, token_id="tok_bob")
MAP = process_step("map")
KEYS = ["k3y-of-sixteen-or-more", "k3y-of-sixteen-or-less"]


def refused(world: World, **fields: Json) -> set[tuple[str, str]]:
    """Codes and places of what is wrong with a new flow."""
    with pytest.raises(RuleViolationError) as caught:
        world.flow(**fields)
    return {(found.code, found.pointer) for found in caught.value.violations}


def replaced(world: World, flow: Flow, **fields: Any) -> Flow:  # noqa: ANN401 - of many fields
    """The flow once it is sent whole with these fields."""
    now = get_flow(world.context, ALICE, flow.id)
    given = FlowInput.model_validate({"name": now.name, **fields})
    return replace_flow(world.context, ALICE, flow.id, given, now.revision)[0]


def patched(world: World, flow: Flow, *operations: dict[str, Json]) -> Flow:
    """The flow after a patch."""
    revision = get_flow(world.context, ALICE, flow.id).revision
    read = Patch.model_validate([*operations]).root
    return patch_flow(world.context, ALICE, flow.id, read, revision)[0]


def test_a_deleted_label_does_not_keep_anybody_from_disabling_the_flow(world: World) -> None:
    """What was named while it was there may stay; naming it anew is refused."""
    label = LABELS.create(world.context, ALICE, LabelInput(name="Finance", colour="#00aa00"))
    flow = world.flow(MAP, labels=[label.id])
    LABELS.delete(world.context, ALICE, label.id, label.revision)
    off = patched(world, flow, {"op": "replace", "path": "/disabled", "value": True})
    assert (off.is_enabled, off.labels) == (False, (label.id,))
    assert refused(world, labels=[label.id]) == {("unknownLabel", "/labels/0")}


@pytest.mark.parametrize("by_step", [False, True], ids=["runNextFlowIds", "Flow step"])
def test_flows_that_would_start_each_other_for_ever_are_refused(
    world: World, *, by_step: bool
) -> None:
    """However many stand between, and whichever way they start each other."""

    def leading_to(id_: str) -> dict[str, Any]:
        if by_step:
            return {"steps": [{"id": "sub", "type": "Flow", "flowId": id_}]}
        return {"runNextFlowIds": [id_]}

    place = "/steps/0/flowId" if by_step else "/runNextFlowIds/0"
    first = world.flow()
    with pytest.raises(RuleViolationError) as caught:
        replaced(world, first, **leading_to(first.id))
    assert [(v.code, v.pointer) for v in caught.value.violations] == [("flowCircle", place)]
    second = replaced(world, world.flow(), **leading_to(first.id))
    third = replaced(world, world.flow(), **leading_to(second.id))
    with pytest.raises(RuleViolationError) as caught:
        replaced(world, first, **leading_to(third.id))
    assert [(v.code, v.pointer) for v in caught.value.violations] == [("flowCircle", place)]
    replaced(world, first, **leading_to(world.flow().id))


def test_a_stable_key_is_unique_in_its_integration(world: World) -> None:
    """Two integrations may have the same; so may a flow that is in none."""
    one, two = (
        INTEGRATIONS.create(world.context, ALICE, IntegrationInput(name=name))
        for name in ("one", "two")
    )
    for place in ({}, {"integrationId": one.id}, {"integrationId": two.id}):
        world.flow(stableKey="orders", **place)
        with pytest.raises(ConflictError, match="another flow has the stable key 'orders'"):
            world.flow(stableKey="orders", **place)
    moved = world.flow(stableKey="invoices", integrationId=one.id)
    replaced(world, moved, stableKey="invoices", integrationId=two.id)
    world.flow(stableKey="invoices", integrationId=one.id)


def test_a_group_is_one_of_the_flows_integration(world: World) -> None:
    """Looked for again when the flow moves or changes its group, not otherwise."""
    groups = [{"id": "nightly", "name": "Nightly"}]
    given = IntegrationInput.model_validate({"name": "ERP", "groups": groups})
    erp = INTEGRATIONS.create(world.context, ALICE, given)
    flow = world.flow(integrationId=erp.id, flowGroupId="nightly")
    bare = IntegrationInput(name="ERP")
    INTEGRATIONS.replace(world.context, ALICE, erp.id, bare, erp.revision)
    replaced(world, flow, integrationId=erp.id, flowGroupId="nightly", description="still")
    wanted = {"integrationId": erp.id, "flowGroupId": "nightly"}
    assert refused(world, **wanted) == {("unknownGroup", "/flowGroupId")}


def test_steps_say_who_made_them_and_who_changed_them(world: World) -> None:
    """An unchanged step keeps its stamps through changes of the flow, whatever was sent."""
    flow = world.flow(MAP, process_step("other"))
    made = latest_version(world.context, flow).steps
    assert {(step.created_by, step.modified_by) for step in made} == {(ALICE.token_id,) * 2}
    world.clock.forward(minutes=5)
    forged = made[0].model_copy(update={"created_by": "tok_forged", "modified_by": None})
    changed = made[1].model_copy(update={"name": "Another"})
    given = FlowInput(name="Orders", steps=(forged, changed, process_step("new")))
    _, steps = replace_flow(world.context, BOB, flow.id, given, flow.revision)
    assert steps[0] == made[0]
    assert (steps[1].created_by, steps[1].created_date) == (ALICE.token_id, made[1].created_date)
    assert (steps[1].modified_by, steps[1].modified_date) == (BOB.token_id, world.clock())
    assert (steps[2].created_by, steps[2].created_date) == (BOB.token_id, world.clock())


def test_a_step_carries_the_model_of_its_action(world: World) -> None:
    """The action's settings name model and workspace; without them the step's own stay."""
    work = ProcessAction(type="Process", operations=(MapOperation(type="map", expression="$"),))
    given = ActionInput(name="same", work=work, settings={"modelId": "m1", "workspaceId": "w1"})
    action = ACTIONS.create(world.context, ALICE, given)
    flow = world.flow(
        Step(id="a", type="Process", referrer=action.id, model_id="mine"),
        process_step("b", model_id="m2"),
    )
    steps = latest_version(world.context, flow).steps
    assert [(step.model_id, step.workspace_id) for step in steps] == [("m1", "w1"), ("m2", None)]


def test_api_keys_are_kept_apart_and_open_the_endpoint(world: World) -> None:
    """Left out they stay, sent anew they are replaced, an empty list removes them."""
    flow = world.flow(MAP, endpointSecurityType="organization", organizationApiKeys=KEYS)
    assert flow.organization_api_keys_count == 2
    for key in KEYS:
        check_api_key(world.context, flow, key)
    for wrong in (None, "", KEYS[0][:-1], "\udcff"):
        with pytest.raises(UnauthenticatedError):
            check_api_key(world.context, flow, wrong)
    same = replaced(world, flow, endpointSecurityType="organization", steps=[MAP])
    assert same.secrets_version == flow.secrets_version
    again = replaced(
        world, flow, endpointSecurityType="organization", organizationApiKeys=KEYS, steps=[MAP]
    )
    assert again.revision == same.revision
    patch = {"op": "replace", "path": "/organizationApiKeys", "value": KEYS[:1]}
    one = patched(world, flow, patch)
    check_api_key(world.context, one, KEYS[0])
    with pytest.raises(UnauthenticatedError):
        check_api_key(world.context, one, KEYS[1])
    with pytest.raises(RuleViolationError, match="one rule"):
        patched(world, flow, patch | {"value": []})
    open_again = replaced(world, flow, organizationApiKeys=[])
    assert (open_again.secrets_key, world.secrets.values) == (None, {})
    check_api_key(world.context, open_again, None)


def environment(world: World, *keys: str) -> str:
    """The id of a new virtual environment with these keys."""
    given = VirtualEnvironmentInput(name="Acme", api_keys=tuple(map(SecretStr, keys)))
    return VIRTUAL_ENVIRONMENTS.create(world.context, ALICE, given).id


@pytest.mark.parametrize(
    ("customers", "problem"),
    [
        ([], "the flow has neither webhook nor callback"),
        ([()], "1 of the flow's webhooks and callbacks have none"),
        ([KEYS, None], "1 of the flow's webhooks and callbacks have none"),
        ([KEYS, KEYS[:1]], None),
    ],
)
def test_a_flow_that_requires_customers_keys_is_deployed_with_them(
    world: World, customers: list[tuple[str, ...] | None], problem: str | None
) -> None:
    """Each address is in an environment that has some; nobody could call the others."""
    flow = world.flow(MAP, endpointSecurityType="customerRequired")
    for number, keys in enumerate(customers):
        id_ = None if keys is None else environment(world, *keys)
        if number % 2:
            callback = CallbackInput(virtual_environment_id=id_)
            CALLBACKS.create(world.context, ALICE, callback, flow_id=flow.id)
        else:
            webhook = WebhookInput(virtual_environment_id=id_)
            WEBHOOKS.create(world.context, ALICE, webhook, flow_id=flow.id)
    if problem is None:
        assert world.deploy(flow).deployed_at is not None
        return
    with pytest.raises(RuleViolationError) as caught:
        world.deploy(flow)
    (told,) = caught.value.violations
    assert (told.code, told.pointer) == ("customerKeysMissing", "/endpointSecurityType")
    assert problem in told.message


@pytest.mark.parametrize(
    ("security", "keys", "given", "lets_in"),
    [
        ("unsecured", KEYS, None, True),
        ("customerOptional", KEYS, None, False),
        ("customerOptional", KEYS, KEYS[1], True),
        ("customerOptional", (), "anything", True),
        ("customerRequired", KEYS, KEYS[0], True),
        ("customerRequired", KEYS, KEYS[0] + "x", False),
        ("customerRequired", (), "", False),
    ],
)
def test_customers_keys_open_the_endpoint(
    world: World, security: str, keys: list[str], given: str | None, *, lets_in: bool
) -> None:
    """Those of the webhook's environment; without any, it depends on whether they are required."""
    flow = world.flow(MAP, endpointSecurityType=security)
    id_ = environment(world, *keys)
    place = VIRTUAL_ENVIRONMENTS.get(world.context, ALICE, id_)
    with nullcontext() if lets_in else pytest.raises(UnauthenticatedError):
        check_api_key(world.context, flow, given, place)


def test_becoming_synchronous_takes_a_machine_of_another_kind(world: World) -> None:
    """Running runs keep theirs; back again, the first machine is taken up."""
    flow = world.deployed(MAP)
    standard = latest_version(world.context, flow)
    run = world.start(flow)
    replaced(world, flow, isSynchronous=True, steps=[MAP])
    express = world.deploy(flow)
    assert world.machines.deployed[str(express.machine_arn)][1] == "EXPRESS"
    assert world.machines.deployed[str(standard.machine_arn)][1] == "STANDARD"
    assert (express.number, express.steps, express.deployed_at is not None) == (
        standard.number,
        standard.steps,
        True,
    )
    assert world.now(run).machine_arn == standard.machine_arn
    assert world.start(flow).machine_arn == express.machine_arn
    assert world.deploy(flow) == express
    replaced(world, flow, steps=[MAP])
    back = world.deploy(flow)
    assert back.machine_arns == (standard.machine_arn, express.machine_arn)


def test_a_synchronous_flow_that_would_take_too_long_stays_as_it_was(world: World) -> None:
    """The limits of EXPRESS are checked before anything is switched."""
    slow = process_step("map", timeoutSeconds=400)
    flow = world.deployed(slow)
    with pytest.raises(RuleViolationError, match="one rule"):
        replaced(world, flow, isSynchronous=True, steps=[slow])
    assert get_flow(world.context, ALICE, flow.id) == flow


class NoMachines(MemoryMachines):
    """Step Functions that makes none."""

    def deploy(self, *_: object) -> str:
        """Refuse."""
        raise ConflictError("no more machines")


def test_a_failed_change_of_kind_leaves_the_version_live(world: World) -> None:
    """The old machine goes on."""
    flow = world.deployed(MAP)
    before = latest_version(world.context, flow)
    replaced(world, flow, isSynchronous=True, steps=[MAP])
    world.machines, machines = NoMachines(), world.machines
    with pytest.raises(ConflictError, match="no more machines"):
        world.deploy(flow)
    world.machines = machines
    assert latest_version(world.context, flow) == before
    assert world.start(flow).machine_arn == before.machine_arn


def test_a_flow_with_unfinished_runs_is_not_deleted(world: World) -> None:
    """Once they are over, all that the flow owned goes with it; its actions stay."""
    flow = world.deployed(MAP, schedule="rate(1 hour)", organizationApiKeys=KEYS)
    run = world.start(flow)
    version = latest_version(world.context, flow)
    undeploy_version(world.context, ALICE, flow.id, version.id, version.revision)
    revision = get_flow(world.context, ALICE, flow.id).revision
    with pytest.raises(ConflictError, match="not over"):
        delete_flow(world.context, ALICE, flow.id, revision)
    world.step(run, "map")
    world.tell(run, "attemptSucceeded")
    delete_flow(world.context, ALICE, flow.id, revision)
    assert world.machines.deployed == {}
    assert world.secrets.values == {}
    assert world.schedules.schedules == {}


def test_an_old_run_that_is_not_over_keeps_its_flow_and_version(world: World) -> None:
    """Below many newer ones, and whatever Step Functions tells: of EXPRESS machines nothing."""
    flow = world.deployed(MAP, isSynchronous=True)
    old = world.start(flow)
    world.machines.outcomes.clear()
    for number in range(101):
        made = old.model_copy(
            update={
                "id": f"run_new_{number}",
                "created_at": NOON + timedelta(hours=1),
                "status": RunStatus.SUCCEEDED,
            }
        )
        world.runs.create(made)
        tell_flow(world.context, made)
    replaced(world, flow, steps=[process_step("new")])
    second = world.deploy(flow)
    first = get_version(world.context, ALICE, flow.id, old.version_id)
    with pytest.raises(ConflictError, match="not over"):
        delete_version(world.context, ALICE, flow.id, first.id, first.revision)
    undeploy_version(world.context, ALICE, flow.id, second.id, second.revision)
    revision = get_flow(world.context, ALICE, flow.id).revision
    with pytest.raises(ConflictError, match="not over"):
        delete_flow(world.context, ALICE, flow.id, revision)


class LateRuns(MemoryRuns):
    """A store whose index of unfinished runs is a moment behind."""

    def unfinished_of(self, workspace_id: str, flow_id: str) -> tuple[Run, ...]:
        """None of those that just began."""
        del workspace_id, flow_id
        return ()


def test_a_run_that_just_began_keeps_its_flow_and_version(world: World) -> None:
    """Though the index does not tell of it yet; a flow that missed the end of a run is deleted."""
    world.runs = LateRuns()
    flow = world.deployed(MAP)
    run = world.start(flow)
    version = latest_version(world.context, flow)
    undeploy_version(world.context, ALICE, flow.id, version.id, version.revision)
    draft = create_draft(world.context, ALICE, flow.id)
    version = get_version(world.context, ALICE, flow.id, version.id)
    with pytest.raises(ConflictError, match="not over"):
        delete_version(world.context, ALICE, flow.id, version.id, version.revision)
    delete_version(world.context, ALICE, flow.id, draft.id, draft.revision)
    revision = get_flow(world.context, ALICE, flow.id).revision
    with pytest.raises(ConflictError, match="not over"):
        delete_flow(world.context, ALICE, flow.id, revision)
    world.runs.finish(run.key, RunOutcome(status=RunStatus.SUCCEEDED), NOON)
    delete_flow(world.context, ALICE, flow.id, revision)


def test_both_machines_of_a_version_go_with_it(world: World) -> None:
    """Neither is left over when the version is deleted."""
    flow = world.deployed(MAP)
    replaced(world, flow, isSynchronous=True, steps=[MAP])
    version = world.deploy(flow)
    replaced(world, flow, steps=[process_step("new")])
    world.deploy(flow)
    version = get_version(world.context, ALICE, flow.id, version.id)
    assert len(world.machines.deployed) == 3
    delete_version(world.context, ALICE, flow.id, version.id, version.revision)
    assert len(world.machines.deployed) == 1


@pytest.mark.parametrize(
    ("operations", "enabled"),
    [
        ([{"op": "replace", "path": "/enabledAt", "value": None}], False),
        ([{"op": "remove", "path": "/enabledAt"}], False),
        ([{"op": "replace", "path": "/disabled", "value": True}], False),
        (
            [
                {"op": "replace", "path": "/disabled", "value": True},
                {"op": "test", "path": "/enabled", "value": False},
                {"op": "replace", "path": "/enabledAt", "value": "2026-01-31T12:00:00Z"},
            ],
            True,
        ),
        ([{"op": "remove", "path": "/enabled"}], True),
    ],
)
def test_the_three_names_of_enabled_are_one_truth(
    world: World, operations: list[dict[str, Json]], *, enabled: bool
) -> None:
    """Whichever a patch changes, and in whichever order."""
    assert patched(world, world.flow(), *operations).is_enabled is enabled


@pytest.mark.parametrize(
    ("fields", "enabled"),
    [
        ({}, True),
        ({"disabled": True}, False),
        ({"enabledAt": None}, False),
        ({"enabledAt": "2020-01-01T00:00:00Z", "disabled": False}, True),
    ],
)
def test_a_flow_is_enabled_in_whichever_way_it_is_said(
    world: World, fields: dict[str, Json], *, enabled: bool
) -> None:
    """The time is always ours."""
    flow, _ = create_flow(
        world.context, ALICE, FlowInput.model_validate({"name": "Orders", **fields})
    )
    assert flow.enabled_at == (world.clock() if enabled else None)


@pytest.mark.parametrize(
    "fields", [{"enabled": True, "disabled": True}, {"enabled": True, "enabledAt": None}]
)
def test_names_of_enabled_that_contradict_each_other_are_refused(fields: dict[str, Json]) -> None:
    """Rather than one of them winning without a word."""
    with pytest.raises(ValueError, match="contradict"):
        FlowInput.model_validate({"name": "Orders", **fields})


def test_only_a_source_has_a_schedule_of_its_own(world: World) -> None:
    """A step that waits for others, or does not read, cannot be started by a clock."""
    shop = world.connection()
    steps = [
        export_step("a", shop.id, schedule="rate(1 hour)"),
        export_step("b", shop.id, schedule="rate(1 hour)", depends_on=("a",)),
        process_step("c", schedule="rate(1 hour)"),
    ]
    with pytest.raises(RuleViolationError) as caught:
        world.flow(*steps)
    assert [(v.code, v.pointer) for v in caught.value.violations] == [
        ("scheduleOfNoSource", "/steps/1/schedule"),
        ("scheduleOfNoSource", "/steps/2/schedule"),
    ]


def test_a_step_says_only_how_many_requests_are_under_way(world: World) -> None:
    """What else a flow says of its runs means nothing of requests, and is refused by name."""
    most = {"limit": limits.STEP_CONCURRENCY_MAX, "onConflict": "queue"}
    more = {
        "limit": limits.STEP_CONCURRENCY_MAX + 1,
        "onConflict": "skip",
        "keyExpression": "customer",
    }
    shop = world.connection()
    steps = [
        import_step(id_, shop.id, concurrency=Concurrency.model_validate(given))
        for id_, given in {"a": most, "b": more}.items()
    ]
    with pytest.raises(RuleViolationError) as caught:
        world.flow(*steps)
    assert [(v.code, v.pointer) for v in caught.value.violations] == [
        ("stepConcurrencyTooHigh", "/steps/1/concurrency/limit"),
        ("stepConcurrencyConflict", "/steps/1/concurrency/onConflict"),
        ("stepConcurrencyKey", "/steps/1/concurrency/keyExpression"),
    ]


def test_a_draft_that_cannot_run_yet_leaves_the_old_version_live(world: World) -> None:
    """Who holds a caller cannot wait for another flow; skipped, that step is in nobody's way."""
    other, flow = world.flow(MAP), world.deployed(MAP, is_synchronous=True)
    sub = Step(id="sub", type="Flow", flow_id=other.id, depends_on=("map",))
    world.change(flow, MAP, sub, is_synchronous=True)
    with pytest.raises(RuleViolationError) as caught:
        world.deploy(flow)
    found = [(each.code, each.pointer) for each in caught.value.violations]
    assert found == [("subflowOfSynchronousFlow", "/steps/1/type")]
    now = get_flow(world.context, ALICE, flow.id)
    assert now.deployed_version_id == flow.deployed_version_id
    world.change(flow, MAP, sub.model_copy(update={"is_skipped": True}), is_synchronous=True)
    version = latest_version(world.context, now)
    deploy_version(world.context, ALICE, flow.id, version.id, version.revision)


def test_an_older_version_that_would_close_a_circle_is_not_deployed(world: World) -> None:
    """When it was saved there was no way back; so a deployment looks again."""
    other, flow = world.flow(MAP), world.deployed(MAP)
    world.change(flow, MAP, Step(id="sub", type="Flow", flow_id=other.id))
    world.deploy(flow)
    id_ = get_flow(world.context, ALICE, flow.id).deployed_version_id or ""
    world.change(flow, MAP)
    world.deploy(flow)
    older = get_version(world.context, ALICE, flow.id, id_)
    world.change(other, MAP, Step(id="back", type="Flow", flow_id=flow.id))
    with pytest.raises(RuleViolationError) as caught:
        deploy_version(world.context, ALICE, flow.id, older.id, older.revision)
    found = [(each.code, each.pointer) for each in caught.value.violations]
    assert found == [("flowCircle", "/steps/1/flowId")]


def test_a_version_that_waits_for_a_flow_that_is_gone_is_not_deployed(world: World) -> None:
    """Flows that are in use may be deleted."""
    other, flow = world.flow(MAP), world.flow(MAP)
    world.change(flow, MAP, Step(id="sub", type="Flow", flow_id=other.id))
    delete_flow(world.context, ALICE, other.id, other.revision)
    with pytest.raises(RuleViolationError) as caught:
        world.deploy(flow)
    found = [(each.code, each.pointer) for each in caught.value.violations]
    assert found == [("unknownFlow", "/steps/1/flowId")]
