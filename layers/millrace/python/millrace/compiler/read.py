"""Reads a decoded YAML or JSON flow document, so that every later stage has typed values only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard, cast

from millrace.compiler.model import (
    Definition,
    Finding,
    FlowRetry,
    Retry,
    Step,
    StepType,
    Strategy,
    in_document_order,
)
from millrace.compiler.rules import check

_STEP_TYPES = ("Export", "Process", "Import", "Flow")
_EXCEPTIONS = ("failure", "partial_success")
_STRATEGIES = ("stop", "continue")
_YEAR_SECONDS = 31_622_400


def read_definition(document: object) -> tuple[Definition | None, list[Finding]]:
    """Turn any decoded document into a definition, or into all that is wrong with its shape.

    Fields that do not bear on the machine (action, position and so on) are ignored here: the API
    checks them. The definition is None whenever there are findings; they then hold the findings of
    `check` as well, as far as the readable part allows, so that an author sees everything at once.
    """
    reader = _Reader()
    fields = reader.mapping(document, "")
    if fields is None:
        return None, reader.findings
    steps = _steps(reader, fields)
    # A step that cannot be read holds its place, so that pointers to the others stay right.
    definition = Definition(
        steps=tuple(step or Step(id=f"step {place}") for place, step in enumerate(steps)),
        is_synchronous=reader.boolean(fields, "isSynchronous", default=False),
        flow_retry=FlowRetry(
            max_attempts=reader.integer(fields, "retryMaxAttempts", 0),
            delay_minutes=reader.integer(fields, "retryDelayMinutes", 0),
            exponential=reader.boolean(fields, "retryUsesExponentialBackoff", default=False),
        ),
    )
    if not reader.findings:
        return definition, []
    if steps:
        unreadable = tuple(f"/steps/{place}/" for place, step in enumerate(steps) if step is None)
        reader.findings += [
            finding
            for finding in check(definition)
            if not f"{finding.pointer}/".startswith(unreadable)
        ]
    return None, in_document_order(reader.findings)


def read_durations(document: object) -> tuple[dict[str, float], list[Finding]]:
    """Turn a decoded object of step ids and seconds into durations, or into what is wrong with it.

    Ids of steps that a flow does not have do no harm: histories outlive steps.
    """
    reader = _Reader()
    found = {}
    for key, seconds in (reader.mapping(document, "") or {}).items():
        if _is_number(seconds) and 0 <= seconds <= _YEAR_SECONDS:
            found[str(key)] = float(seconds)
        else:
            token = str(key).replace("~", "~0").replace("/", "~1")
            reader.report(
                "outOfRange",
                f"/{token}",
                "This is not a number of seconds from 0 to a year.",
                "Write seconds, such as 2.5, or leave the step out.",
            )
    return found, reader.findings


def _steps(reader: "_Reader", fields: Mapping[str, object]) -> list[Step | None]:
    if "steps" not in fields:
        reader.report("missing", "/steps", "The flow has no steps.", "Add a list named steps.")
        return []
    items = reader.items(fields["steps"], "/steps", None)
    return [_step(reader.at(f"/steps/{position}"), item) for position, item in enumerate(items)]


def _step(reader: "_Reader", item: object) -> Step | None:
    fields = reader.mapping(item, "")
    if fields is None:
        return None
    if fields.get("id") is None:
        reader.report("missing", "/id", "The step has no id.", "Give it an id of its own.")
        return None
    step_id = reader.text(fields, "id", "")
    if not isinstance(fields["id"], str):
        return None
    reader.step = step_id
    behaviour = _exception_behavior(reader, fields)
    return Step(
        id=step_id,
        name=None if fields.get("name") is None else reader.text(fields, "name", step_id),
        type=cast("StepType", reader.choice(fields, "type", _STEP_TYPES, "Process")),
        depends_on=_depends_on(reader, fields),
        is_skipped=reader.boolean(fields, "isSkipped", default=False),
        on_failure=behaviour.get("failure", "stop"),
        on_partial_success=behaviour.get("partial_success", "continue"),
        retry=_retry(reader, fields),
        timeout_seconds=reader.optional_integer(fields, "timeoutSeconds"),
    )


def _depends_on(reader: "_Reader", fields: Mapping[str, object]) -> tuple[str, ...]:
    given = fields.get("dependsOn")
    if given is None:
        return ()
    found = []
    for position, item in enumerate(reader.items(given, "/dependsOn", "a list of step ids")):
        if isinstance(item, str):
            found.append(item)
        else:
            reader.wrong_type(f"/dependsOn/{position}", item, "the id of a step")
    return tuple(found)


def _exception_behavior(reader: "_Reader", fields: Mapping[str, object]) -> dict[str, Strategy]:
    given = fields.get("exceptionBehavior")
    if given is None:
        return {}
    found: dict[str, Strategy] = {}
    for position, item in enumerate(reader.items(given, "/exceptionBehavior", None)):
        here = f"/exceptionBehavior/{position}"
        entry = reader.mapping(item, here)
        if entry is None:
            continue
        inner = reader.at(here)
        kind = inner.choice(entry, "type", _EXCEPTIONS, None)
        strategy = inner.choice(entry, "strategy", _STRATEGIES, None)
        if kind is None or strategy is None:
            continue
        if kind in found:
            inner.report(
                "duplicateExceptionBehavior",
                "/type",
                f"The step says twice what to do on {kind}.",
                "Keep one entry for each type.",
            )
        found[kind] = cast("Strategy", strategy)
    return found


def _retry(reader: "_Reader", fields: Mapping[str, object]) -> Retry:
    given = fields.get("retry")
    if given is None:
        return Retry()
    entry = reader.mapping(given, "/retry")
    if entry is None:
        return Retry()
    inner = reader.at("/retry")
    default = Retry()
    return Retry(
        max_attempts=inner.integer(entry, "maxAttempts", default.max_attempts),
        interval_seconds=inner.integer(entry, "intervalSeconds", default.interval_seconds),
        backoff_rate=inner.number(entry, "backoffRate", default.backoff_rate),
        max_delay_seconds=inner.optional_integer(entry, "maxDelaySeconds"),
        jitter=inner.boolean(entry, "jitter", default=default.jitter),
    )


@dataclass(slots=True)
class _Reader:
    """Takes typed values out of a mapping and notes what does not fit; null means left out."""

    base: str = ""
    step: str | None = None
    findings: list[Finding] = field(default_factory=list)

    def at(self, pointer: str) -> "_Reader":
        return _Reader(self.base + pointer, self.step, self.findings)

    def report(self, code: str, pointer: str, message: str, remedy: str) -> None:
        self.findings.append(Finding(code, self.base + pointer, message, remedy, self.step))

    def wrong_type(self, pointer: str, value: object, wanted: str) -> None:
        self.report(
            "wrongType",
            pointer,
            f"This is {_kind(value)}, not {wanted}.",
            f"Write {wanted}.",
        )

    def mapping(self, value: object, pointer: str) -> Mapping[str, object] | None:
        if _is_mapping(value):
            return value
        self.wrong_type(pointer, value, "an object")
        return None

    def items(self, value: object, pointer: str, wanted: str | None) -> list[object]:
        if isinstance(value, list):
            return value
        self.wrong_type(pointer, value, wanted or "a list")
        return []

    def text(self, fields: Mapping[str, object], key: str, default: str) -> str:
        value = fields.get(key)
        if isinstance(value, str):
            return value
        if value is not None:
            self.wrong_type(f"/{key}", value, "text")
        return default

    def boolean(self, fields: Mapping[str, object], key: str, *, default: bool) -> bool:
        value = fields.get(key)
        if isinstance(value, bool):
            return value
        if value is not None:
            self.wrong_type(f"/{key}", value, "true or false")
        return default

    def integer(self, fields: Mapping[str, object], key: str, default: int) -> int:
        value = self.optional_integer(fields, key)
        return default if value is None else value

    def optional_integer(self, fields: Mapping[str, object], key: str) -> int | None:
        value = fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if value is not None:
            self.wrong_type(f"/{key}", value, "a whole number")
        return None

    def number(self, fields: Mapping[str, object], key: str, default: float) -> float:
        value = fields.get(key)
        if _is_number(value):
            # A JSON integer may be too large for a float; as infinity it is refused by range.
            try:
                return float(value)
            except OverflowError:
                return math.copysign(math.inf, value)
        if value is not None:
            self.wrong_type(f"/{key}", value, "a number")
        return default

    def choice(
        self,
        fields: Mapping[str, object],
        key: str,
        allowed: tuple[str, ...],
        default: str | None,
    ) -> str | None:
        value = fields.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value in allowed:
            return value
        wanted = "one of " + ", ".join(allowed)
        if value is None:
            self.report("missing", f"/{key}", f"{key} is missing.", f"Write {wanted}.")
        elif isinstance(value, str):
            self.report("unknownValue", f"/{key}", f"{value!r} is unknown.", f"Write {wanted}.")
        else:
            self.wrong_type(f"/{key}", value, wanted)
        return default


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names: dict[type, str] = {
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
    }
    # Readers of YAML and JSON may make mappings of classes of their own.
    return (
        "an object" if _is_mapping(value) else names.get(type(value), f"a {type(value).__name__}")
    )
