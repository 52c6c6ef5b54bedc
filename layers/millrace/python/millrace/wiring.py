"""The context over real AWS services, for the entry points in functions/."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal

import boto3
from botocore.config import Config as ClientConfig

from millrace import limits
from millrace.config import Config
from millrace.connectors.registry import HttpConnectors
from millrace.domain.ports import Messenger, Paces, Queues, Scratch
from millrace.measured_runs import MeasuredRuns
from millrace.orchestration.lambda_functions import LambdaFunctions
from millrace.orchestration.notifier import NotificationMachine
from millrace.orchestration.scheduler import EventBridgeSchedules, ScheduleTarget
from millrace.orchestration.step_functions import StepFunctions
from millrace.storage.dynamodb_failed_records import DynamoFailedRecords
from millrace.storage.dynamodb_pool_entries import DynamoPoolEntries
from millrace.storage.dynamodb_resources import DynamoResources
from millrace.storage.s3_blobs import S3Blobs
from millrace.storage.ssm_secrets import SsmSecrets
from millrace.targets import Targets
from millrace.usecases.context import Context

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from millrace.connectors.aws_targets import AwsTargets
    from millrace.domain.networks import AllowedNetworks

_CLIENT = ClientConfig(
    retries={"mode": "standard", "max_attempts": 5},
    connect_timeout=3,
    read_timeout=20,
    user_agent="millrace",  # botocore's own is put together anew for each request, a tenth of it
)
_UNCHECKED: Final = ClientConfig(parameter_validation=False)
"""For what callers wait for: mypy has checked it, and AWS checks it again."""


IMPATIENT: Final = _CLIENT.merge(
    ClientConfig(
        retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=1, read_timeout=3
    )
)
"""For the authorizer, whom API Gateway gives 10 s: one call that hangs does not use them up."""


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """The id factory: a ULID, which sorts by the time of its making, behind a type prefix."""
    from ulid import ULID  # noqa: PLC0415 - most requests make no id

    return f"{prefix}_{ULID()}"


def scratch() -> Scratch:
    """Stores in memory; imported for tests of flows, which few requests are."""
    from millrace.storage.memory import scratch as stores  # noqa: PLC0415 - see above

    return stores()


def _made_once[**P, T](lock: Lock, make: Callable[P, T]) -> Callable[P, T]:
    made: dict[object, T] = {}

    def get(*args: P.args, **kwargs: P.kwargs) -> T:
        key = (args, *kwargs.items())
        with lock:
            if key not in made:
                made[key] = make(*args, **kwargs)
            return made[key]

    return get


def _networks(config: Config) -> "AllowedNetworks":
    """What requests may reach beside public addresses; read by the first request that is sent."""
    from millrace.domain.networks import AllowedNetworks  # noqa: PLC0415 - see above

    return AllowedNetworks.from_text(config.allowed_networks, config.runtime_api)


def aws_context(config: Config, patience: ClientConfig = _CLIENT) -> Context:
    """Every adapter over AWS.

    A client is made when it is first used: each costs a cold start some 20 ms, and no function
    uses them all. They may be used by several threads at once, but made by one only.
    """
    endpoint = config.endpoint_url or None
    once = partial(_made_once, Lock())
    quick = patience.merge(_UNCHECKED)
    dynamodb = once(lambda: boto3.client("dynamodb", config=quick, endpoint_url=endpoint))
    # Addresses are signed by version 4 everywhere; some regions take no other.
    # They name the bucket's region: a global name is redirected, and the signature is of one host.
    style: Literal["auto", "virtual"] = "virtual" if endpoint is None else "auto"
    signed = _CLIENT.merge(ClientConfig(signature_version="s3v4", s3={"addressing_style": style}))
    s3 = once(lambda: boto3.client("s3", config=signed, endpoint_url=endpoint))
    ssm = once(lambda: boto3.client("ssm", config=_CLIENT, endpoint_url=endpoint))
    step_functions = once(
        lambda: boto3.client("stepfunctions", config=_CLIENT, endpoint_url=endpoint)
    )
    sqs = once(lambda: boto3.client("sqs", config=_CLIENT, endpoint_url=endpoint))
    # An EXPRESS execution is not named: asked for twice, it runs twice.
    impatient = _CLIENT.merge(
        ClientConfig(
            retries={"mode": "standard", "total_max_attempts": 1},
            read_timeout=limits.RUN_WAIT_SECONDS,
            parameter_validation=False,
        )
    )
    if endpoint is not None:
        # AWS has another host for these calls, which no stand-in has.
        impatient = impatient.merge(ClientConfig(inject_host_prefix=False))
    synchronous = once(
        lambda: boto3.client("stepfunctions", config=impatient, endpoint_url=endpoint)
    )

    @once
    def lambda_(seconds: int) -> "LambdaClient":
        # A function that gave no answer may have done its work.
        patient = _CLIENT.merge(
            ClientConfig(
                retries={"mode": "standard", "total_max_attempts": 1},
                read_timeout=seconds,
                tcp_keepalive=True,
            )
        )
        return boto3.client("lambda", config=patient, endpoint_url=endpoint)

    scheduler = once(lambda: boto3.client("scheduler", config=_CLIENT, endpoint_url=endpoint))
    machines = StepFunctions(
        step_functions, config.machine_role_arn, config.machine_arn_prefix, synchronous
    )

    def paces() -> Paces:
        from millrace.storage.dynamodb_paces import DynamoPaces  # noqa: PLC0415 - see above

        return DynamoPaces(dynamodb, config.table, now)

    def queues() -> Queues:
        from millrace.orchestration.queue_mappings import QueueMappings  # noqa: PLC0415 - see above

        client = once(lambda: boto3.client("lambda", config=_CLIENT, endpoint_url=endpoint))
        arns = (config.trigger_arn, config.queue_arn_prefix)
        return QueueMappings(client, *arns, config.target_prefix)

    def targets() -> "AwsTargets":
        from millrace.connectors.aws_targets import AwsTargets  # noqa: PLC0415 - as above

        own = frozenset({config.table, config.bucket})
        # What users name is checked before it is sent.
        checked = once(lambda: boto3.client("dynamodb", config=_CLIENT, endpoint_url=endpoint))
        return AwsTargets(s3, checked, sqs, config.target_prefix, own)

    return Context(
        resources=DynamoResources(dynamodb, config.table),
        runs=MeasuredRuns(dynamodb, config.table),
        failed_records=DynamoFailedRecords(dynamodb, config.table),
        pool_entries=DynamoPoolEntries(dynamodb, config.table),
        blobs=S3Blobs(s3, config.bucket),
        secrets=SsmSecrets(ssm, config.secrets_prefix, config.key_arn),
        connectors=HttpConnectors(paces=paces, aws=targets, networks=partial(_networks, config)),
        machines=machines,
        functions=LambdaFunctions(lambda_),
        schedules=EventBridgeSchedules(
            scheduler,
            config.schedule_group,
            target=ScheduleTarget(
                config.trigger_arn, config.schedule_role_arn, config.schedule_dead_letters_arn
            ),
        ),
        queues=queues,
        targets=Targets(config.run_step_arn, config.lifecycle_arn),
        notifications=NotificationMachine(machines, config.notify_machine_arn),
        clock=now,
        new_id=new_id,
        scratch=scratch,
    )


def aws_messenger(config: Config) -> Messenger:
    """What carries notifications; only the function that delivers them needs it."""
    from millrace.connectors.messenger import AwsMessenger  # noqa: PLC0415 - see above

    endpoint = config.endpoint_url or None
    sns = cache(lambda region: boto3.client("sns", region, config=_CLIENT, endpoint_url=endpoint))
    ses = cache(lambda: boto3.client("sesv2", config=_CLIENT, endpoint_url=endpoint))
    return AwsMessenger(sns, ses, config.mail_sender, partial(_networks, config))
