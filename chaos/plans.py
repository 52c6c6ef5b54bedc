"""What a seed makes up: flows, what starts their runs, and how much goes wrong."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from chaos.faults import TASTES
from chaos.shop import elements

KEPT: Final = 3
"""A filter drops the records whose number this divides."""

BAD: Final = 7
"""On a record whose number leaves this by `BAD_BY`, a map fails."""

BAD_BY: Final = 19

EVERY_ON_AWS: Final = 12
"""Every so many seeds run on the adapters for AWS, with faults on the wire."""

_RARE: Final = ("blobs", "machines", "errors", "resources.commit", "POST")
_OF_BULK: Final = ("blobs", "s3")
_RARE_ON_AWS: Final = ("s3", "s3", "machines", "dynamodb Batch", "dynamodb Transact")
"""What the beginnings of few calls are, most of which would be spared otherwise."""


@dataclass(frozen=True)
class Start:
    """What starts a run of a flow, and how often it is said."""

    name: str
    is_delivery: bool
    size: int
    at_seconds: float
    repeats: int


@dataclass(frozen=True)
class Plan:
    """All that a seed decides before anything happens."""

    seed: int
    rate: float
    faults: int
    taste: str
    focus: str
    """With what the places begin where something goes wrong: all, or rare ones alone."""
    on_aws: bool
    is_fed: bool
    """By deliveries; else it reads what is there."""
    is_called: bool
    """Who delivers waits for the result."""
    is_synchronous: bool
    steps: tuple[dict[str, Any], ...]
    settings: dict[str, Any]
    starts: tuple[Start, ...]
    has_next_flow: bool
    rate_limit: dict[str, Any] | None
    cancels: bool
    closed_seconds: float
    """So long all that is written is refused with 401; all requests are for the same then."""
    retries_errors: bool
    """Nothing is refused any more after a while, and what was is tried again."""
    weight: int
    """Bytes of each record that do not compress: many go by way of the bucket."""
    rng: Random = field(repr=False)

    def told(self) -> str:
        """The plan in a few lines."""
        graph = ", ".join(f"{step['id']} <- {step['dependsOn'] or '-'}" for step in self.steps)
        starts = ", ".join(f"{s.name} ({s.size} records, {s.repeats} times)" for s in self.starts)
        where = "AWS on moto" if self.on_aws else "stores in memory"
        return (
            f"seed {self.seed}: {where}, records of {self.weight} bytes, {self.faults} faults "
            f"({self.taste}{self.focus and ', at '}{self.focus}), rate {self.rate}\n"
            f"  steps: {graph}\n  settings: {self.settings}, rate limit: {self.rate_limit}\n"
            f"  starts: {starts}"
        )


def plan_of(seed: int) -> Plan:
    """The plan of a seed, always the same."""
    rng, more = Random(seed), Random(f"{seed} more")
    on_aws = seed % EVERY_ON_AWS == 0
    is_fed = rng.random() < 0.5
    starts = rng.randint(1, 2 if on_aws else 4)
    settings: dict[str, Any] = {}
    if rng.random() < 0.4:
        settings = {
            "retryMaxAttempts": rng.randint(1, 2),
            "retryDelayMinutes": rng.choice((0, 1, 10)),
        }
    if rng.random() < 0.4:
        settings["concurrency"] = {"limit": rng.randint(1, 2), "onConflict": "queue"}
    rate = rng.choice((0.0, 0.01, 0.03, 0.1, 0.3))
    is_synchronous = more.random() < 0.25
    if is_synchronous:
        # Who waits for an answer waits for no further attempt.
        settings = {name: settings[name] for name in settings if not name.startswith("retry")}
        settings["isSynchronous"] = True
    seconds = 50 if is_synchronous else 120
    retries_errors = more.random() < 0.35
    is_closed = not is_synchronous and more.random() < 0.15
    if is_closed:
        settings |= {"retryMaxAttempts": 2, "retryDelayMinutes": 10}
        settings["retryUniqueRequestIdField"] = '"all the same"'
    steps = tuple(
        _timed(_unsplit(step) if retries_errors else step, seconds)
        for step in _steps(rng, is_fed=is_fed)
    )
    rare = _RARE_ON_AWS if on_aws else _RARE
    focus = more.choice(("", "", "", *rare, *(("machines",) * 2 if is_synchronous else ())))
    return Plan(
        seed=seed,
        rate=rate if not focus else 0.3,
        faults=rng.choice((2, 5, 10, 20)),
        taste=rng.choice(("of all kinds", *TASTES)),
        focus=focus,
        on_aws=on_aws,
        is_fed=is_fed,
        is_called=is_fed and (is_synchronous or more.random() < 0.2),
        is_synchronous=is_synchronous,
        steps=steps,
        settings=settings,
        starts=tuple(
            Start(
                name=f"d{number}",
                is_delivery=is_fed,
                size=rng.choice((0, 1, 7, 25, 60)),
                at_seconds=rng.uniform(0, 30),
                repeats=rng.choice((1, 1, 2, 3)),
            )
            for number in range(starts)
        ),
        has_next_flow=rng.random() < 0.25,
        rate_limit=rng.choice(
            (
                None,
                None,
                {"maxConcurrency": 1},
                {"requestsPerSecond": 5.0},
                {"requestsPerSecond": 20.0, "maxConcurrency": 2},
            )
        ),
        cancels=rng.random() < 0.1,
        retries_errors=retries_errors,
        closed_seconds=more.uniform(0, 40) if is_closed else 0.0,
        weight=3_000 if focus in _OF_BULK else more.choice((0, 0, 500, 3_000)),
        rng=rng,
    )


def _steps(rng: Random, *, is_fed: bool) -> list[dict[str, Any]]:
    """An export, processes and imports on up to three branches, perhaps an import of all."""
    steps = [_export(rng, is_fed=is_fed)]
    ends = []
    for branch in range(rng.choice((1, 1, 2, 3))):
        last = "read"
        for place in range(rng.choice((0, 1, 1, 2))):
            steps.append(_process(rng, f"change-{branch}-{place}", last))
            last = steps[-1]["id"]
        steps.append(_import(rng, f"write-{branch}", [last]))
        ends.append(steps[-1]["id"])
    if rng.random() < 0.3:
        steps.append(_import(rng, "write-all", ends))
    return steps


def _export(rng: Random, *, is_fed: bool) -> dict[str, Any]:
    if is_fed:
        action: dict[str, Any] = {"type": "Export", "payload": {"path": "/body"}}
    else:
        http = {
            "path": "/catalogue",
            "query": {"name": "{{ parameters.name }}"},
            "recordsPath": "/items",
            "pagination": {"type": "offset", "limit": rng.choice((3, 10, 50))},
        }
        action = {"type": "Export", "connectionId": "shop", "http": http}
    return _step(rng, "read", [], action)


def _process(rng: Random, name: str, after: str) -> dict[str, Any]:
    filter_ = {"type": "filter", "expression": f"n % {KEPT} != 0"}
    fails = f'n % {BAD_BY} = {BAD} ? $error("no") : {{"id": id, "n": n, "pad": pad}}'
    map_ = {"type": "map", "expression": fails}
    operations = rng.choice(([filter_], [map_], [filter_, map_]))
    return _step(rng, name, [after], {"type": "Process", "operations": operations})


def _import(rng: Random, name: str, after: list[str]) -> dict[str, Any]:
    http: dict[str, Any] = {"path": f"/{name}"}
    size = rng.choice((None, 1, 2, 5, 20))
    if size is not None:
        http |= {"batchSize": size, "splitRefused": rng.random() < 0.5}
    action = {"type": "Import", "connectionId": "shop", "http": http}
    step = _step(rng, name, after, action)
    if rng.random() < 0.3:
        step["filter"] = f"n % {KEPT} != 1"
        step["onNotMatching"] = rng.choice(("drop", "pass"))
    return step


def _step(rng: Random, name: str, after: list[str], action: dict[str, Any]) -> dict[str, Any]:
    behaviour = [
        {"type": kind, "strategy": strategy}
        for kind, strategy in (("failure", "continue"), ("partial_success", "stop"))
        if rng.random() < 0.15
    ]
    step = {
        "id": name,
        "type": action["type"],
        "action": action,
        "dependsOn": after,
        "exceptionBehavior": behaviour,
    }
    if rng.random() < 0.3:
        step["timeoutSeconds"] = 0
    return step


def _timed(step: dict[str, Any], seconds: int) -> dict[str, Any]:
    """A step that has a time-out, with this one: those of a synchronous flow may not add up."""
    return {**step, "timeoutSeconds": seconds} if "timeoutSeconds" in step else step


def _unsplit(step: dict[str, Any]) -> dict[str, Any]:
    """A step that sends no half of a batch.

    A half that is taken, and later again with the other one because nothing is refused any more,
    arrives twice, as docs/reliability.md says.
    """
    http = step["action"].get("http", {})
    if "splitRefused" not in http:
        return step
    return {**step, "action": {**step["action"], "http": {**http, "splitRefused": False}}}


def body_of(plan: Plan, start: Start) -> list[Any]:
    """What a delivery brings, or is there to be read."""
    return elements(start.name, start.size, plan.weight)
