"""Says everything that is wrong with a flow's graph and settings, before anything is planned.

Each rule is one small function that looks at a definition and yields findings; none relies on
another having passed, so an author gets all of them at once.
"""

import math
import unicodedata
from collections.abc import Iterator

from millrace.compiler.graph import topological_order
from millrace.compiler.model import (
    MAX_NAME_LENGTH,
    MAX_STEPS,
    Definition,
    Finding,
    Step,
    in_document_order,
)

# Limits of the Amazon States Language for a Retrier and a Task (Step Functions developer guide,
# "Handling errors in Step Functions workflows" and "Task workflow state").
MAX_ATTEMPTS_LIMIT = 99_999_999
INTERVAL_LIMIT = 99_999_999
DELAY_LIMIT = 31_622_400
TIMEOUT_LIMIT = 99_999_999
# An Express execution ends after five minutes, whatever it is doing.
EXPRESS_SECONDS = 300
_DAY = 86_400
# What caps a single wait between tries when the author does not.
_USUAL_MAX_DELAY = 300
FLOW_ATTEMPTS_LIMIT = 10
FLOW_DELAY_LIMIT = 60


def check(definition: Definition) -> list[Finding]:
    """All findings of all rules, in the order of the document; empty when the flow may compile."""
    found = [finding for rule in _RULES for finding in rule(definition)]
    return in_document_order(found)


def _number_of_steps(definition: Definition) -> Iterator[Finding]:
    count = len(definition.steps)
    if count > MAX_STEPS:
        yield Finding(
            "tooManySteps",
            "/steps",
            f"The flow has {count} steps; {MAX_STEPS} is the limit.",
            "Move a part of it into a flow of its own and call that with a Flow step.",
        )
    if all(step.is_skipped for step in definition.steps):
        yield Finding(
            "noEnabledStep",
            "/steps",
            "The flow has no steps." if count == 0 else "Every step is skipped.",
            "Add a step." if count == 0 else "Enable at least one step.",
        )


def _ids_and_names(definition: Definition) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for position, step in enumerate(definition.steps):
        here = f"/steps/{position}"
        yield from _text(step, step.id, f"{here}/id", "id")
        if step.name is not None:
            yield from _text(step, step.name, f"{here}/name", "name")
        if step.id in first:
            yield Finding(
                "duplicateId",
                f"{here}/id",
                f"The step at /steps/{first[step.id]} has the id {step.id!r} already.",
                "Give each step an id of its own.",
                step.id,
            )
        else:
            first[step.id] = position


def _text(step: Step, text: str, pointer: str, what: str) -> Iterator[Finding]:
    if not text.strip():
        yield Finding(
            f"{what}Empty", pointer, f"The {what} is empty.", "Write at least one letter.", step.id
        )
    elif len(text) > MAX_NAME_LENGTH:
        yield Finding(
            f"{what}TooLong",
            pointer,
            f"The {what} has {len(text)} characters; {MAX_NAME_LENGTH} is the limit.",
            "Shorten it.",
            step.id,
        )
    # Cc: control characters; Cs: half of a surrogate pair, which no UTF-8 text can hold.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        yield Finding(
            f"{what}_unprintable",
            pointer,
            f"The {what} holds a control character or half a character.",
            "Use printable characters only.",
            step.id,
        )


def _dependencies(definition: Definition) -> Iterator[Finding]:
    known = {step.id for step in definition.steps}
    for position, step in enumerate(definition.steps):
        seen: set[str] = set()
        for place, dependency in enumerate(step.depends_on):
            pointer = f"/steps/{position}/dependsOn/{place}"
            if dependency == step.id:
                yield Finding(
                    "selfDependency",
                    pointer,
                    f"The step {step.id!r} depends on itself.",
                    "Remove this entry.",
                    step.id,
                )
            elif dependency in seen:
                yield Finding(
                    "duplicateDependency",
                    pointer,
                    f"The step {step.id!r} names {dependency!r} more than once.",
                    "Name each dependency once.",
                    step.id,
                )
            elif dependency not in known:
                yield Finding(
                    "unknownDependency",
                    pointer,
                    f"No step has the id {dependency!r}.",
                    "Name the id of a step of this flow.",
                    step.id,
                )
            seen.add(dependency)


