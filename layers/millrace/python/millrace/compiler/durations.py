"""Guesses how long steps take, and how wrong that may be, for the planner to weigh its choices.

A plan that is best for one exact set of durations can be bad for slightly different ones, so it is
judged on `LANES` scenarios. They are Latin-hypercube samples (each step takes every quantile of its
distribution exactly once) from a fixed seed: the same flow has the same scenarios.
"""

import math
import random
from collections.abc import Mapping
from functools import cache
from statistics import NormalDist

from millrace.compiler.graph import Graph, bits
from millrace.compiler.lanes import LANES, LONGEST, longer, pack, unpack
from millrace.compiler.model import StepType

# What a step takes when nothing has run yet: calls outside dominate, sub-flows hold several.
PRIOR_SECONDS: Mapping[StepType, float] = {
    "Export": 20.0,
    "Process": 5.0,
    "Import": 20.0,
    "Flow": 60.0,
}
_SHORTEST, _LONGEST = 0.001, 31_622_400.0
# Standard deviation of a duration's logarithm: without history a step may well take a third or
# three times its prior; the mean of past runs is right within about 40 %, and in most scenarios
# it is taken as exact.
_SIGMA_UNKNOWN = 1.0
_SIGMA_KNOWN = 0.4
_EXACT_LANES = LANES * 5 // 8


def estimate(graph: Graph, known: Mapping[str, float]) -> list[float]:
    """Seconds for each step of the graph: as known from its last runs, else by its type.

    A known value that is negative or not finite counts as not known.
    """
    return [
        min(max(known[step.id], _SHORTEST), _LONGEST)
        if _is_known(step.id, known)
        else PRIOR_SECONDS[step.type]
        for step in graph.steps
    ]


def scenarios(graph: Graph, known: Mapping[str, float]) -> list[int]:
    """The packed durations of each step, scaled so that each scenario has the same critical path.

    The scale makes a plan's total over the lanes its mean ratio to the critical path.
    """
    seconds = estimate(graph, known)
    raw = [
        [value * factor for factor in _factors(index, known=_is_known(step.id, known))]
        for index, (step, value) in enumerate(zip(graph.steps, seconds, strict=True))
    ]
    sums = [*map(sum, zip(*raw, strict=True))]
    most = LONGEST - len(raw)  # rounding may lengthen each step by one
    spans = unpack(critical_paths(graph, _packed(raw, [most / max(sums)] * LANES)))
    scale = most / max(spent / span for spent, span in zip(sums, spans, strict=True))
    return _packed(raw, [scale / span for span in spans])


def critical_paths(graph: Graph, packed: list[int]) -> int:
    """The critical path of each scenario, packed."""
    ends: list[int] = []
    longest = 0
    for step, mask in enumerate(graph.waits_for):
        start = 0
        for earlier in bits(mask):
            start = longer(start, ends[earlier])
        ends.append(start + packed[step])
        longest = longer(longest, ends[step])
    return longest


def all_known(graph: Graph, known: Mapping[str, float]) -> bool:
    """Whether no step's duration rests on its prior."""
    return all(_is_known(step.id, known) for step in graph.steps)


def _is_known(step_id: str, known: Mapping[str, float]) -> bool:
    value = known.get(step_id)
    return value is not None and math.isfinite(value) and value >= 0


@cache
def _factors(index: int, *, known: bool) -> list[float]:
    """What each scenario multiplies the estimate of the step at this index with."""
    quantiles = [*_quantiles(known=known)]
    random.Random(index).shuffle(quantiles)  # noqa: S311  sampling, not cryptography
    return [1.0] * (LANES - len(quantiles)) + quantiles


@cache
def _quantiles(*, known: bool) -> tuple[float, ...]:
    """Equally likely factors between an estimate and what a step takes."""
    uncertain = LANES - _EXACT_LANES if known else LANES
    sigma = _SIGMA_KNOWN if known else _SIGMA_UNKNOWN
    normal = NormalDist()
    return tuple(
        math.exp(sigma * normal.inv_cdf((lane + 0.5) / uncertain)) for lane in range(uncertain)
    )


def _packed(raw: list[list[float]], scale: list[float]) -> list[int]:
    """Scaled and rounded, but never to nothing."""
    return [
        pack([int(value * by + 0.5) or 1 for value, by in zip(row, scale, strict=True)])
        for row in raw
    ]
