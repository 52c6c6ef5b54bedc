"""Which permissions AWS asks of who makes a request, as the service authorization reference has it.

What is not written down here is asked for by the operation's own name and of every resource, so
that no role allows it and the run of the tests says so.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.support.aws import ACCOUNT, BUCKET, ENVIRONMENT, KEY_ARN, REGION, TABLE

type Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """A permission that one request needs."""

    action: str
    resource: str
    keys: tuple[tuple[str, str], ...] = ()
    """What conditions may ask for."""


ANY: Final = "*"
"""Of actions that know no narrower resource."""

_OWN_ACTIONS: Final = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
"""Of the elements of a transaction; a ConditionCheck is asked for as ConditionCheckItem."""

_OBJECT_ACTIONS: Final = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "PutObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "DeleteObject": "DeleteObject",
}
_SENDERS: Final = {"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage"}


def needs(service: str, operation: str, params: Params) -> set[Need]:
    """All permissions that a request needs."""
    asked = _SERVICES.get(service)
    found = {*asked(operation, params)} if asked else set()
    return found or {Need(f"{service}:{operation}", ANY)}


def needs_of_missing_object(params: Params) -> set[Need]:
    """That of who is to be told that an object is missing, and not that it is forbidden."""
    return {Need("s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}", _OF_THE_ACCOUNT)}


_OF_THE_ACCOUNT: Final = (("s3:ResourceAccount", ACCOUNT),)


def _arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def _key(action: str, service: str) -> Need:
    """Services use the key on behalf of who asks them."""
    return Need(
        f"kms:{action}", KEY_ARN, (("kms:ViaService", f"{service}.{REGION}.amazonaws.com"),)
    )


def _dynamodb(operation: str, params: Params) -> Iterator[Need]:
    if operation == "TransactWriteItems":
        asked = [
            (_OWN_ACTIONS.get(kind, f"{kind}Item"), element["TableName"])
            for item in params["TransactItems"]
            for kind, element in item.items()
        ]
    elif operation in {"BatchGetItem", "BatchWriteItem"}:
        asked = [(operation, table) for table in params["RequestItems"]]
    else:
        asked = [(operation, params["TableName"])]
    index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
    for action, table in asked:
        yield Need(f"dynamodb:{action}", _arn("dynamodb", f"table/{table}{index}"))
        if table == TABLE:
            yield _key("Decrypt", "dynamodb")


def _s3(operation: str, params: Params) -> Iterator[Need]:
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    if operation == "ListObjectsV2":
        yield Need("s3:ListBucket", bucket, _OF_THE_ACCOUNT)
    if operation in _OBJECT_ACTIONS:
        action = _OBJECT_ACTIONS[operation]
        yield Need(f"s3:{action}", f"{bucket}/{params['Key']}", _OF_THE_ACCOUNT)
        if params["Bucket"] == BUCKET and action in {"GetObject", "PutObject"}:
            yield _key("Decrypt" if action == "GetObject" else "GenerateDataKey", "s3")


def _ssm(operation: str, params: Params) -> Iterator[Need]:
    yield Need(f"ssm:{operation}", _arn("ssm", f"parameter{params['Name']}"))
    if params.get("WithDecryption"):
        yield _key("Decrypt", "ssm")
    if params.get("Type") == "SecureString":
        yield _key("Encrypt", "ssm")


def _states(operation: str, params: Params) -> Iterator[Need]:
    prefix = ENVIRONMENT["MILLRACE_MACHINE_ARN_PREFIX"]
    if operation == "CreateStateMachine":
        yield Need(f"states:{operation}", _arn("states", f"stateMachine:{params['name']}"))
    elif "executionArn" in params:
        yield Need(f"states:{operation}", params["executionArn"])
    elif "taskToken" in params:
        # Whose token it is only Step Functions knows.
        yield Need(f"states:{operation}", f"{prefix}flow_1-v1")
    elif "stateMachineArn" in params:
        yield Need(f"states:{operation}", params["stateMachineArn"])
    if "roleArn" in params:
        yield _passed(params["roleArn"], "states")


def _scheduler(operation: str, params: Params) -> Iterator[Need]:
    if operation == "ListSchedules":
        yield Need(f"scheduler:{operation}", ANY)
    elif "Name" in params:
        of = f"schedule/{params.get('GroupName', 'default')}/{params['Name']}"
        yield Need(f"scheduler:{operation}", _arn("scheduler", of))
    if "Target" in params:
        yield _passed(params["Target"]["RoleArn"], "scheduler")


def _passed(role: str, service: str) -> Need:
    return Need("iam:PassRole", role, (("iam:PassedToService", f"{service}.amazonaws.com"),))


def _lambda(operation: str, params: Params) -> Iterator[Need]:
    name = params.get("FunctionName", "")
    arn = name if name.startswith("arn:") else _arn("lambda", f"function:{name}")
    if operation == "Invoke":
        yield Need("lambda:InvokeFunction", arn)
    elif operation == "CreateEventSourceMapping":
        yield Need(f"lambda:{operation}", ANY, (("lambda:FunctionArn", arn),))
    elif "UUID" in params:
        mapping = _arn("lambda", f"event-source-mapping:{params['UUID']}")
        # Which function a mapping is of only Lambda knows; there are those of one.
        of = (("lambda:FunctionArn", ENVIRONMENT["MILLRACE_TRIGGER_ARN"]),)
        yield Need(f"lambda:{operation}", mapping, of)


def _sqs(operation: str, params: Params) -> Iterator[Need]:
    queue = params["QueueName"] if "QueueName" in params else params["QueueUrl"].rpartition("/")[2]
    yield Need(f"sqs:{_SENDERS.get(operation, operation)}", _arn("sqs", queue))


def _sns(operation: str, params: Params) -> Iterator[Need]:
    yield Need(f"sns:{operation}", params["TopicArn"])


def _ses(operation: str, params: Params) -> Iterator[Need]:
    sender = params["FromEmailAddress"]
    identity = _arn("ses", f"identity/{sender}")
    yield Need(f"ses:{operation}", identity, (("ses:FromAddress", sender),))


_SERVICES: Final[Mapping[str, Callable[[str, Params], Iterator[Need]]]] = {
    "dynamodb": _dynamodb,
    "s3": _s3,
    "ssm": _ssm,
    "stepfunctions": _states,
    "scheduler": _scheduler,
    "lambda": _lambda,
    "sqs": _sqs,
    "sns": _sns,
    "sesv2": _ses,
}
"""By botocore's names."""
