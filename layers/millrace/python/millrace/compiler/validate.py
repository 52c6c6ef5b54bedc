"""Refuses definitions that Step Functions would refuse, or would accept and then fail at.

Local stand-ins and linters let much through (a state nobody reaches, States.ALL before other
retriers, `lambda:invoke` without a function), so every compiled machine passes here, and anything
else may before CreateStateMachine. Plain JSONPath machines only; what this module does not know it
refuses. Pointers are into the definition.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from millrace.compiler import asl_fields as asl
from millrace.compiler.asl_choices import choice_rule
from millrace.compiler.asl_fields import Checks, Complaint
from millrace.compiler.asl_states import (
    AT_MOST_ONE,
    FIELDS,
    FUNCTION,
    INTEGRATIONS,
    ONE_OF,
    PATTERNS,
    REQUIRED,
    RESOURCE,
)
from millrace.compiler.model import Finding, MachineType, in_document_order

# Quotas of Step Functions ("Service quotas", definition size and state name).
MAX_DEFINITION_BYTES = 1_048_576
MAX_STATE_NAME = 80
_MACHINE_SECONDS = 99_999_999


def validate_asl(
    definition: str | Mapping[str, object],
    machine_type: MachineType = "STANDARD",
    *,
    text: str | None = None,
) -> list[Finding]:
    """Everything wrong with a definition, as text or decoded; empty if it may be created.

    A caller that has both the decoded definition and its text gives the text too, for its size.
    """
    validator = _Validator(machine_type)
    if isinstance(definition, str):
        text = definition
        document = validator.parse(definition)
    else:
        document = definition
        text = text or json.dumps(definition, ensure_ascii=False)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_DEFINITION_BYTES:
        validator.report(
            "",
            "definitionTooLarge",
            f"The definition has {size:,} bytes; {MAX_DEFINITION_BYTES:,} is the limit.",
            "Move a part of the flow into a flow of its own.",
        )
    if not validator.findings or document is not None:
        validator.machine(document)
    return in_document_order(validator.findings)


class _Validator:
    def __init__(self, machine_type: MachineType) -> None:
        self.findings: list[Finding] = []
        self._machine_type = machine_type
        self._named: dict[str, str] = {}

    def report(self, pointer: str, code: str, message: str, remedy: str) -> None:
        self.findings.append(Finding(code, pointer, message, remedy))

    def parse(self, text: str) -> object:
        try:
            return json.loads(text, object_pairs_hook=self._object, parse_constant=self._constant)
        except (ValueError, RecursionError) as error:
            self.report("", "notJson", f"This is not JSON: {error}.", "Write valid JSON.")
            return None

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        decoded = dict(pairs)
        if len(decoded) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = sorted({key for key in keys if keys.count(key) > 1})
            self.report(
                "", "duplicateKey", f"Twice in one object: {', '.join(twice)}.", "Keep one."
            )
        return decoded

    @staticmethod
    def _constant(name: str) -> object:
        raise ValueError(f"{name} is not JSON")

    def machine(self, document: object) -> None:
        if not isinstance(document, dict):
            self.report("", "wrongType", "A definition must be an object.", "Write an object.")
            return
        self._apply(
            "",
            asl.fields(
                document,
                {
                    "Comment": asl.any_text,
                    "StartAt": asl.anything,
                    "States": asl.anything,
                    "Version": _version,
                    "QueryLanguage": _json_path_only,
                    "TimeoutSeconds": asl.whole_number(1, _MACHINE_SECONDS),
                },
            ),
        )
        self._scope(document, "")

    def _apply(self, base: str, complaints: Iterable[Complaint]) -> None:
        for pointer, code, message, remedy in complaints:
            self.report(base + pointer, code, message, remedy)

    def _scope(self, scope: Mapping[str, object], base: str) -> None:
        states = scope.get("States")
        if not isinstance(states, dict) or not states:
            self.report(f"{base}/States", "missing", "There are no states here.", "Add a state.")
            return
        targets: dict[str, list[tuple[str, object]]] = {}
        ends: set[str] = set()
        for name, state in states.items():
            here = f"{base}/States/{asl.escape(name)}"
            self._name(name, here)
            if not isinstance(state, dict):
                self.report(here, "wrongType", "A state must be an object.", "Write an object.")
                continue
            self._state(state, here)
            targets[name] = list(_targets(state))
            if state.get("End") is True or state.get("Type") in ("Succeed", "Fail"):
                ends.add(name)
        for name, ways in targets.items():
            for pointer, target in ways:
                if not isinstance(target, str) or target not in states:
                    self.report(
                        f"{base}/States/{asl.escape(name)}{pointer}",
                        "unknownState",
                        f"{target!r:.90} is no state of this scope.",
                        "Name a state beside this one.",
                    )
        self._ways(scope.get("StartAt"), base, targets, ends)

    def _name(self, name: str, here: str) -> None:
        if not name.strip() or len(name) > MAX_STATE_NAME:
            self.report(
                here,
                "badStateName",
                f"A state name has 1 to {MAX_STATE_NAME} characters, not {len(name)}.",
                "Rename the state.",
            )
        if name in self._named:
            self.report(
                here,
                "duplicateStateName",
                f"The state at {self._named[name]} has the same name.",
                "Names are unique in the whole machine: rename one.",
            )
        self._named.setdefault(name, here)

    def _ways(
        self,
        start: object,
        base: str,
        targets: dict[str, list[tuple[str, object]]],
        ends: set[str],
    ) -> None:
        """Every state is on some way from the start to an end of its scope."""
        if not isinstance(start, str) or start not in targets:
            self.report(
                f"{base}/StartAt",
                "unknownState",
                f"{start!r:.90} is no state of this scope.",
                "Name the state to start at.",
            )
            return
        forwards = {
            name: {target for _, target in ways if isinstance(target, str) and target in targets}
            for name, ways in targets.items()
        }
        reached = _closure({start}, forwards)
        backwards: dict[str, set[str]] = {name: set() for name in targets}
        for name, following in forwards.items():
            for target in following:
                backwards[target].add(name)
        ending = _closure(ends, backwards)
        for name in targets:
            here = f"{base}/States/{asl.escape(name)}"
            if name not in reached:
                self.report(here, "unreachable", "Nothing leads to this state.", "Remove it.")
            elif name not in ending:
                self.report(here, "endless", "No end can be reached from here.", "Add an end.")

    def _state(self, state: Mapping[str, object], here: str) -> None:
        kind = state.get("Type")
        if not isinstance(kind, str) or kind not in FIELDS:
            self.report(f"{here}/Type", "unknownValue", f"{kind!r:.40} is no type.", "Correct it.")
            return
        self._apply(here, asl.fields(state, FIELDS[kind], REQUIRED.get(kind, frozenset())))
        for group in ONE_OF.get(kind, ()):
            if sum(key in state for key in group) != 1:
                names = ", ".join(group)
                self.report(here, "notExactlyOne", f"Exactly one of {names}.", "Keep one.")
        for group in AT_MOST_ONE.get(kind, ()):
            if sum(key in state for key in group) > 1:
                names = " and ".join(group)
                self.report(here, "notExactlyOne", f"Not both {names}.", "Keep one.")
        if "Next" in FIELDS[kind]:
            self._next_or_end(state, here)
        special = {
            "Task": self._task,
            "Parallel": self._branches,
            "Map": self._item_processor,
            "Choice": self._choice,
        }.get(kind)
        if special is not None:
            special(state, here)

    def _next_or_end(self, state: Mapping[str, object], here: str) -> None:
        if ("Next" in state) == ("End" in state):
            self.report(here, "nextOrEnd", "A state has either Next or End.", "Keep one of them.")
        elif "End" in state and state["End"] is not True:
            self.report(f"{here}/End", "nextOrEnd", "End can only be true.", "Write true.")

    def _task(self, state: Mapping[str, object], here: str) -> None:
        resource = state.get("Resource")
        if not isinstance(resource, str):
            return
        timeout, heartbeat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
        if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
            self.report(
                f"{here}/HeartbeatSeconds",
                "outOfRange",
                "HeartbeatSeconds must be smaller than TimeoutSeconds.",
                "Lower it.",
            )
        if FUNCTION.fullmatch(resource) or re.fullmatch(r"\$\{\w+\}", resource):
            return
        match = RESOURCE.fullmatch(resource)
        if match is None or match[1] not in INTEGRATIONS:
            self.report(
                f"{here}/Resource",
                "unknownResource",
                f"{resource!r:.90} is no resource that Millrace knows.",
                "Use lambda:invoke.",
            )
            return
        integration, pattern = match[1], match[2]
        if pattern is not None:
            self._pattern(state, here, integration, pattern)
        given = state.get("Parameters")
        keys = {str(key).removesuffix(".$") for key in given} if isinstance(given, dict) else ()
        for key in sorted(INTEGRATIONS[integration].difference(keys)):
            self.report(
                f"{here}/Parameters/{key}", "missing", f"{integration} needs {key}.", "Add it."
            )
        if integration == "lambda:invoke" and isinstance(given, dict):
            name = given.get("FunctionName", "-")
            if not isinstance(name, str) or not name:
                self.report(
                    f"{here}/Parameters/FunctionName",
                    "wrongType",
                    "FunctionName must name a function.",
                    "Write its name or ARN.",
                )

    def _pattern(
        self, state: Mapping[str, object], here: str, integration: str, pattern: str
    ) -> None:
        if pattern not in PATTERNS.get(integration, ()):
            self.report(
                f"{here}/Resource",
                "unknownResource",
                f"{integration} cannot be called with .{pattern}.",
                "Leave the suffix out.",
            )
        if self._machine_type == "EXPRESS":
            self.report(
                f"{here}/Resource",
                "notInExpress",
                f"An Express machine cannot wait with .{pattern}.",
                "Leave the suffix out, or make the machine STANDARD.",
            )
        if pattern == "waitForTaskToken" and "$$.Task.Token" not in json.dumps(
            state.get("Parameters")
        ):
            self.report(
                f"{here}/Parameters",
                "tokenNotPassed",
                "Nobody gets the task token, so the state cannot end.",
                "Pass $$.Task.Token.",
            )

    def _branches(self, state: Mapping[str, object], here: str) -> None:
        branches = state.get("Branches")
        if not isinstance(branches, list) or not branches:
            self.report(f"{here}/Branches", "missing", "There are no branches.", "Add a branch.")
            return
        for position, branch in enumerate(branches):
            self._inner(branch, f"{here}/Branches/{position}", {})

    def _item_processor(self, state: Mapping[str, object], here: str) -> None:
        if "ItemProcessor" in state:
            self._inner(
                state["ItemProcessor"], f"{here}/ItemProcessor", {"ProcessorConfig": _inline}
            )

    def _inner(self, scope: object, here: str, more: Checks) -> None:
        if not isinstance(scope, dict):
            self.report(here, "wrongType", "This must be an object.", "Write an object.")
            return
        checks: Checks = {
            "Comment": asl.any_text,
            "StartAt": asl.anything,
            "States": asl.anything,
            **more,
        }
        self._apply(here, asl.fields(scope, checks))
        self._scope(scope, here)

    def _choice(self, state: Mapping[str, object], here: str) -> None:
        choices = state.get("Choices")
        if not isinstance(choices, list) or not choices:
            self.report(f"{here}/Choices", "missing", "There are no choices.", "Add a rule.")
            return
        for position, rule in enumerate(choices):
            self._apply(f"{here}/Choices/{position}", choice_rule(rule))


def _targets(state: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key in ("Next", "Default"):
        if key in state:
            yield f"/{key}", state[key]
    for key in ("Catch", "Choices"):
        entries = state.get(key)
        for position, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict) and "Next" in entry:
                yield f"/{key}/{position}/Next", entry["Next"]


def _closure(start: set[str], edges: dict[str, set[str]]) -> set[str]:
    seen = set(start)
    stack = list(start)
    while stack:
        fresh = edges[stack.pop()] - seen
        seen |= fresh
        stack.extend(fresh)
    return seen


def _version(value: object) -> Iterable[Complaint]:
    if value != "1.0":
        yield "", "unknownValue", "The language's version is 1.0.", 'Write "1.0".'


def _json_path_only(value: object) -> Iterable[Complaint]:
    if value != "JSONPath":
        yield "", "unknownValue", "Only JSONPath machines are known here.", 'Write "JSONPath".'


def _inline(value: object) -> Iterable[Complaint]:
    if value != {"Mode": "INLINE"}:
        yield "", "unknownValue", "Only inline processing is known here.", "Use Mode INLINE."
