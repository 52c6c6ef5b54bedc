"""AWS in process: moto with the resources that template.yaml declares."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
import yaml
from moto import mock_aws

if TYPE_CHECKING:
    from moto.core.config import DefaultConfig
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).parents[2]
REGION: Final = "eu-west-1"
ACCOUNT = "123456789012"
TABLE = "millrace-table"
BUCKET = "millrace-bucket"
STACK = "millrace"
TARGET_PREFIX = "millrace-data-"
KEY_ARN: Final = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def function_arn(name: str) -> str:
    """The ARN of a function of the stack."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK}-{name}"


ENVIRONMENT: Mapping[str, str] = {
    "AWS_DEFAULT_REGION": REGION,
    "MILLRACE_TABLE": TABLE,
    "MILLRACE_BUCKET": BUCKET,
    "MILLRACE_SECRETS_PREFIX": f"/{STACK}/secrets",
    "MILLRACE_KEY_ARN": KEY_ARN,
    "MILLRACE_MACHINE_ARN_PREFIX": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-",
    "MILLRACE_MACHINE_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/{STACK}-machines",
    "MILLRACE_RUN_STEP_ARN": function_arn("run-step"),
    "MILLRACE_LIFECYCLE_ARN": function_arn("lifecycle"),
    "MILLRACE_NOTIFY_MACHINE_ARN": (
        f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:notifications-{STACK}"
    ),
    "MILLRACE_MAIL_SENDER": "millrace@example.com",
    "MILLRACE_TRIGGER_ARN": function_arn("trigger"),
    "MILLRACE_SCHEDULE_GROUP": f"{STACK}-flows",
    "MILLRACE_TARGET_PREFIX": TARGET_PREFIX,
    "MILLRACE_QUEUE_ARN_PREFIX": f"arn:aws:sqs:{REGION}:{ACCOUNT}:",
    "MILLRACE_SCHEDULE_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/{STACK}-schedules",
    "MILLRACE_SCHEDULE_DEAD_LETTERS_ARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{STACK}-dead-letters",
    # The servers of tests listen there, as those of the local stack do.
    "MILLRACE_ALLOWED_NETWORKS": json.dumps(
        {"loopback": {"cidrs": ["127.0.0.1/32"], "workspaces": ["*"]}}
    ),
}
"""What the functions find in their environment, as template.yaml sets it."""


class _CloudFormationLoader(yaml.SafeLoader):
    """Reads a template; short-form intrinsic functions become their bare argument."""


def _argument(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    raise TypeError(node)


_CloudFormationLoader.add_multi_constructor("!", _argument)


def template() -> dict[str, Any]:
    """template.yaml, with `!Ref Table` read as `Table` and so on."""
    loaded: dict[str, Any] = yaml.load(
        (ROOT / "template.yaml").read_text(),
        Loader=_CloudFormationLoader,  # noqa: S506 - a SafeLoader all the same
    )
    return loaded


def create_table(client: "DynamoDBClient", name: str = TABLE) -> None:
    """The one table, with the keys and indexes of template.yaml."""
    declared = template()["Resources"]["Table"]["Properties"]
    names = (
        "AttributeDefinitions",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "KeySchema",
        "LocalSecondaryIndexes",
    )
    client.create_table(TableName=name, **{key: declared[key] for key in names})


@contextmanager
def simulated_aws(*, machines_run: bool = False) -> Iterator[None]:
    """Every AWS call stays in this process; `machines_run` interprets state machines too."""
    config: DefaultConfig = {
        "stepfunctions": {"execute_state_machine": machines_run},
        "lambda": {"use_docker": False},
        # Moto takes each key whole; without the reset a mock starts three times faster.
        "core": {
            "mock_credentials": True,
            "passthrough": {"urls": [], "services": []},
            "reset_boto3_session": False,
            "service_whitelist": None,
        },
    }
    with pytest.MonkeyPatch.context() as patch, mock_aws(config=config):
        # Nothing of the developer's own AWS set-up may matter.
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION"):
            patch.delenv(name, raising=False)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, os.devnull)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


def create_stack() -> None:
    """The resources of template.yaml that the functions call."""
    create_table(boto3.client("dynamodb"))
    boto3.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    boto3.client("scheduler").create_schedule_group(Name=f"{STACK}-flows")


def create_notify_machine() -> str:
    """The hand-written machine of notifications; its ARN."""
    made = boto3.client("stepfunctions").create_state_machine(
        name=f"notifications-{STACK}",
        definition=(ROOT / "statemachines/notify.asl.json").read_text(),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/{STACK}-notifications",
    )
    return made["stateMachineArn"]
