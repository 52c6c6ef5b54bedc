"""The real adapters over botocore and moto, each at the end of a bad line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from chaos.dynamodb_line import DynamoDb
from chaos.faults import Faults
from chaos.lines import BadLine, Service
from chaos.s3_line import S3
from moto.core.models import botocore_stubber
from tests.support.aws import BUCKET, REGION, TABLE, create_table, simulated_aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Clients:
    """Of an empty table and an empty bucket."""

    dynamodb: "DynamoDBClient"
    s3: "S3Client"


@contextmanager
def clients(faults: Faults, tries: int) -> Iterator[Clients]:
    """Clients over bad lines; botocore tries so often by itself."""
    config = Config(retries={"mode": "standard", "total_max_attempts": tries})
    with simulated_aws():
        made = Clients(boto3.client("dynamodb", config=config), boto3.client("s3", config=config))
        create_table(made.dynamodb, TABLE)
        made.s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        _worsen(made.dynamodb, faults, DynamoDb())
        _worsen(made.s3, faults, S3())
        yield made


def _worsen(client: "DynamoDBClient | S3Client", faults: Faults, service: Service) -> None:
    moto: Any = botocore_stubber
    line: Any = BadLine(faults, service)
    client.meta.events.unregister("before-send", moto)
    client.meta.events.register("before-send", line)
