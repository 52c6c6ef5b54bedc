"""Deploy the real template to the local stack.

A deployment carries the digest of its source as a tag of the CloudFormation stack, so one that
would change nothing is recognised without building, packaging or updating anything.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from millrace_local.build import build, package, source_digest, template_parameters
from millrace_local.config import Config
from millrace_local.errors import LocalStackError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_cloudformation.type_defs import StackTypeDef

BUCKET = "millrace-deployments"
DIGEST_TAG = "millrace:source"
DEPLOY_SECONDS = 120.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deployed stack offers: its outputs, its HTTP API's id, and whether it was changed."""

    outputs: dict[str, str]
    api_id: str | None
    changed: bool


def deploy(config: Config) -> Deployment:
    """Bring the CloudFormation stack to what the template says and return its outputs."""
    cloudformation = config.session().client("cloudformation", endpoint_url=config.endpoint)
    digest = source_digest(config)
    current = _describe(cloudformation, config.stack_name)
    if current is not None and _is_current(current, digest):
        return _deployment(cloudformation, current, changed=False)
    built = build(config, digest)
    template = package(config, built, _bucket(config))
    if current is not None and current["StackStatus"] in {"ROLLBACK_COMPLETE", "CREATE_FAILED"}:
        # The remains of a first deployment that failed; AWS, too, wants them deleted first.
        cloudformation.delete_stack(StackName=config.stack_name)
        _await(cloudformation, config.stack_name)
        current = None
    _apply(cloudformation, config, template, digest, exists=current is not None)
    done = _await(cloudformation, config.stack_name)
    if done is None or done["StackStatus"] not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        raise LocalStackError(
            f"deploying failed: {_failure(cloudformation, config.stack_name)} "
            f"(log: {config.log})"
        )
    return _deployment(cloudformation, done, changed=True)


def _apply(
    cloudformation: "CloudFormationClient",
    config: Config,
    template: str,
    digest: str,
    *,
    exists: bool,
) -> None:
    parameters = template_parameters(config)
    try:
        (cloudformation.update_stack if exists else cloudformation.create_stack)(
            StackName=config.stack_name,
            TemplateBody=template,
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Tags=[{"Key": DIGEST_TAG, "Value": digest}],
        )
    except ClientError as error:
        raise LocalStackError(f"deploying failed: {error.response['Error']['Message']}") from error


def _describe(cloudformation: "CloudFormationClient", name: str) -> "StackTypeDef | None":
    try:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":  # there is no such stack
            return None
        raise
    return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def _is_current(stack: "StackTypeDef", digest: str) -> bool:
    return stack["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"} and {
        "Key": DIGEST_TAG,
        "Value": digest,
    } in stack.get("Tags", [])


def _await(cloudformation: "CloudFormationClient", name: str) -> "StackTypeDef | None":
    """Wait until nothing is in progress and return the stack; None when it is deleted."""
    deadline = time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        stack = _describe(cloudformation, name)
        if stack is None or not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(POLL_SECONDS)
    raise LocalStackError(f"deploying took more than {DEPLOY_SECONDS:.0f} s and was given up")


def _failure(cloudformation: "CloudFormationClient", name: str) -> str:
    """Return the reason of the resource that failed first; the others were only cancelled."""
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    for event in reversed(events):
        if event.get("ResourceStatus", "").endswith("_FAILED"):
            reason = " ".join(event.get("ResourceStatusReason", "no reason given").split())
            return f"{event.get('LogicalResourceId')}: {reason}"
    return "CloudFormation names no resource"


def _deployment(
    cloudformation: "CloudFormationClient", stack: "StackTypeDef", *, changed: bool
) -> Deployment:
    resources = cloudformation.describe_stack_resources(StackName=stack["StackName"])
    apis = [
        resource["PhysicalResourceId"]
        for resource in resources["StackResources"]
        if resource["ResourceType"] == "AWS::ApiGatewayV2::Api"
    ]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    return Deployment(outputs=outputs, api_id=apis[0] if apis else None, changed=changed)


def _bucket(config: Config) -> str:
    s3 = config.session().client("s3", endpoint_url=config.endpoint)
    s3.create_bucket(Bucket=BUCKET)
    return BUCKET