def _cycles(definition: Definition) -> Iterator[Finding]:
    """One finding for each knot of steps that wait for each other, naming a shortest way round."""
    position = {step.id: index for index, step in reversed(list(enumerate(definition.steps)))}
    edges = _knotted(
        {
            step_id: [d for d in definition.steps[index].depends_on if d != step_id]
            for step_id, index in position.items()
        }
    )
    reported: set[str] = set()
    for step in definition.steps:
        if step.id in reported or step.id not in edges:
            continue
        cycle = _way_back(step.id, edges)
        if not cycle:
            continue
        reported |= _reachable(step.id, edges) & _reachable(step.id, _reverse(edges))
        place = definition.steps[position[step.id]].depends_on.index(cycle[1])
        yield Finding(
            "cycle",
            f"/steps/{position[step.id]}/dependsOn/{place}",
            "These steps wait for each other: " + " -> ".join(map(repr, cycle)) + ".",
            "Remove one of these dependencies.",
            step.id,
        )


def _knotted(edges: dict[str, list[str]]) -> dict[str, list[str]]:
    """The edges without the steps that cannot be on a cycle, which are nearly all."""
    for _ in range(2):  # once for what comes before all cycles, once for what comes after
        free = set(topological_order(edges))
        edges = _reverse(
            {
                step_id: [d for d in found if d in edges and d not in free]
                for step_id, found in edges.items()
                if step_id not in free
            }
        )
    return edges


def _reverse(edges: dict[str, list[str]]) -> dict[str, list[str]]:
    backwards: dict[str, list[str]] = {step_id: [] for step_id in edges}
    for step_id, found in edges.items():
        for dependency in found:
            backwards[dependency].append(step_id)
    return backwards


def _way_back(start: str, edges: dict[str, list[str]]) -> list[str]:
    """The shortest path from a step along its dependencies back to it, or nothing."""
    came_from: dict[str, str] = {}
    frontier = [start]
    while frontier:
        following = []
        for step_id in frontier:
            for dependency in edges[step_id]:
                if dependency == start:
                    path = [start]
                    while step_id != start:
                        path.append(step_id)
                        step_id = came_from[step_id]  # noqa: PLW2901  walking back, then returning
                    return [start, *reversed(path[1:]), start]
                if dependency not in came_from:
                    came_from[dependency] = step_id
                    following.append(dependency)
        frontier = following
    return []


def _reachable(start: str, edges: dict[str, list[str]]) -> set[str]:
    seen = {start}
    stack = [start]
    while stack:
        for following in edges[stack.pop()]:
            if following not in seen:
                seen.add(following)
                stack.append(following)
    return seen


def _step_settings(definition: Definition) -> Iterator[Finding]:
    for position, step in enumerate(definition.steps):
        here = f"/steps/{position}"
        retry = step.retry
        yield from _within(
            step, f"{here}/retry/maxAttempts", retry.max_attempts, 0, MAX_ATTEMPTS_LIMIT
        )
        yield from _within(
            step, f"{here}/retry/intervalSeconds", retry.interval_seconds, 1, INTERVAL_LIMIT
        )
        if not (math.isfinite(retry.backoff_rate) and retry.backoff_rate >= 1):
            yield Finding(
                "outOfRange",
                f"{here}/retry/backoffRate",
                f"backoffRate is {retry.backoff_rate:g}; it must be a finite number from 1.",
                "Use 1 for waits of equal length, 2 to double each wait.",
                step.id,
            )
        if retry.max_delay_seconds is not None:
            yield from _within(
                step, f"{here}/retry/maxDelaySeconds", retry.max_delay_seconds, 1, DELAY_LIMIT
            )
            if 1 <= retry.max_delay_seconds <= retry.interval_seconds <= INTERVAL_LIMIT:
                yield Finding(
                    "maxDelayTooShort",
                    f"{here}/retry/maxDelaySeconds",
                    f"maxDelaySeconds is {retry.max_delay_seconds} and must be greater than"
                    f" intervalSeconds, {retry.interval_seconds}.",
                    "Raise maxDelaySeconds or lower intervalSeconds.",
                    step.id,
                )
        if step.timeout_seconds is not None:
            yield from _within(
                step, f"{here}/timeoutSeconds", step.timeout_seconds, 1, TIMEOUT_LIMIT
            )


