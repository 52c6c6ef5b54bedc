"""Runs the stages in order: the one way from a flow to a machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from millrace.compiler.durations import all_known, estimate, scenarios
from millrace.compiler.emit import emit
from millrace.compiler.graph import Graph, build_graph
from millrace.compiler.measure import critical_path, makespan
from millrace.compiler.model import CompileError, Definition, MachineType
from millrace.compiler.plan import Plan, make_plan
from millrace.compiler.rules import check
from millrace.compiler.states import Machine
from millrace.compiler.validate import validate_asl
from millrace.targets import Targets


@dataclass(frozen=True, slots=True)
class Compiled:
    """A machine, and how it came about.

    `asl` is the definition as text, the same bytes for the same flow; `definition` is it decoded.
    The plan and the critical path name steps by their index in `graph`; times rest on `seconds`,
    the estimate for each of them.
    """

    asl: str
    definition: Machine
    type: MachineType
    plan: Plan
    graph: Graph
    seconds: tuple[float, ...]
    critical_path: tuple[int, ...]
    makespan_seconds: float


def compile_flow(
    definition: Definition,
    targets: Targets | None = None,
    durations: Mapping[str, float] | None = None,
) -> Compiled:
    """Compile any acyclic flow into one state machine, or raise CompileError with all findings.

    `durations` maps step ids to seconds as seen in past runs; it never changes what is correct,
    only which of several correct plans is taken.
    """
    findings = check(definition)
    if findings:
        raise CompileError(findings)
    graph = build_graph(definition.steps)
    known = durations or {}
    seconds = estimate(graph, known)
    plan = make_plan(graph, scenarios(graph, known), durations_known=all_known(graph, known))
    machine = emit(definition, graph, plan, targets or Targets())
    asl = json.dumps(machine, ensure_ascii=False, separators=(",", ":"))
    machine_type: MachineType = "EXPRESS" if definition.is_synchronous else "STANDARD"
    findings = validate_asl(cast("Mapping[str, object]", machine), machine_type, text=asl)
    if findings:
        raise CompileError(findings)
    return Compiled(
        asl=asl,
        definition=machine,
        type=machine_type,
        plan=plan,
        graph=graph,
        seconds=tuple(seconds),
        critical_path=critical_path(graph, seconds, graph.everything),
        makespan_seconds=makespan(plan, seconds),
    )
