"""What the operations of a process get of the step, the run and the workspace that they are in."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from millrace.domain.action import ProcessAction
from millrace.domain.data_pool import DataPool
from millrace.domain.errors import NotFoundError
from millrace.domain.operations import EnrichOperation, data_pools_of
from millrace.domain.ports import Ref, Runs, Surroundings
from millrace.domain.run import Run, RunKey
from millrace.domain.step import Step
from millrace.usecases.context import Context
from millrace.usecases.run_values import DeltaValues, values_beside_records
from millrace.usecases.work_rules import expressions_of


def surroundings_of(
    context: Context, run: Run, step: Step, work: ProcessAction, delta: DeltaValues
) -> Surroundings:
    """What a step's operations get. Raises StepFailed if a variable may not be in records."""
    names = [
        f"$variables.{operation.variable}"
        for operation in work.operations
        if isinstance(operation, EnrichOperation) and operation.variable is not None
    ]
    return Surroundings(
        workspace_id=run.workspace_id,
        run_id=run.id,
        attempt=run.attempt,
        step_id=step.id,
        pools=_pools(context, run, {id_ for _, id_ in data_pools_of(work.operations)}),
        values=values_beside_records(context, run, [*expressions_of(work), *names], delta),
        entries=context.pool_entries,
        functions=context.functions,
        clock=context.clock,
        first_run=_FirstRuns(context.runs, run),
    )


def _pools(context: Context, run: Run, ids: Iterable[str]) -> dict[str, DataPool]:
    """By the ids that operations name; what takes the place of another is under that one's."""
    refs = {id_: Ref(DataPool, run.data_pools.get(id_, id_)) for id_ in ids}
    if not refs:
        return {}
    found = context.resources.get_many(run.workspace_id, refs.values())
    return {id_: pool for id_, ref in refs.items() if (pool := found.get(ref)) is not None}


@dataclass(slots=True)
class _FirstRuns:
    """Finds the run that a run repeats, and that one perhaps another."""

    runs: Runs
    run: Run
    _known: dict[str, str] = field(default_factory=dict)

    def __call__(self, run_id: str) -> str:
        if run_id not in self._known:
            self._known[run_id] = self._first(run_id)
        return self._known[run_id]

    def _first(self, run_id: str) -> str:
        while True:
            try:
                run = self.run
                if run_id != run.id:
                    run = self.runs.get(RunKey(self.run.workspace_id, run_id))
            except NotFoundError:
                return run_id
            if run.retry_of is None:
                return run_id
            run_id = run.retry_of
