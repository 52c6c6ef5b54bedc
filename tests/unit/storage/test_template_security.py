"""template.yaml keeps to the rules of docs/security.md: encryption, reach and roles."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.support.aws import ROOT
from tests.support.grants import sam_template

type Json = dict[str, Any]

KEY = {"Fn::GetAtt": ["Key", "Arn"]}
FUNCTION = "AWS::Serverless::Function"
LACKING = {
    "CKV_AWS_18": ("AWS::S3::Bucket", "LoggingConfiguration"),
    "CKV_AWS_21": ("AWS::S3::Bucket", "VersioningConfiguration"),
    "CKV_AWS_27": ("AWS::SQS::Queue", "KmsMasterKeyId"),
    "CKV_AWS_95": ("AWS::Serverless::HttpApi", "AccessLogSettings"),
    "CKV_AWS_115": (FUNCTION, "ReservedConcurrentExecutions"),
    "CKV_AWS_116": (FUNCTION, "DeadLetterQueue"),
    "CKV_AWS_117": (FUNCTION, "VpcConfig"),
    "CKV_AWS_158": ("AWS::Logs::LogGroup", "KmsKeyId"),
    "CKV_AWS_173": (FUNCTION, "KmsKeyArn"),
}
"""What each rule of checkov that is not kept asks for."""


def of_type(kind: str) -> dict[str, Json]:
    """The resources of a type, by name."""
    resources = sam_template()["Resources"]
    return {name: each for name, each in resources.items() if each["Type"] == kind}


def statements() -> Iterator[tuple[str, Json]]:
    """Each statement of a policy of a role or function, with the resource's name."""
    for name, resource in sam_template()["Resources"].items():
        for policy in resource.get("Properties", {}).get("Policies", []):
            for statement in policy.get("PolicyDocument", policy)["Statement"]:
                yield name, statement


def listed(value: object) -> list[Any]:
    """One or several, as a policy may have it."""
    return value if isinstance(value, list) else [value]


def test_the_table_is_encrypted_recoverable_and_protected() -> None:
    """By the stack's key, to any second of the last 35 days, against deletion."""
    (table,) = of_type("AWS::DynamoDB::Table").values()
    properties = table["Properties"]
    assert properties["SSESpecification"] == {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": KEY,
    }
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["DeletionProtectionEnabled"] is True


@pytest.mark.parametrize("name", ["Key", "Table", "Bucket", "BucketPolicy"])
def test_data_stays_when_the_stack_goes(name: str) -> None:
    """And so does what it is encrypted with, without which there would be no data."""
    resource = sam_template()["Resources"][name]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_key_turns_and_is_the_accounts() -> None:
    """It is renewed each year, and nobody outside the account is let near it."""
    (key,) = of_type("AWS::KMS::Key").values()
    assert key["Properties"]["EnableKeyRotation"] is True
    (statement,) = key["Properties"]["KeyPolicy"]["Statement"]
    account = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"
    assert statement["Principal"] == {"AWS": {"Fn::Sub": account}}


def test_buckets_are_encrypted_and_not_public() -> None:
    """By the stack's key, without access lists, whatever a policy may say."""
    for bucket in of_type("AWS::S3::Bucket").values():
        properties = bucket["Properties"]
        assert properties["PublicAccessBlockConfiguration"] == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": KEY,
        }
        (ownership,) = properties["OwnershipControls"]["Rules"]
        assert ownership["ObjectOwnership"] == "BucketOwnerEnforced"


