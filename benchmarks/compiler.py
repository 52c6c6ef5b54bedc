"""How good and how fast compiled machines are: `python -m benchmarks.compiler [--json]`.

Each graph is compiled, and the finished machine run in the tests' simulator with lognormal
durations (median 10 s, sigma 1). Ratio is makespan / critical path; beside it stands that of level
barriers, one fork for each topological level, which other compilers to Step Functions emit.
"""

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.simulator.graphs import (
    ALL,
    GENERAL,
    LATTICES,
    Edges,
    as_definition,
    critical_path,
    etl,
    level_barriers,
    series_parallel,
    step_id,
)
from tests.simulator.machines import Outcome, Simulator

from millrace.compiler import compile_flow

SIZES = (5, 10, 15, 20, 30, 40, 60, 90, 130, 200)
# States that every happy run passes besides the plan's: the frame, and the record of its success.
CONSTANT_STATES = 2
LONGEST_SECONDS = 899.0

type Family = Callable[[random.Random, int], Edges]
type Knowledge = Callable[[random.Random, Sequence[float]], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One graph, compiled and run."""

    ratio: float
    levels: float
    transitions: float
    violations: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: which graphs, and what the compiler is told of their durations."""

    name: str
    families: Mapping[str, Family]
    knowledge: Knowledge


def _exact(_: random.Random, seconds: Sequence[float]) -> Mapping[str, float]:
    return {step_id(step): value for step, value in enumerate(seconds)}


def _noisy(chance: random.Random, seconds: Sequence[float]) -> Mapping[str, float]:
    return {
        step_id(step): value * chance.lognormvariate(0, 0.4) for step, value in enumerate(seconds)
    }


def _nothing(_: random.Random, __: Sequence[float]) -> Mapping[str, float]:
    return {}


ROWS = (
    Row("series-parallel, unknown", {"series-parallel": series_parallel}, _nothing),
    Row("general, given", GENERAL, _exact),
    Row("ETL-like, given", {"etl": etl}, _exact),
    Row("general, 40 % noise", GENERAL, _noisy),
    Row("general, unknown", GENERAL, _nothing),
    Row("lattices, given", LATTICES, _exact),
    Row("lattices, unknown", LATTICES, _nothing),
)


def trials(row: Row, graphs: int, seed: int) -> Iterator[Trial]:
    """Compile and run `graphs` graphs of each family and size."""
    for name, family in row.families.items():
        for size in SIZES:
            for number in range(graphs):
                chance = random.Random(f"{seed} {name} {size} {number}")
                edges = family(chance, size)
                seconds = [
                    min(10 * chance.lognormvariate(0, 1), LONGEST_SECONDS) for _ in range(size)
                ]
                yield _trial(edges, seconds, row.knowledge(chance, seconds))


def _trial(edges: Edges, seconds: Sequence[float], known: Mapping[str, float]) -> Trial:
    machine = json.loads(compile_flow(as_definition(edges), durations=known).asl)
    taken = {step_id(step): value for step, value in enumerate(seconds)}
    run = Simulator(lambda step, *_: Outcome(taken[step])).run(machine)
    starts, ends = run.times("start"), run.times("end")
    early = sum(
        ends[step_id(before)] > starts[step_id(step)]
        for step, earlier in enumerate(edges)
        for before in earlier
    )
    not_once = len(run.starts()) - len(set(run.starts())) + len(edges) - len(starts)
    shortest = critical_path(edges, seconds)
    return Trial(
        ratio=run.at / shortest,
        levels=level_barriers(edges, seconds) / shortest,
        transitions=(run.transitions() - CONSTANT_STATES) / len(edges),
        violations=early + not_once + (run.error is not None),
    )


def quality(graphs: int, seed: int) -> dict[str, dict[str, float]]:
    """The figures of each row."""
    figures = {}
    for row in ROWS:
        found = list(trials(row, graphs, seed))
        figures[row.name] = {
            "graphs": len(found),
            **_spread("ratio", [trial.ratio for trial in found]),
            **_spread("levels", [trial.levels for trial in found]),
            **_spread("transitions", [trial.transitions for trial in found]),
            "violations": sum(trial.violations for trial in found),
        }
    return figures


def speed(seed: int) -> dict[str, float]:
    """Median milliseconds to compile a general flow, durations unknown and given alike."""
    figures = {}
    for size in (50, 200):
        took = []
        for name in ("layered", "random", "etl"):
            for number in range(4):
                chance = random.Random(f"{seed} {name} {size} {number}")
                definition = as_definition(ALL[name](chance, size))
                known = {s.id: chance.lognormvariate(0, 1) for s in definition.steps}
                for durations in ({}, known):
                    start = time.perf_counter()
                    compile_flow(definition, durations=durations)
                    took.append(1000 * (time.perf_counter() - start))
        figures[f"compile{size}StepsMedianMs"] = round(statistics.median(took), 2)
    return figures


def _spread(name: str, values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        f"{name}Median": round(statistics.median(ordered), 4),
        f"{name}P95": round(ordered[math.ceil(0.95 * len(ordered)) - 1], 4),
        f"{name}Max": round(ordered[-1], 4),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--graphs", type=int, default=3, help="graphs of each family and size")
    parser.add_argument("--seed", type=int, default=2026)
    arguments = parser.parse_args()
    figures = quality(arguments.graphs, arguments.seed)
    times = speed(arguments.seed)
    if arguments.json:
        json.dump({"quality": figures, "speed": times}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    heads = ("median", "p95", "max")
    lines = [
        "compiler: makespan / critical path, beside level barriers; transitions a step",
        f"{'graphs':26}{'number':>7}  "
        + "  ".join(f"{'/'.join(heads):>21}" for _ in range(3))
        + "  violations",
    ]
    for name, row in figures.items():
        cells = [
            "/".join(f"{row[f'{what}{part}']:.3f}" for part in ("Median", "P95", "Max"))
            for what in ("ratio", "levels", "transitions")
        ]
        lines.append(
            f"{name:26}{row['graphs']:>7.0f}  "
            + "  ".join(f"{cell:>21}" for cell in cells)
            + f"  {row['violations']:.0f}"
        )
    lines += [f"{name}: {value} ms" for name, value in times.items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
