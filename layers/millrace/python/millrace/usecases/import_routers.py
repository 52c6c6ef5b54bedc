"""Routers of an imported flow, in the shape that another vendor has for them, become its steps."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pydantic import Field

from millrace import limits
from millrace.domain.errors import Violation
from millrace.domain.flow_document import ExportedFlow
from millrace.domain.routers import Router, check_routers, steps_of
from millrace.usecases.resources import fields_of, refuse

_STEP: Final = re.compile(r"/flow/steps/(\d+)(?=/|$)")


class ImportedFlow(ExportedFlow):
    """A flow to import; routers stand for steps after its exports."""

    routers: tuple[Router, ...] = Field(
        default=(),
        max_length=limits.STEPS_PER_VERSION,
        description="Celigo's routers: the first takes what the exports without `dependsOn` hand "
        "on. They become steps; exports never show them.",
    )


def routed(flow: ImportedFlow) -> ExportedFlow:
    """The flow with the steps that its routers stand for.

    Raises RuleViolationError with pointers into the request.
    """
    faults = check_routers(flow.routers)
    refuse(replace(fault, pointer=f"/flow/routers{fault.pointer}") for fault in faults)
    sources = [step.id for step in flow.steps if step.type == "Export" and not step.depends_on]
    fields = fields_of(flow, ExportedFlow)
    fields["steps"] = (*flow.steps, *steps_of(flow.routers, sources))
    return ExportedFlow(**fields)


def placed(flow: ImportedFlow | None, faults: Iterable[Violation]) -> list[Violation]:
    """The faults of a flow, where those of steps that routers became point to the routers."""
    given = 0 if flow is None else len(flow.steps)

    def place(fault: Violation) -> Violation:
        step = _STEP.match(fault.pointer)
        if flow is None or not flow.routers or step is None or int(step[1]) < given:
            return fault
        return replace(fault, pointer="/flow/routers")

    return [place(fault) for fault in faults]