def _within(step: Step | None, pointer: str, value: int, low: int, high: int) -> Iterator[Finding]:
    if not low <= value <= high:
        name = pointer.rpartition("/")[2]
        yield Finding(
            "outOfRange",
            pointer,
            f"{name} is {value if abs(value) < 10**12 else 'a huge number'};"
            f" it must be from {low} to {high}.",
            "Choose a value in this range.",
            None if step is None else step.id,
        )


def _flow_retry(definition: Definition) -> Iterator[Finding]:
    retry = definition.flow_retry
    yield from _within(None, "/retryMaxAttempts", retry.max_attempts, 0, FLOW_ATTEMPTS_LIMIT)
    yield from _within(None, "/retryDelayMinutes", retry.delay_minutes, 0, FLOW_DELAY_LIMIT)
    if definition.is_synchronous and retry.max_attempts > 0:
        yield Finding(
            "synchronousFlowRetry",
            "/retryMaxAttempts",
            "A synchronous flow cannot run again as a whole: its caller is waiting.",
            "Set retryMaxAttempts to 0, or make the flow asynchronous.",
        )


def _synchronous_time(definition: Definition) -> Iterator[Finding]:
    """Refuse what its own settings let run past Express's limit.

    Counted: the time-outs that the author wrote, along the slowest path, and the waits between one
    step's tries. Time-outs left out are not counted, since most steps end long before theirs.
    """
    if not definition.is_synchronous:
        return
    positions = {step.id: position for position, step in enumerate(definition.steps)}
    ends: dict[str, int] = {}
    for step_id in topological_order({step.id: step.depends_on for step in definition.steps}):
        position = positions[step_id]
        step = definition.steps[position]
        start = max((ends.get(dependency, 0) for dependency in step.depends_on), default=0)
        own = 0 if step.is_skipped else min(max(0, step.timeout_seconds or 0), TIMEOUT_LIMIT)
        ends[step_id] = start + own
        if start <= EXPRESS_SECONDS < start + own:
            yield Finding(
                "synchronousTooLong",
                f"/steps/{position}/timeoutSeconds",
                f"The time-outs on the way to this step's end add up to {start + own} s; a"
                f" synchronous flow ends after {EXPRESS_SECONDS} s.",
                "Lower timeoutSeconds, or make the flow asynchronous.",
                step_id,
            )
        waits = 0.0 if step.is_skipped else retry_seconds(step)
        if waits > EXPRESS_SECONDS:
            yield Finding(
                "synchronousTooLong",
                f"/steps/{position}/retry",
                f"The waits between its tries may add up to {waits:.0f} s; a synchronous flow"
                f" ends after {EXPRESS_SECONDS} s.",
                "Lower maxAttempts, intervalSeconds or maxDelaySeconds.",
                step_id,
            )


def retry_seconds(step: Step) -> float:
    """The longest that a step's waits between tries can add up to; counting ends at a day."""
    retry = step.retry
    cap = float(min(default_max_delay(step) or DELAY_LIMIT, DELAY_LIMIT))
    # At least a second, so that even settings which another rule refuses come to an end here.
    delay, total = max(1.0, min(retry.interval_seconds, cap)), 0.0
    for _ in range(max(0, retry.max_attempts)):
        total += delay
        if total > _DAY:
            break
        delay = min(delay * max(1.0, retry.backoff_rate), cap)
    return total


def default_max_delay(step: Step) -> int | None:
    """The cap on one wait: the author's, else 300 s unless the first wait is that long already."""
    if step.retry.max_delay_seconds is not None:
        return step.retry.max_delay_seconds
    return _USUAL_MAX_DELAY if step.retry.interval_seconds < _USUAL_MAX_DELAY else None


_RULES = (
    _number_of_steps,
    _ids_and_names,
    _dependencies,
    _cycles,
    _step_settings,
    _flow_retry,
    _synchronous_time,
)
