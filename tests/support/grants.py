"""What the roles of the functions in template.yaml allow, compared with what their code needs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from re import sub
from typing import Any, Final

from samcli.yamlhelper import yaml_parse
from tests.support.aws import (
    ACCOUNT,
    BUCKET,
    ENVIRONMENT,
    KEY_ARN,
    REGION,
    ROOT,
    STACK,
    TABLE,
    TARGET_PREFIX,
)
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

type Reasons = Mapping[tuple[str, str, str], str]
"""By function, action and resource as the role has it."""

_BY_LAMBDA: Final = "Lambda itself asks, by the function's role, to read the queue"
_QUEUES: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{TARGET_PREFIX}*"
NOT_SEEN: Final[Reasons] = {
    ("trigger", "sqs:ReceiveMessage", _QUEUES): _BY_LAMBDA,
    ("trigger", "sqs:DeleteMessage", _QUEUES): _BY_LAMBDA,
    ("trigger", "sqs:GetQueueAttributes", _QUEUES): _BY_LAMBDA,
}
"""What is allowed though no request of a function needs it, with the reason."""


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
        given = [
            f"{key} {value}" for asked in self.condition.values() for key, value in asked.items()
        ]
        return " with ".join([f"{self.function}: {self.action} on {self.resource}", *given])


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


def _each_condition(condition: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A condition with one of the values that it takes, for each of them: each is to be needed."""
    asked = [(operator, key) for operator, keys in condition.items() for key in keys]
    for values in product(*(_listed(condition[operator][key]) for operator, key in asked)):
        chosen: dict[str, Any] = {}
        for (operator, key), value in zip(asked, values, strict=True):
            chosen.setdefault(operator, {})[key] = value
        yield chosen


def grants() -> list[Grant]:
    """Everything that the roles of the functions allow, one by one."""
    read = sam_template()
    values = {name: each["Default"] for name, each in read["Parameters"].items()} | {**VALUES}
    return [
        Grant(Path(properties["CodeUri"]).name, action, resource, condition)
        for found in read["Resources"].values()
        if found["Type"] == "AWS::Serverless::Function"
        for properties in [found["Properties"]]
        for policy in properties["Policies"]
        for statement in resolved(policy, values)["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
        for condition in _each_condition(statement.get("Condition", {}))
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


def unused(needed: Needs, allowed: Iterable[Grant], reasons: Reasons = NOT_SEEN) -> list[str]:
    """What the functions may do and need not, but for what there is a reason for.

    And what there is a reason for though it is needed: it would excuse what comes back.
    """
    told = []
    for grant in allowed:
        is_excused = (grant.function, grant.action, grant.resource) in reasons
        is_needed = any(grant.allows(need) for need in needed.get(grant.function, []))
        if is_excused and is_needed:
            told.append(f"reason for {grant}")
        elif not is_excused and not is_needed:
            told.append(str(grant))
    return sorted(told)
