"""What the roles of the functions in template.yaml allow, compared with what their code needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from re import sub
from typing import Any, Final

from samcli.yamlhelper import yaml_parse
from tests.support.aws import ACCOUNT, BUCKET, ENVIRONMENT, KEY_ARN, REGION, ROOT, STACK, TABLE
from tests.support.aws_requests import Need

type Needs = Mapping[str, Iterable[Need]]
"""By the name of the function's folder."""

VALUES: Final[Mapping[str, str]] = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
    "Bucket.Arn": f"arn:aws:s3:::{BUCKET}",
    "Key.Arn": KEY_ARN,
    "MailSender": ENVIRONMENT["MILLRACE_MAIL_SENDER"],
    "MachineRole.Arn": ENVIRONMENT["MILLRACE_MACHINE_ROLE_ARN"],
    "NotifyMachine": ENVIRONMENT["MILLRACE_NOTIFY_MACHINE_ARN"],
    "ScheduleGroup": ENVIRONMENT["MILLRACE_SCHEDULE_GROUP"],
    "ScheduleRole.Arn": ENVIRONMENT["MILLRACE_SCHEDULE_ROLE_ARN"],
    "Table.Arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}",
    "TriggerFunction.Arn": ENVIRONMENT["MILLRACE_TRIGGER_ARN"],
}
"""What a deploy makes of the names in template.yaml, beside the defaults of its parameters."""

_BY_LAMBDA: Final = "Lambda itself asks, by the function's role, to read the queue"
_SWEEP: Final = "of the sweeper or after an end, which unit tests run over stores in memory"
_OLDER: Final = "an older run for the same request ends: unit/usecases/test_unique_requests.py"
_MISSING: Final = "without it a missing object looks like a forbidden one"
_HELD: Final = "functional/test_callbacks.py runs the synchronous machines itself"
NOT_SEEN: Final[Mapping[tuple[str, str], str]] = {
    ("trigger", "sqs:ReceiveMessage"): _BY_LAMBDA,
    ("trigger", "sqs:DeleteMessage"): _BY_LAMBDA,
    ("trigger", "sqs:GetQueueAttributes"): _BY_LAMBDA,
    (
        "api",
        "dynamodb:Query",
    ): "of runs that are not over: unit/storage/test_runs_contract.py",
    ("api", "lambda:InvokeFunction"): "tests of flows call functions: unit/usecases/test_trials.py",
    (
        "api",
        "lambda:UpdateEventSourceMapping",
    ): "a mapping that was disabled is enabled: unit/orchestration/test_queue_mappings.py",
    ("api", "s3:ListBucket"): _MISSING,
    (
        "api",
        "states:UpdateStateMachine",
    ): "unit/orchestration/test_step_functions.py",
    (
        "ingress",
        "dynamodb:BatchGetItem",
    ): "a run is ended for its caller: unit/usecases/test_hold.py",
    (
        "ingress",
        "s3:GetObject",
    ): "results that are large: unit/usecases/test_hold.py",
    ("ingress", "states:StartSyncExecution"): _HELD,
    ("ingress", "states:StopExecution"): _OLDER,
    ("lifecycle", "iam:PassRole"): _SWEEP,
    ("lifecycle", "kms:GenerateDataKey"): _SWEEP,
    ("lifecycle", "lambda:CreateEventSourceMapping"): _SWEEP,
    ("lifecycle", "lambda:DeleteEventSourceMapping"): _SWEEP,
    ("lifecycle", "lambda:ListEventSourceMappings"): _SWEEP,
    ("lifecycle", "lambda:UpdateEventSourceMapping"): _SWEEP,
    ("lifecycle", "s3:DeleteObject"): _SWEEP,
    ("lifecycle", "s3:PutObject"): _SWEEP,
    ("lifecycle", "scheduler:CreateSchedule"): _SWEEP,
    ("lifecycle", "scheduler:DeleteSchedule"): _SWEEP,
    ("lifecycle", "scheduler:ListSchedules"): _SWEEP,
    ("lifecycle", "scheduler:UpdateSchedule"): _SWEEP,
    ("lifecycle", "states:DescribeExecution"): _SWEEP,
    ("lifecycle", "states:StopExecution"): _OLDER,
    ("run_step", "s3:ListBucket"): _MISSING,
    (
        "run_step",
        "states:SendTaskSuccess",
    ): "a sub-flow is over already: unit/usecases/test_calls.py",
    ("run_step", "states:StopExecution"): _OLDER,
    ("trigger", "dynamodb:Query"): _OLDER,
    ("trigger", "states:StopExecution"): _OLDER,
}
"""What is allowed though no test's request needs it, by function and action, with the reason."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one resource that a function's role allows."""

    function: str
    action: str
    resource: str
    condition: Mapping[str, Mapping[str, Any]]

    def allows(self, need: Need) -> bool:
        """Whether IAM would let a request pass by this."""
        return (
            self.action == need.action
            and fnmatchcase(need.resource, self.resource)
            and all(
                dict(need.keys).get(key) in _listed(values)
                for operator, asked in self.condition.items()
                for key, values in _known(operator, asked).items()
            )
        )

    def __str__(self) -> str:
        """For whoever has to put the template right."""
        return f"{self.function}: {self.action} on {self.resource}"


def _known(operator: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    if operator not in {"StringEquals", "ArnEquals"}:
        raise NotImplementedError(operator)
    return asked


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def sam_template() -> dict[str, Any]:
    """template.yaml, with intrinsic functions as `{"Fn::Sub": ...}`."""
    loaded: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return loaded


def resolved(value: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """A part of a template with the values of what it refers to."""
    match value:
        case {"Ref": name}:
            return values[name]
        case {"Fn::GetAtt": [name, attribute]}:
            return values[f"{name}.{attribute}"]
        case {"Fn::Sub": str(text)}:
            return sub(r"\$\{([\w.:]+)\}", lambda found: values[found[1]], text)
        case dict():
            return {key: resolved(each, values) for key, each in value.items()}
        case list():
            return [resolved(each, values) for each in value]
    return value


def grants() -> list[Grant]:
    """Everything that the roles of the functions allow."""
    read = sam_template()
    values = {name: each["Default"] for name, each in read["Parameters"].items()} | {**VALUES}
    return [
        Grant(Path(properties["CodeUri"]).name, action, resource, statement.get("Condition", {}))
        for found in read["Resources"].values()
        if found["Type"] == "AWS::Serverless::Function"
        for properties in [found["Properties"]]
        for policy in properties["Policies"]
        for statement in resolved(policy, values)["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    ]


def denied(needed: Needs, allowed: Iterable[Grant]) -> list[str]:
    """What AWS would refuse to the functions."""
    by_function: dict[str, list[Grant]] = {}
    for grant in allowed:
        by_function.setdefault(grant.function, []).append(grant)
    return sorted(
        f"{function}: {need.action} on {need.resource}"
        for function, asked in needed.items()
        for need in asked
        if not any(grant.allows(need) for grant in by_function.get(function, []))
    )


def unused(
    needed: Needs,
    allowed: Iterable[Grant],
    reasons: Mapping[tuple[str, str], str] = NOT_SEEN,
) -> list[str]:
    """What the functions may do and need not, but for what there is a reason for."""
    return sorted(
        str(grant)
        for grant in allowed
        if (grant.function, grant.action) not in reasons
        and not any(grant.allows(need) for need in needed.get(grant.function, []))
    )
