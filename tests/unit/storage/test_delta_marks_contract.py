"""How far exports have read moves the same way in every store, whoever else writes it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from tests.support.samples import ALICE, MALLORY, run
from tests.support.time_and_ids import NOON
from tests.support.world import World

from millrace.domain.delta import DeltaWindow
from millrace.domain.ports import Change, Resources, Runs
from millrace.domain.run import RunOutcome, RunStatus
from millrace.usecases.context import Context
from millrace.usecases.delta_marks import move_marks, read_marks
from millrace.usecases.lifecycle import on_execution_end


@pytest.fixture
def context(resources: Resources, runs: Runs) -> Context:
    """A world over the stores under test."""
    return replace(World().context, resources=resources, runs=runs)


def window(end: datetime) -> DeltaWindow:
    """What an export reads that begins then."""
    return DeltaWindow(start=NOON, end=end, format="rfc3339", began_at=end)


def ends(context: Context) -> dict[str, datetime | None]:
    """How far the flow's exports have read."""
    marks = read_marks(context, ALICE.workspace_id, "flow_1", None)
    return {step_id: mark.last_export_date_time for step_id, mark in marks.items()}


def test_what_a_run_read_is_kept_with_its_end(context: Context, runs: Runs) -> None:
    """So whoever hears of the end can move the marks, once or twice, whatever came before."""
    first = run()
    runs.create(first)
    read = {"a": window(NOON), "b": window(NOON + timedelta(seconds=1))}
    outcome = RunOutcome(status=RunStatus.SUCCEEDED, delta=read)
    assert runs.finish(first.key, outcome, NOON).delta == read
    assert ends(context) == {}
    for _ in range(2):
        on_execution_end(context, first.key, "SUCCEEDED")
    assert ends(context) == {"a": NOON, "b": NOON + timedelta(seconds=1)}


def test_marks_only_move_on(context: Context) -> None:
    """Each export's on its own; nobody else's move with them."""
    late = NOON + timedelta(hours=1)
    move_marks(context, run("run_1", delta={"a": window(late)}))
    move_marks(context, run("run_2", delta={"a": window(NOON), "b": window(NOON)}))
    move_marks(context, run("run_3", delta={}))
    assert ends(context) == {"a": late, "b": NOON}
    for theirs in ((MALLORY.workspace_id, "flow_1"), (ALICE.workspace_id, "flow_2")):
        assert read_marks(context, *theirs, None) == {}
    assert read_marks(context, ALICE.workspace_id, "flow_1", "venv_1") == {}


class Crowded:
    """A store to which somebody else writes just before its first write."""

    def __init__(self, resources: Resources, rival: Callable[[], None]) -> None:
        self._resources = resources
        self._rivals = [rival]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._resources, name)

    def commit(self, *changes: Change) -> None:
        """Let the other one write, then write."""
        if self._rivals:
            self._rivals.pop()()
        self._resources.commit(*changes)


@pytest.mark.parametrize("is_first", [True, False], ids=["first marks", "later ones"])
def test_runs_that_end_at_once_all_count(context: Context, *, is_first: bool) -> None:
    """The mark is that of the latest, and each export has one."""
    if not is_first:
        move_marks(context, run("run_0", delta={"a": window(NOON)}))
    late = NOON + timedelta(hours=1)
    one = run("run_1", delta={"a": window(NOON + timedelta(minutes=1)), "b": window(late)})
    other = run("run_2", delta={"a": window(late), "c": window(NOON)})
    crowded = Crowded(context.resources, lambda: move_marks(context, other))
    move_marks(replace(context, resources=cast("Resources", crowded)), one)
    assert ends(context) == {"a": late, "b": late, "c": NOON}
