"""Says in words and numbers why a machine looks as it does, for `millrace compile --explain`."""

from collections.abc import Iterator

from millrace.compiler.measure import barrier_seconds, makespan
from millrace.compiler.pipeline import Compiled
from millrace.compiler.plan import Fork, Leaf, Plan


def explain(compiled: Compiled) -> str:
    """The plan as a tree with each barrier and its cost, the critical path and the makespan."""
    critical = sum(compiled.seconds[step] for step in compiled.critical_path)
    names = " -> ".join(compiled.graph.steps[step].label for step in compiled.critical_path)
    span = compiled.makespan_seconds
    size = len(compiled.asl.encode())
    lines = [
        f"{compiled.type} machine, {len(compiled.graph.steps)} steps, {size:,} bytes",
        "",
        *_tree(compiled, compiled.plan, ""),
        "",
        f"Critical path       {critical:.1f} s: {names}",
        f"Estimated makespan  {span:.1f} s, {span / critical:.3f} times the critical path",
    ]
    return "\n".join(lines)


def _tree(compiled: Compiled, plan: Plan, indent: str) -> Iterator[str]:
    span = f"{makespan(plan, compiled.seconds):.1f} s"
    if isinstance(plan, Leaf):
        yield f"{indent}{compiled.graph.steps[plan.step].label} ({span})"
        return
    inner = indent + "  "
    if isinstance(plan, Fork):
        yield f"{indent}at the same time ({span})"
        for part in plan.parts:
            yield from _tree(compiled, part, inner)
        return
    yield f"{indent}one after the other ({span})"
    for position, part in enumerate(plan.parts):
        if position in plan.barriers:
            before = plan.parts[position - 1]
            cost = barrier_seconds(compiled.graph, compiled.seconds, before, part)
            yield f"{inner}-- barrier, costs {cost:.1f} s --"
        yield from _tree(compiled, part, inner)
