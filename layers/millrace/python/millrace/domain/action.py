"""Actions: reusable units of work that read (`Export`), change (`Process`) or write (`Import`)."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from millrace import limits
from millrace.domain.aws_imports import DynamoDbImport, S3Import, SqsImport
from millrace.domain.base import (
    Description,
    Json,
    Model,
    Name,
    Settings,
    StableKey,
)
from millrace.domain.batch_lookup import BatchLookup
from millrace.domain.delta import Delta
from millrace.domain.findings import contradiction, missing, need_one
from millrace.domain.formats import Formatted
from millrace.domain.imports import HttpImport
from millrace.domain.operations import Operation
from millrace.domain.pagination import Pagination, ParameterName
from millrace.domain.request_paths import RequestPath
from millrace.domain.resource import Resource
from millrace.domain.sources import PayloadExport, S3Export


class HttpExport(Formatted):
    """How to read records over HTTP."""

    method: Literal["GET", "POST"] = "GET"
    path: RequestPath
    query: dict[ParameterName, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: Json | None = Field(default=None, description="Sent as JSON; POST only.")
    pagination: Pagination | None = None
    lookup: BatchLookup | None = Field(
        default=None,
        description="Ask for several records at once, whose `records` and `keys` the request "
        "speaks of. A request that speaks of a `record` is made for each, without this.",
    )

    @model_validator(mode="after")
    def _next_page_can_be_told(self) -> Self:
        if self.format != "json" and self.pagination is not None and self.pagination.reads_body:
            raise contradiction(
                "pagination",
                f"In format {self.format} only headers can tell of the next page.",
                "Let pagination read headers, or set format to json.",
            )
        return self

    @model_validator(mode="after")
    def _body_can_be_sent(self) -> Self:
        if self.method != "POST" and self.body is not None:
            raise contradiction(
                "method", "A body needs method POST.", "Set it to POST, or leave body out."
            )
        if self.pagination is not None and self.pagination.writes_body:
            if self.method != "POST":
                raise contradiction(
                    "method",
                    "What pagination sends in the body needs method POST.",
                    "Set it to POST, or send it in query or header.",
                )
            if not isinstance(self.body, dict | None):
                raise contradiction(
                    "body",
                    "What pagination sends in the body needs a body that is an object.",
                    "Write an object, or leave it out.",
                )
        return self


class ExportAction(Model):
    """Reads records from one source."""

    type: Literal["Export"]
    connection_id: str | None = Field(default=None, description="Of http; the others need none.")
    http: HttpExport | None = None
    s3: S3Export | None = None
    payload: PayloadExport | None = None
    delta: Delta | None = Field(
        default=None, description="Read what has changed since the run before."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        need_one(self, "http", "s3", "payload")
        _check_connection(self)
        if self.payload is not None and self.delta is not None:
            raise contradiction(
                "delta", "A payload is new as a whole, so delta has no meaning.", "Leave it out."
            )
        return self

    @property
    def request(self) -> HttpExport:
        """That of an export over HTTP."""
        if self.http is None:
            raise AssertionError  # who asks has a connection, and only http has one
        return self.http


class ProcessAction(Model):
    """Changes records by operations applied in order."""

    type: Literal["Process"]
    operations: tuple[Operation, ...] = Field(min_length=1, max_length=limits.OPERATIONS)


class ImportAction(Model):
    """Writes records to one target and hands them on."""

    type: Literal["Import"]
    connection_id: str | None = Field(
        default=None, description="Of http. The others use the role of the bundle's worker."
    )
    http: HttpImport | None = None
    s3: S3Import | None = None
    dynamodb: DynamoDbImport | None = None
    sqs: SqsImport | None = None

    @model_validator(mode="after")
    def _has_one_target(self) -> Self:
        need_one(self, "http", "s3", "dynamodb", "sqs")
        _check_connection(self)
        return self

    @property
    def target(self) -> HttpImport | S3Import | DynamoDbImport | SqsImport:
        """Where it writes."""
        target = self.http or self.s3 or self.dynamodb or self.sqs
        if target is None:
            raise AssertionError  # the validator has seen to it
        return target


def _check_connection(work: ExportAction | ImportAction) -> None:
    if work.http is not None and work.connection_id is None:
        message = "http needs the connection that its requests go over."
        raise missing("connectionId", message, "Add connectionId.")
    if work.http is None and work.connection_id is not None:
        raise contradiction("connectionId", "Only http has a connection.", "Leave it out.")


type ActionWork = Annotated[
    ExportAction | ProcessAction | ImportAction, Field(discriminator="type")
]
"""What an action does: the whole of an inline action, the `work` of a stored one."""


class ActionInput(Model):
    """What a caller sends to create or replace an action."""

    name: Name
    stable_key: StableKey | None = None
    description: Description | None = None
    settings: Settings = Field(default_factory=dict)
    work: ActionWork


class Action(ActionInput, Resource):
    """A stored action, usable by any step of the workspace that names it as its `referrer`."""

    prefix: ClassVar[str] = "act"
    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")
