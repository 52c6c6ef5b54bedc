"""Deploy the real template to the local stack.

A deployment carries the digest of its source as a tag of the CloudFormation stack, so one that
would change nothing is recognised without building, packaging or updating anything.
"""

import time
from dataclasses import dataclass

from botocore.exceptions import ClientError

from millrace_local.build import build, package, source_digest, template_parameters
from millrace_local.config import Config
from millrace_local.errors import LocalStackError

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


@dataclass(frozen=True, slots=True)
class StackState:
    """What CloudFormation says of a stack."""

    status: str
    tags: dict[str, str]
    outputs: dict[str, str]

    @property
    def succeeded(self) -> bool:
        """Whether the last change succeeded."""
        return self.status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}

    def is_of(self, digest: str) -> bool:
        """Tell whether this is the deployed source; a rollback restores the tags with the rest."""
        stands = self.succeeded or self.status == "UPDATE_ROLLBACK_COMPLETE"
        return stands and self.tags.get(DIGEST_TAG) == digest


def deploy(config: Config) -> Deployment:
    """Bring the CloudFormation stack to what the template says and return its outputs."""
    client = StackClient(config)
    digest = source_digest(config)
    current = client.settled()  # not describe: an interrupted call may have left a change at work
    if current is not None and current.is_of(digest):
        return Deployment(outputs=current.outputs, api_id=client.http_api_id(), changed=False)
    built = build(config, digest)
    template = _stored(config, digest, package(config, built, _bucket(config)))
    if current is not None and current.status in {"ROLLBACK_COMPLETE", "CREATE_FAILED"}:
        # The remains of a first deployment that failed; AWS, too, wants them deleted first.
        client.delete()
        current = None
    done = client.apply(template, digest, exists=current is not None)
    return Deployment(outputs=done.outputs, api_id=client.http_api_id(), changed=True)


class StackClient:
    """The CloudFormation calls for one stack, each waiting until it has taken effect."""

    def __init__(self, config: Config) -> None:
        self._client = config.session().client("cloudformation", endpoint_url=config.endpoint)
        self._config = config
        self._name = config.stack_name

    def _describe(self) -> StackState | None:
        """Return the stack's state; None if there is no such stack."""
        try:
            stack = self._client.describe_stacks(StackName=self._name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
        if stack["StackStatus"] == "DELETE_COMPLETE":
            return None
        return StackState(
            status=stack["StackStatus"],
            tags={tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])},
            outputs={each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])},
        )

    def apply(self, template_url: str, digest: str, *, exists: bool) -> StackState:
        """Create or update the stack."""
        parameters = template_parameters(self._config)
        try:
            (self._client.update_stack if exists else self._client.create_stack)(
                StackName=self._name,
                TemplateURL=template_url,
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": value}
                    for key, value in parameters.items()
                ],
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
                Tags=[{"Key": DIGEST_TAG, "Value": digest}],
            )
        except ClientError as error:
            message = error.response["Error"]["Message"]
            raise LocalStackError(f"deploying failed: {message}") from error
        try:
            done = self.settled()
        except KeyboardInterrupt:
            # Stopping the stack amid a change would keep half of it; a change takes a second.
            self.settled()
            raise
        if done is None or not done.succeeded:
            raise LocalStackError(f"deploying failed: {self._failure()} (log: {self._config.log})")
        return done

    def delete(self) -> None:
        """Delete the stack."""
        self._client.delete_stack(StackName=self._name)
        self.settled()

    def http_api_id(self) -> str | None:
        """Return the id of the template's HTTP API, if it has one."""
        resources = self._client.describe_stack_resources(StackName=self._name)["StackResources"]
        apis = [each for each in resources if each["ResourceType"] == "AWS::ApiGatewayV2::Api"]
        return apis[0]["PhysicalResourceId"] if apis else None

    def settled(self) -> StackState | None:
        """Wait until nothing is in progress and return the stack; None when it is deleted."""
        deadline = time.monotonic() + DEPLOY_SECONDS
        while time.monotonic() < deadline:
            state = self._describe()
            if state is None or not state.status.endswith("_IN_PROGRESS"):
                return state
            time.sleep(POLL_SECONDS)
        raise LocalStackError(f"deploying took more than {DEPLOY_SECONDS:.0f} s and was given up")

    def _failure(self) -> str:
        """Return the reason of the last change's first failure; the others were only cancelled."""
        reason = "CloudFormation names no resource"
        for event in self._client.describe_stack_events(StackName=self._name)["StackEvents"]:
            status = event.get("ResourceStatus", "")
            if status.endswith("_FAILED"):
                said = " ".join(event.get("ResourceStatusReason", "no reason given").split())
                reason = f"{event.get('LogicalResourceId')}: {said}"
            # Newest first: the start of the change ends the search.
            if event.get("LogicalResourceId") == self._name and status in {
                "CREATE_IN_PROGRESS",
                "UPDATE_IN_PROGRESS",
            }:
                break
        return reason


def _stored(config: Config, digest: str, template: str) -> str:
    """The address of the template in the bucket: in a request it may have 51,200 bytes only."""
    key = f"{digest}.yaml"
    s3 = config.session().client("s3", endpoint_url=config.endpoint)
    s3.put_object(Bucket=BUCKET, Key=key, Body=template.encode())
    return f"{config.endpoint}/{BUCKET}/{key}"


def _bucket(config: Config) -> str:
    s3 = config.session().client("s3", endpoint_url=config.endpoint)
    s3.create_bucket(Bucket=BUCKET)
    return BUCKET
