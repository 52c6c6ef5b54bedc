"""Comparing roles with what the functions need tells what is missing and what is too much."""

from typing import Any

import pytest
from tests.support.app import FUNCTIONS
from tests.support.aws import BUCKET, ENVIRONMENT, KEY_ARN, TABLE
from tests.support.aws_requests import Need, needs
from tests.support.grants import NOT_SEEN, Grant, denied, grants, unused

DECRYPT = ("run_step", "kms:Decrypt")
READ = Need("dynamodb:GetItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/millrace-table")


def test_what_no_role_allows_is_told() -> None:
    """By function, action and resource; the grant of another function does not help."""
    other = Grant("api", READ.action, READ.resource, {})
    told = denied({"ingress": [READ]}, [other])
    assert told == [f"ingress: dynamodb:GetItem on {READ.resource}"]
    assert denied({"api": [READ]}, [other]) == []


def test_what_nothing_needs_is_told() -> None:
    """Unless there is a reason for it, which holds for no other resource of the same action."""
    grant = Grant("api", READ.action, READ.resource, {})
    other = Grant("api", READ.action, f"{READ.resource}/index/gsi1", {})
    assert unused({"ingress": [READ]}, [grant], {}) == [str(grant)]
    assert unused({"api": [READ]}, [grant], {}) == []
    reasons = {("api", READ.action, READ.resource): "Lambda asks"}
    assert unused({}, [grant, other], reasons) == [str(other)]


def test_a_reason_for_what_is_needed_is_told() -> None:
    """It is not one, and would excuse what comes back."""
    grant = Grant("api", READ.action, READ.resource, {})
    reasons = {("api", READ.action, READ.resource): "Lambda asks"}
    assert unused({"api": [READ]}, [grant], reasons) == [f"reason for {grant}"]


@pytest.mark.parametrize(
    ("resource", "allowed"), [("table/a*", True), ("table/a", False), ("table/b*", False)]
)
def test_resources_are_patterns(resource: str, allowed: bool) -> None:  # noqa: FBT001 - a case
    """As in IAM, a star stands for anything."""
    grant = Grant("api", "dynamodb:Query", resource, {})
    assert grant.allows(Need("dynamodb:Query", "table/a/index/x")) is allowed


def test_a_condition_asks_for_its_keys() -> None:
    """A request without it, or with another value, is refused; any of several values will do."""
    condition = {"StringEquals": {"kms:ViaService": ["s3.example", "ssm.example"]}}
    grant = Grant("api", "kms:Decrypt", "*", condition)
    assert grant.allows(Need("kms:Decrypt", "key", (("kms:ViaService", "ssm.example"),)))
    assert not grant.allows(Need("kms:Decrypt", "key", (("kms:ViaService", "sqs.example"),)))
    assert not grant.allows(Need("kms:Decrypt", "key"))


def test_a_condition_that_is_not_understood_allows_nothing_unseen() -> None:
    """The comparison fails rather than guess."""
    grant = Grant("api", "s3:GetObject", "*", {"StringLike": {"a": "b"}})
    with pytest.raises(NotImplementedError):
        grant.allows(Need("s3:GetObject", "x"))


@pytest.mark.parametrize(
    ("service", "operation", "params", "actions"),
    [
        ("dynamodb", "GetItem", {"TableName": TABLE}, {"dynamodb:GetItem", "kms:Decrypt"}),
        (
            "dynamodb",
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": TABLE}},
                    {"Delete": {"TableName": TABLE}},
                    {"ConditionCheck": {"TableName": TABLE}},
                ]
            },
            {
                "dynamodb:PutItem",
                "dynamodb:DeleteItem",
                "dynamodb:ConditionCheckItem",
                "kms:Decrypt",
            },
        ),
        (
            "dynamodb",
            "BatchWriteItem",
            {"RequestItems": {"users": []}},
            {"dynamodb:BatchWriteItem"},
        ),
        (
            "s3",
            "PutObject",
            {"Bucket": BUCKET, "Key": "runs/a"},
            {"s3:PutObject", "kms:GenerateDataKey"},
        ),
        ("s3", "HeadObject", {"Bucket": "users", "Key": "a"}, {"s3:GetObject"}),
        (
            "ssm",
            "PutParameter",
            {"Name": "/a", "Type": "SecureString"},
            {"ssm:PutParameter", "kms:Encrypt"},
        ),
        (
            "stepfunctions",
            "CreateStateMachine",
            {"name": "m", "roleArn": "r"},
            {"states:CreateStateMachine", "iam:PassRole"},
        ),
        (
            "scheduler",
            "CreateSchedule",
            {"Name": "s", "GroupName": "g", "Target": {"RoleArn": "r"}},
            {"scheduler:CreateSchedule", "iam:PassRole"},
        ),
        ("lambda", "Invoke", {"FunctionName": "f"}, {"lambda:InvokeFunction"}),
        ("sqs", "SendMessageBatch", {"QueueUrl": "https://sqs/1/q"}, {"sqs:SendMessage"}),
        ("glue", "GetTable", {}, {"glue:GetTable"}),
    ],
)
def test_a_request_needs_what_iam_asks_for(
    service: str, operation: str, params: dict[str, Any], actions: set[str]
) -> None:
    """Which is not always called like the operation, nor one permission only."""
    assert {need.action for need in needs(service, operation, params)} == actions


def test_a_query_of_an_index_needs_the_index() -> None:
    """The permission for the table is not enough."""
    found = needs("dynamodb", "Query", {"TableName": TABLE, "IndexName": "gsi1"})
    assert Need("dynamodb:Query", f"{READ.resource}/index/gsi1") in found


def test_the_key_is_asked_for_by_the_service() -> None:
    """A role that may decrypt what DynamoDB stores need not be able to decrypt by itself."""
    (key,) = (need for need in needs("dynamodb", "GetItem", {"TableName": TABLE}) if need != READ)
    assert key.resource == KEY_ARN
    assert dict(key.keys) == {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com"}


def test_every_function_has_a_role_and_every_name_in_it_a_value() -> None:
    """What is read from template.yaml is whole, and its prefixes are those of the tests."""
    read = grants()
    assert {grant.function for grant in read} == {*FUNCTIONS}
    assert not any("${" in grant.resource or "{" in str(grant.action) for grant in read)
    machines = ENVIRONMENT["MILLRACE_MACHINE_ARN_PREFIX"] + "*"
    assert Grant("run_step", "states:StartExecution", machines, {}) in read


def test_each_value_of_a_condition_is_a_permission_of_its_own() -> None:
    """So a service that the key is not used through any more is told."""
    of_key = [grant for grant in grants() if (grant.function, grant.action) == DECRYPT]
    assert {grant.condition["StringEquals"]["kms:ViaService"] for grant in of_key} == {
        f"{service}.eu-west-1.amazonaws.com" for service in ("dynamodb", "s3", "ssm")
    }


def test_reasons_are_given_for_what_is_granted_only() -> None:
    """A reason for what is gone would excuse what comes back."""
    granted = {(grant.function, grant.action, grant.resource) for grant in grants()}
    assert NOT_SEEN.keys() <= granted
