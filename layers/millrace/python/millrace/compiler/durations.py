"""Guesses how long steps take, for the planner to weigh its choices with."""

import math
from collections.abc import Mapping

from millrace.compiler.graph import Graph
from millrace.compiler.model import StepType

# What a step takes when nothing has run yet: calls outside dominate, sub-flows hold several.
PRIOR_SECONDS: Mapping[StepType, float] = {
    "Export": 20.0,
    "Process": 5.0,
    "Import": 20.0,
    "Flow": 60.0,
}
_LONGEST = 31_622_400.0


def estimate(graph: Graph, known: Mapping[str, float]) -> list[float]:
    """Seconds for each step of the graph: as known from its last runs, else by its type.

    A known value that is no positive finite number counts as not known.
    """
    return [
        min(known[step.id], _LONGEST) if _usable(known.get(step.id)) else PRIOR_SECONDS[step.type]
        for step in graph.steps
    ]


def _usable(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0
