"""Finds fields of a flow document that nobody reads, because a misspelt dependency is a lost one.

A name close to a field that bears on the machine is refused. Any other is passed over and pointed
out: a file may hold what other tools need. (The API refuses all of them, whatever they resemble.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from millrace.compiler.model import Finding

# Fields that bear on the machine.
_FLOW_MACHINE = (
    *("steps", "isSynchronous"),
    *("retryMaxAttempts", "retryDelayMinutes", "retryUsesExponentialBackoff"),
)
_STEP_MACHINE = (
    *("id", "name", "type", "dependsOn", "isSkipped", "exceptionBehavior", "retry"),
    "timeoutSeconds",
)
_RETRY_MACHINE = ("maxAttempts", "intervalSeconds", "backoffRate", "maxDelaySeconds", "jitter")

# These and what else the API and files of `apply` know.
FLOW_FIELDS = frozenset(
    (
        *_FLOW_MACHINE,
        *("name", "description", "integrationId", "flowGroupId", "sortOrder", "stableKey"),
        *("externalId", "version", "prodFlag", "nuxVisible", "layoutDirection", "labels"),
        *("settings", "aliases", "trigger", "schedule", "timezone", "scheduleStartDate"),
        *("scheduleEndDate", "endpointSecurityType"),
        *("runNextFlowIds", "retryUniqueRequestIdField", "skipRetries"),
        *("autoResolveMatchingTraceKeys", "removeFailedPayloads", "priority", "useQueuedTime"),
        *("concurrency", "runPageGeneratorsInParallel", "notificationGroups", "notificationId"),
        *("logging", "testPayload", "testContentType", "testHeaders", "enabled", "disabled"),
        *("enabledAt", "organizationApiKeys", "webhooks", "callbacks", "deploy"),
    )
)
STEP_FIELDS = frozenset(
    (
        *_STEP_MACHINE,
        *("referrer", "action", "flowId", "filter", "onNotMatching", "exclusiveGroup"),
        *("proceedOnFailure", "skipRetries", "responseMapping", "schedule", "concurrency"),
        *("keepDeltaBehindFlowId", "keepDeltaBehindExportId"),
        *("position", "modelId", "workspaceId", "traceKey"),
        *("createdBy", "createdDate", "modifiedBy", "modifiedDate"),
    )
)

# How alike two names are that are one name misspelt (difflib's ratio): `dependOn` and `dependsOn`
# are, `time` and `type` are not.
_ALIKE = 0.8


@dataclass(slots=True)
class Spelling:
    """What to refuse, and what to point out: each unknown name once, where it first stands."""

    findings: list[Finding] = field(default_factory=list)
    passed_over: list[Finding] = field(default_factory=list)


def check_spelling(document: object) -> Spelling:
    """Look at the names of a decoded flow document's fields; `read` judges their values."""
    spelling = Spelling()
    seen = set()
    for kind, finding in _unknown(document):
        if finding.code == "unknownField":
            spelling.findings.append(finding)
        elif (place := (kind, finding.pointer.rpartition("/")[2])) not in seen:
            seen.add(place)
            spelling.passed_over.append(finding)
    return spelling


def _unknown(document: object) -> Iterator[tuple[str, Finding]]:
    if not isinstance(document, dict):
        return
    for finding in _fields(document, "", FLOW_FIELDS, _FLOW_MACHINE, None):
        yield "flow", finding
    steps = document.get("steps")
    for position, step in enumerate(steps if isinstance(steps, list) else ()):
        if not isinstance(step, dict):
            continue
        here = f"/steps/{position}"
        name = step["id"] if isinstance(step.get("id"), str) else None
        for finding in _fields(step, here, STEP_FIELDS, _STEP_MACHINE, name):
            yield "step", finding
        retry = step.get("retry")
        if isinstance(retry, dict):
            known = frozenset(_RETRY_MACHINE)
            for finding in _fields(retry, f"{here}/retry", known, _RETRY_MACHINE, name):
                yield "retry", finding


def _fields(
    fields: Mapping[object, object],
    base: str,
    known: frozenset[str],
    machine: tuple[str, ...],
    step: str | None,
) -> Iterator[Finding]:
    plain = {_plain(name): name for name in machine}
    for key in map(str, fields):
        if key in known:
            continue
        pointer = f"{base}/{key.replace('~', '~0').replace('/', '~1')}"
        alike = get_close_matches(_plain(key), plain, n=1, cutoff=_ALIKE)
        meant = plain[alike[0]] if alike else None
        # Beside the field itself, only the same name otherwise written counts as misspelt.
        if meant and (_plain(key) == _plain(meant) or meant not in fields):
            message = f"There is no field {key!r} here."
            yield Finding("unknownField", pointer, message, f"Write {meant}, or remove it.", step)
        else:
            message = f"The field {key!r} is not known and passed over."
            remedy = "Remove it, or correct its name, if it should mean something."
            yield Finding("passedOver", pointer, message, remedy, step)


def _plain(name: str) -> str:
    """A name without what is most easily mixed up: case, and how words are joined."""
    return "".join(character for character in name.lower() if character.isalnum())
