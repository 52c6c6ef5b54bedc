"""Routers: branches that records take, turned into steps with filters.

Each branch begins with a step that lets its records in. Of a router that sends a record to the
first branch that matches, these steps are an exclusive group; of one that sends it to all, each
judges for itself.
"""

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from pydantic import Field, StrictBool

from millrace.domain.action import ProcessAction
from millrace.domain.base import Description, Json, Model, Name
from millrace.domain.errors import Violation
from millrace.domain.flow_parts import ResponseMapping
from millrace.domain.operations import FilterOperation, MapOperation
from millrace.domain.router_filters import to_expression
from millrace.domain.step import Step, StepId


class InputFilter(Model):
    """Which records a branch takes."""

    version: Literal["1"] = "1"
    rules: Json = None


class PageProcessor(Model):
    """A step of a branch: a lookup (`export`) or a write (`import`)."""

    type: Literal["export", "import"]
    export_id: str | None = Field(default=None, alias="_exportId")
    import_id: str | None = Field(default=None, alias="_importId")
    proceed_on_failure: StrictBool = False
    response_mapping: ResponseMapping | None = None
    setup_in_progress: StrictBool = False

    @property
    def action_id(self) -> str | None:
        """The action that it runs."""
        return self.export_id if self.type == "export" else self.import_id


class Branch(Model):
    """A way that records take; without processors and a next router they end here."""

    name: Name
    description: Description | None = None
    input_filter: InputFilter | None = None
    page_processors: tuple[PageProcessor, ...] = ()
    next_router_id: str | None = None

    @property
    def rules(self) -> Json:
        """What a record must match; nothing: any record does."""
        return None if self.input_filter is None else self.input_filter.rules


class Router(Model):
    """A fork: which branches a record takes."""

    id: StepId
    name: Name | None = None
    route_records_to: Literal["first_matching_branch", "all_matching_branches"] = (
        "first_matching_branch"
    )
    route_records_using: Literal["input_filters"] = "input_filters"
    branches: tuple[Branch, ...] = Field(min_length=1)


def check_routers(routers: Sequence[Router]) -> Iterator[Violation]:
    """All that keeps routers from being turned into steps; pointers start at the list of them."""
    place = {router.id: number for number, router in reversed([*enumerate(routers)])}
    for number, router in enumerate(routers):
        if place[router.id] != number:
            yield Violation(
                "routerTwice",
                f"/{number}/id",
                f"The router id {router.id!r} is used twice.",
                "Give each router an id of its own.",
            )
        for position, branch in enumerate(router.branches):
            pointer = f"/{number}/branches/{position}"
            yield from _check_branch(branch, pointer)
            following = branch.next_router_id
            if following is not None and following not in place:
                yield Violation(
                    "unknownRouter",
                    f"{pointer}/nextRouterId",
                    f"No router has the id {following!r}.",
                    "Name the id of a router of this flow.",
                )
    try:
        _in_order(routers)
    except CycleError as error:
        yield Violation(
            "routerCircle",
            "",
            f"These routers lead to each other: {' -> '.join(map(repr, error.args[1]))}.",
            "Let one of their branches end.",
        )


def _in_order(routers: Sequence[Router]) -> list[Router]:
    """The routers so that none comes before one that leads to it. Raises CycleError."""
    by_id = {router.id: router for router in routers}
    sorter = TopologicalSorter[str](dict.fromkeys(by_id, ()))
    for router in routers:
        for branch in router.branches:
            if branch.next_router_id is not None:
                sorter.add(branch.next_router_id, router.id)
    return [by_id[id_] for id_ in sorter.static_order() if id_ in by_id]


def _check_branch(branch: Branch, pointer: str) -> Iterator[Violation]:
    try:
        to_expression(branch.rules)
    except ValueError as error:
        yield Violation("badFilter", f"{pointer}/inputFilter/rules", str(error), "Correct it.")
    for number, processor in enumerate(branch.page_processors):
        if processor.action_id is None:
            yield Violation(
                "actionMissing",
                f"{pointer}/pageProcessors/{number}",
                f"A processor of type {processor.type} needs _{processor.type}Id.",
                "Name what it runs.",
            )


def steps_of(routers: Sequence[Router], sources: Sequence[str]) -> tuple[Step, ...]:
    """Routers that passed `check_routers` as steps; the first one reads what the sources hand on.

    A router that no branch leads to, other than the first, gets no records and no steps.
    """
    feeders: dict[str, list[str]] = {router.id: [] for router in routers}
    if routers:
        feeders[routers[0].id] += sources
    steps: list[Step] = []
    for router in _in_order(routers):
        if router is not routers[0] and not feeders[router.id]:
            continue
        for position, branch in enumerate(router.branches):
            made = tuple(_branch_steps(router, position, tuple(feeders[router.id])))
            steps += made
            if branch.next_router_id is not None:
                feeders[branch.next_router_id].append(made[-1].id)
    return tuple(steps)


def _branch_steps(router: Router, position: int, after: tuple[str, ...]) -> Iterator[Step]:
    branch = router.branches[position]
    stem = f"{router.id}.{position + 1}"
    ends = not branch.page_processors and branch.next_router_id is None
    yield Step(
        id=stem,
        name=branch.name,
        type="Process",
        action=ProcessAction(type="Process", operations=(_DROP if ends else _HAND_ON,)),
        depends_on=after,
        filter=None if branch.rules is None else to_expression(branch.rules),
        exclusive_group=router.id if router.route_records_to == "first_matching_branch" else None,
    )
    before = stem
    for number, processor in enumerate(branch.page_processors, start=1):
        id_ = f"{stem}.{number}"
        yield Step(
            id=id_,
            type="Export" if processor.type == "export" else "Import",
            referrer=processor.action_id,
            depends_on=(before,),
            is_skipped=processor.setup_in_progress,
            proceed_on_failure=processor.proceed_on_failure,
            response_mapping=processor.response_mapping,
        )
        before = id_


_HAND_ON = MapOperation(type="map", expression="$")
_DROP = FilterOperation(type="filter", expression="false")