@pytest.mark.parametrize(
    ("kind", "policies", "of"),
    [
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues"),
    ],
)
def test_only_tls_is_spoken(kind: str, policies: str, of: str) -> None:
    """Everybody is refused everything over plain HTTP, and a policy of the data gives nothing."""
    named = set()
    for policy in of_type(policies).values():
        properties = policy["Properties"]
        named |= {each["Ref"] for each in listed(properties[of])}
        (statement,) = properties["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        assert statement["Action"].endswith(":*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert named == {*of_type(kind)}


def test_queues_are_encrypted_and_there_are_no_topics() -> None:
    """Topics of notifications are the users' own."""
    for queue in of_type("AWS::SQS::Queue").values():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
    assert not of_type("AWS::SNS::Topic")


def test_every_log_ends() -> None:
    """Each function writes to a log of the stack, which is kept as long as the operator says."""
    logs = of_type("AWS::Logs::LogGroup")
    functions = of_type("AWS::Serverless::Function").values()
    written = {each["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] for each in functions}
    assert written == {*logs}
    assert len(written) == len(functions)
    assert all(
        each["Properties"]["RetentionInDays"] == {"Ref": "LogDays"} for each in logs.values()
    )


def test_no_role_has_a_wildcard_for_actions() -> None:
    """What it may do is spelled out."""
    for name, statement in statements():
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            assert re.fullmatch(r"[a-z0-9]+:[A-Z]\w+", action), (name, action)


def test_a_role_for_everything_says_why() -> None:
    """A statement on all resources has a comment, at its side or before it."""
    lines = (ROOT / "template.yaml").read_text().splitlines()
    wide = [number for number, line in enumerate(lines) if 'Resource: "*"' in line]
    assert len(wide) >= len([1 for _, each in statements() if each["Resource"] == "*"])
    for number in wide:
        begin = next(
            above for above in range(number, 0, -1) if re.match(r" *- (Effect|Sid):", lines[above])
        )
        assert any("#" in line for line in lines[begin - 1 : number + 1]), lines[number]


def test_every_role_is_for_one_service_and_takes_no_ready_made_policies() -> None:
    """A function's is made by SAM, for Lambda."""
    for role in of_type("AWS::IAM::Role").values():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRole"
        assert isinstance(statement["Principal"]["Service"], str)
        assert "ManagedPolicyArns" not in role["Properties"]
    for function in of_type("AWS::Serverless::Function").values():
        assert "Role" not in function["Properties"]
        assert all(isinstance(policy, dict) for policy in function["Properties"]["Policies"])


def test_a_policy_gives_nothing_to_everybody() -> None:
    """Only a refusal is for all principals."""
    text = (ROOT / "template.yaml").read_text().splitlines()
    for number, line in enumerate(text):
        if 'Principal: "*"' in line:
            assert "Effect: Deny" in text[number - 1]


def test_each_exception_from_the_linters_rules_is_told_and_needed() -> None:
    """The rule is passed over, its reason is in docs/security.md, and the template lacks it."""
    passed_over = yaml.safe_load((ROOT / "local/checkov.yaml").read_text())["skip-check"]
    told = re.findall(r"^\| `(CKV_\w+)` \|", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
    assert passed_over == told == [*LACKING]
    defaults = sam_template()["Globals"]["Function"]
    for rule, (kind, name) in LACKING.items():
        having = {each for each, it in of_type(kind).items() if name in it["Properties"]}
        # Nobody waits for the trigger function: what it could not do is kept.
        assert having == ({"TriggerFunction"} if rule == "CKV_AWS_116" else set()), rule
        assert kind != FUNCTION or name not in defaults, rule


def test_functions_are_traced_and_their_variables_hold_no_secrets() -> None:
    """So they need no key of their own: they are names, levels and ARNs."""
    defaults = sam_template()["Globals"]["Function"]
    assert defaults["Tracing"] == "Active"
    functions = of_type(FUNCTION).values()
    assert all("Tracing" not in each["Properties"] for each in functions)
    names = {
        name
        for each in (defaults, *(function["Properties"] for function in functions))
        for name in each.get("Environment", {}).get("Variables", {})
    }
    secret = re.compile("PASSWORD|TOKEN|CREDENTIAL|SECRET(?!S_PREFIX)|API_KEY")
    assert [name for name in names if secret.search(name)] == []
