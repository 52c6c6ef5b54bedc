"""Families of graphs, as a list of what each step waits for: the inputs of tests and benchmarks.

Each function takes a seeded generator and a number of steps; step i only waits for steps below i.
"""

import math
import random
from collections.abc import Callable, Sequence

from millrace.compiler import Definition, Step

type Edges = list[set[int]]


def layered(chance: random.Random, size: int) -> Edges:
    """Layers of uneven width; most steps wait for one to three of the layer before."""
    count = max(2, int(math.sqrt(size) * chance.uniform(0.6, 1.6)))
    layer_of = sorted([*range(min(count, size)), *(chance.randrange(count) for _ in range(size))])
    layer_of = layer_of[:size]
    edges: Edges = []
    for step, layer in enumerate(layer_of):
        near = [s for s in range(step) if layer_of[s] == layer - 1]
        far = [s for s in range(step) if layer_of[s] < layer]
        pool = near if near and chance.random() < 0.8 else far
        edges.append(set(chance.sample(pool, min(len(pool), chance.choice([1, 1, 2, 2, 3])))))
    return edges


def random_order(chance: random.Random, size: int) -> Edges:
    """Any step waits for any earlier one with the same chance (Erdos and Renyi)."""
    share = min(1.0, chance.uniform(2, 8) / max(1, size - 1))
    return [{s for s in range(step) if chance.random() < share} for step in range(size)]


def etl(chance: random.Random, size: int) -> Edges:
    """Extracts, chains of transforms, joins of two or three, loads from any open result."""
    edges: Edges = [set() for _ in range(max(1, size // chance.choice([3, 4, 5])))]
    open_results = list(range(len(edges)))
    for step in range(len(edges), size):
        kind = chance.random()
        if kind < 0.45:
            inputs = [chance.choice(open_results)]
            kept = 0.2
        elif kind < 0.75:
            inputs = chance.sample(open_results, min(len(open_results), chance.choice([2, 2, 3])))
            kept = 0.3
        else:
            edges.append({chance.choice(open_results)})
            continue
        open_results = [r for r in open_results if r not in inputs or chance.random() < kept]
        open_results.append(step)
        edges.append(set(inputs))
    return edges


def series_parallel(chance: random.Random, size: int) -> Edges:
    """Nested sequences and forks, which a machine can honour exactly."""
    edges: Edges = [set() for _ in range(size)]

    def build(low: int, high: int) -> tuple[list[int], list[int]]:
        if high - low == 1:
            return [low], [low]
        middle = chance.randint(low + 1, high - 1)
        first, second = build(low, middle), build(middle, high)
        if chance.random() < 0.5:
            return first[0] + second[0], first[1] + second[1]
        for step in second[0]:
            edges[step].update(first[1])
        return first[0], second[1]

    build(0, size)
    return edges


def ladder(_: random.Random, size: int) -> Edges:
    """Two rails, with rungs from the left to the right one."""
    return [
        ({step - 2} if step >= 2 else set()) | ({step - 1} if step % 2 else set())
        for step in range(size)
    ]


def comb(_: random.Random, size: int) -> Edges:
    """A chain with teeth; each tooth waits for its place on the chain and the tooth before."""
    edges: Edges = []
    for step in range(size):
        if step % 2 == 0:
            edges.append({step - 2} if step >= 2 else set())
        else:
            edges.append({step - 1, step - 2} if step >= 3 else {step - 1})
    return edges


def stencil(_: random.Random, size: int) -> Edges:
    """A grid whose cells wait for the three above them."""
    width = max(2, math.isqrt(size))
    edges: Edges = []
    for step in range(size):
        row, column = divmod(step, width)
        above = (column - 1, column, column + 1) if row else ()
        edges.append({(row - 1) * width + c for c in above if 0 <= c < width})
    return edges


type Family = Callable[[random.Random, int], Edges]

# Graphs as flows are, drawn at random; and lattices, as far from forks and joins as can be.
GENERAL: dict[str, Family] = {"layered": layered, "random": random_order, "etl": etl}
LATTICES: dict[str, Family] = {"ladder": ladder, "comb": comb, "stencil": stencil}
ALL: dict[str, Family] = GENERAL | LATTICES


def as_definition(edges: Sequence[set[int]]) -> Definition:
    """A flow of plain steps with these dependencies."""
    return Definition(
        tuple(
            Step(step_id(step), depends_on=tuple(step_id(s) for s in sorted(earlier)))
            for step, earlier in enumerate(edges)
        )
    )


def step_id(step: int) -> str:
    """The id of a generated step."""
    return f"s{step:03d}"


def critical_path(edges: Sequence[set[int]], seconds: Sequence[float]) -> float:
    """The shortest time any execution can take."""
    ends: list[float] = []
    for step, earlier in enumerate(edges):
        ends.append(seconds[step] + max((ends[s] for s in earlier), default=0.0))
    return max(ends)


def level_barriers(edges: Sequence[set[int]], seconds: Sequence[float]) -> float:
    """The time of the usual compilation: one fork for each topological level."""
    level: list[int] = []
    longest: dict[int, float] = {}
    for step, earlier in enumerate(edges):
        level.append(1 + max((level[s] for s in earlier), default=-1))
        longest[level[step]] = max(longest.get(level[step], 0.0), seconds[step])
    return sum(longest.values())
