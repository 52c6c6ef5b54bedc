"""Flows and their versions keep what holds of them, in whatever order they are worked on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from tests.support.samples import ALICE, MALLORY, process_step
from tests.support.world import World

from millrace.domain.errors import DomainError
from millrace.domain.flow import Flow, FlowInput, LatestSteps, Version
from millrace.domain.patch import Patch
from millrace.domain.step import Step
from millrace.usecases.deploy import deploy_version, undeploy_version
from millrace.usecases.flow_changes import create_flow, delete_flow, replace_flow
from millrace.usecases.flows import get_flow, get_version
from millrace.usecases.patch import patch_flow
from millrace.usecases.versions import create_draft, delete_version, roll_back

STEPS = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(1, 5),
        "isSynchronous": st.booleans(),
        "retryMaxAttempts": st.integers(0, 2),  # refused with isSynchronous
        "schedule": st.sampled_from(["rate(1 hour)", "? 0 2 ? * *"]),
        "disabled": st.booleans(),
        "labels": st.just(["lbl_missing"]),
        "organizationApiKeys": st.sampled_from([[], ["k3y-of-sixteen-or-more"]]),
    },
)
PATCHES = st.sampled_from(
    [
        [{"op": "replace", "path": "/name", "value": "Invoices"}],
        [{"op": "replace", "path": "/disabled", "value": True}],
        [{"op": "replace", "path": "/steps/0/name", "value": "First"}],
        [{"op": "replace", "path": "/isSynchronous", "value": True}],
        [
            {"op": "replace", "path": "/priority", "value": 1},
            {"op": "test", "path": "/name", "value": "nobody's"},
        ],
        [{"op": "replace", "path": "/stepsCount", "value": 9}],
    ]
)


def steps_of(names: list[str]) -> tuple[Step, ...]:
    """A step for each name, one after the other."""
    before = ["", *names]
    return tuple(
        process_step(name, depends_on=(last,) if last else ())
        for last, name in zip(before, names, strict=False)
    )


class FlowLives(RuleBasedStateMachine):
    """Clients who create, change, deploy and delete flows, and now and then do it wrong."""

    flows: Bundle[str] = Bundle("flows")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.revisions: dict[str, int] = {}
        self.frozen: dict[str, tuple[Step, ...]] = {}

    @property
    def stored(self) -> dict[tuple[str, str], Any]:
        """Every resource as it is."""
        return dict(self.world.resources._items)

    @contextmanager
    def tried(self) -> Iterator[None]:
        """A request that either succeeds or changes nothing at all."""
        resources, secrets = self.stored, dict(self.world.secrets.values)
        try:
            yield
        except DomainError:
            assert self.stored == resources
            assert self.world.secrets.values == secrets

    def now(self, flow_id: str) -> Flow:
        """The flow as it is stored."""
        return get_flow(self.world.context, ALICE, flow_id)

    def versions(self, flow_id: str) -> tuple[Version, ...]:
        """The flow's versions, oldest first."""
        page = self.world.resources.page(Version, ALICE.workspace_id, parent_id=flow_id)
        return page.items

    def chosen(self, flow_id: str, place: int) -> Version:
        """One of the flow's versions."""
        versions = self.versions(flow_id)
        return versions[place % len(versions)]

    @rule(target=flows, names=STEPS)
    def create(self, names: list[str]) -> str:
        """A new flow."""
        given = FlowInput(name="Orders", steps=steps_of(names))
        return create_flow(self.world.context, ALICE, given)[0].id

    @rule(flow_id=flows, names=STEPS, fields=FIELDS)
    def replace(self, flow_id: str, names: list[str], fields: dict[str, Any]) -> None:
        """The flow sent whole."""
        given = FlowInput.model_validate({"name": "Orders", "steps": steps_of(names), **fields})
        with self.tried():
            replace_flow(self.world.context, ALICE, flow_id, given, self.now(flow_id).revision)

    @rule(flow_id=flows, patch=PATCHES)
    def patch(self, flow_id: str, patch: list[dict[str, Any]]) -> None:
        """A patch, good or bad."""
        operations = Patch.model_validate(patch).root
        with self.tried():
            patch_flow(self.world.context, ALICE, flow_id, operations, self.now(flow_id).revision)

    @rule(flow_id=flows, place=st.integers(0, 9))
    def draft(self, flow_id: str, place: int) -> None:
        """A new draft, or a copy of a version."""
        with self.tried():
            create_draft(self.world.context, ALICE, flow_id, self.chosen(flow_id, place).id)

    @rule(
        flow_id=flows,
        place=st.integers(0, 9),
        act=st.sampled_from([deploy_version, undeploy_version, delete_version]),
        late=st.booleans(),
    )
    def version(self, flow_id: str, place: int, act: Callable[..., object], *, late: bool) -> None:
        """A version deployed, undeployed or deleted, perhaps over a revision of yesterday."""
        version = self.chosen(flow_id, place)
        with self.tried():
            act(self.world.context, ALICE, flow_id, version.id, version.revision - late)

    @rule(flow_id=flows, place=st.integers(0, 9))
    def back(self, flow_id: str, place: int) -> None:
        """An older version live again."""
        with self.tried():
            roll_back(self.world.context, ALICE, flow_id, self.chosen(flow_id, place).id)

    @rule(flow_id=flows)
    def meddle(self, flow_id: str) -> None:
        """Another workspace finds nothing."""
        before = self.stored
        with self.tried():
            delete_flow(self.world.context, MALLORY, flow_id, 1)
        assert self.stored == before

    @rule(target=flows, flow_id=consumes(flows))
    def delete(self, flow_id: str) -> str:
        """The flow goes with all that is its own, or stays whole; another takes its place."""
        flow = self.now(flow_id)
        with self.tried():
            delete_flow(self.world.context, ALICE, flow_id, flow.revision)
        if flow in self.world.resources.page(Flow, ALICE.workspace_id).items:
            return flow_id
        del self.revisions[flow_id]
        assert self.versions(flow_id) == ()
        assert not any(name.startswith(flow_id) for name in self.world.machines.deployed)
        assert flow.secrets_key not in self.world.secrets.values
        return create_flow(self.world.context, ALICE, FlowInput(name="Another"))[0].id

    @invariant()
    def versions_are_as_the_flow_says(self) -> None:
        """At most one draft, at most one deployed; numbers once; the latest's steps beside it."""
        for flow in self.world.resources.page(Flow, ALICE.workspace_id).items:
            versions = self.versions(flow.id)
            by_state = {
                state: [each.id for each in versions if each.state == state]
                for state in ("draft", "deployed")
            }
            assert by_state["draft"] == [each for each in [flow.draft_version_id] if each]
            assert by_state["deployed"] == [each for each in [flow.deployed_version_id] if each]
            numbers = [each.number for each in versions]
            assert sorted(set(numbers)) == numbers
            assert (flow.latest_version_id, flow.versions_count) == (versions[-1].id, len(versions))
            beside = self.world.resources.get(LatestSteps, ALICE.workspace_id, flow.id)
            assert beside.steps == versions[-1].steps
            assert flow.steps_count == len(versions[-1].steps)

    @invariant()
    def what_was_deployed_does_not_change(self) -> None:
        """Its steps are for ever those that it was deployed with, and its machine is there."""
        for flow in self.world.resources.page(Flow, ALICE.workspace_id).items:
            for version in self.versions(flow.id):
                if version.frozen:
                    assert self.frozen.setdefault(version.id, version.steps) == version.steps
                    assert {*version.machine_arns} <= self.world.machines.deployed.keys()

    @invariant()
    def revisions_grow(self) -> None:
        """A flow's revision never goes back."""
        for flow in self.world.resources.page(Flow, ALICE.workspace_id).items:
            assert flow.revision >= self.revisions.get(flow.id, 1)
            self.revisions[flow.id] = flow.revision

    @invariant()
    def a_schedule_is_that_of_a_live_flow(self) -> None:
        """Nothing that is not enabled and deployed has a clock of its own by a deployment."""
        for flow_id in self.world.schedules.schedules:
            flow = self.now(flow_id)
            assert get_version(
                self.world.context, ALICE, flow_id, str(flow.deployed_version_id)
            ).deployed_at


FlowLives.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestFlowLives = FlowLives.TestCase
