"""The writer of an import to AWS, by what the action names."""

from millrace.connectors.aws_targets import AwsTargets
from millrace.connectors.dynamodb_import import DynamoDbImporter
from millrace.connectors.http_import import KeyFactory
from millrace.connectors.s3_import import S3Importer
from millrace.connectors.sqs_import import SqsImporter
from millrace.domain.action import ImportAction
from millrace.domain.aws_imports import DynamoDbImport, S3Import, SqsImport
from millrace.domain.errors import StepFailed
from millrace.domain.ports import Importer
from millrace.domain.run_values import RunValues


def aws_importer(
    work: ImportAction, targets: AwsTargets | None, values: RunValues, keys: KeyFactory
) -> Importer:
    """The writer of an import. Raises StepFailed if flows may not write to its target."""
    if targets is None:
        raise StepFailed("targetNotAllowed", "flows do not write to AWS here")
    match work.target:
        case S3Import() as s3:
            return S3Importer(s3, targets, values, keys)
        case DynamoDbImport() as dynamodb:
            return DynamoDbImporter(dynamodb, targets)
        case SqsImport() as sqs:
            return SqsImporter(sqs, targets, values, keys)
        case _:
            raise StepFailed("connectionMissing", "an import over HTTP needs a connection")
