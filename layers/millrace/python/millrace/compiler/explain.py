"""Says in words and numbers why a machine looks as it does, for `millrace compile --explain`."""

from collections.abc import Iterator

from millrace.compiler.pipeline import Compiled, makespan
from millrace.compiler.plan import Fork, Leaf, Plan


def explain(compiled: Compiled) -> str:
    """The plan as a tree with each barrier and its cost, the critical path and the makespan."""
    steps, seconds = compiled.graph.steps, list(compiled.seconds)
    critical = compiled.critical_seconds
    share = compiled.makespan_seconds / critical if critical else 1.0
    names = " -> ".join(steps[index].label for index in compiled.critical_path)
    lines = [
        f"{compiled.type} machine, {len(steps)} steps, {len(compiled.asl.encode()):,} bytes",
        "",
        *_tree(compiled, compiled.plan, seconds, ""),
        "",
        f"Critical path       {critical:.1f} s: {names}",
        f"Estimated makespan  {compiled.makespan_seconds:.1f} s ({share:.3f} times as long)",
    ]
    return "\n".join(lines)


def _tree(compiled: Compiled, plan: Plan, seconds: list[float], indent: str) -> Iterator[str]:
    span = f"{makespan(plan, seconds):.1f} s"
    if isinstance(plan, Leaf):
        yield f"{indent}{compiled.graph.steps[plan.step].label} ({span})"
        return
    if isinstance(plan, Fork):
        yield f"{indent}at the same time ({span})"
        for part in plan.parts:
            yield from _tree(compiled, part, seconds, indent + "  ")
        return
    yield f"{indent}in order ({span})"
    for part, barrier in zip(plan.parts, (*plan.barriers, None), strict=True):
        yield from _tree(compiled, part, seconds, indent + "  ")
        if barrier is not None:
            yield f"{indent}  ---- barrier, costs {barrier:.1f} s ----"
