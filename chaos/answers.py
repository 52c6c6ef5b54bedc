"""What callers of a callback were told, beside what became of the runs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from chaos.plans import Plan

from millrace.domain.ports import Blobs, Runs
from millrace.domain.run import Run, RunStatus
from millrace.usecases.pages import read_records

_DONE: Final = {RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED}
_STATUSES: Final = {
    (200, None): _DONE,
    (502, "runFailed"): {RunStatus.FAILED},
    (409, "runCancelled"): {RunStatus.CANCELLED},
    (409, "runSuperseded"): {RunStatus.SUPERSEDED},
}
_ACCEPTED: Final = 202


@dataclass(frozen=True)
class Told:
    """An answer that names a run."""

    status: int
    run_id: str
    body: Any

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "Told | None":
        """None for a refusal: whoever called may call again."""
        run_id = answer["headers"].get("Millrace-Run-Id")
        return None if run_id is None else cls(answer["statusCode"], run_id, answer["body"])

    def disagreements(self, plan: Plan, runs: Runs, blobs: Blobs, run: Run) -> Iterator[str]:
        """What it says that is not so."""
        if self.status == _ACCEPTED:
            return
        body = json.loads(self.body)
        code = body["code"] if isinstance(body, dict) else None
        if run.status not in _STATUSES.get((self.status, code), ()):
            yield f"run {run.id} is {run.status}, and its caller was told {self.status} {code}"
        elif run.status in _DONE and (wanted := _handed_on(plan, runs, blobs, run)) != body:
            yield f"run {run.id} hands on {wanted}, and its caller was told {body}"


def _handed_on(plan: Plan, runs: Runs, blobs: Blobs, run: Run) -> list[Any]:
    """The records of the run's last steps."""
    asked_for = {id_ for step in plan.steps for id_ in step["dependsOn"]}
    records = {record.step_id: record for record in runs.steps(run.key, run.attempt)}
    last = [step["id"] for step in plan.steps if step["id"] not in asked_for]
    ends = [records[id_] for id_ in last if id_ in records and records[id_].status.has_output]
    pages = (page for end in ends for page in read_records(blobs, end.output))
    return [record for page in pages for record in page]
