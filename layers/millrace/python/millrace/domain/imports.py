"""How an import writes records over HTTP: its requests, and what it reads in their answers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from millrace import limits
from millrace.domain.base import Expression, Json, JsonPointer, Model
from millrace.domain.formats import CsvFormat
from millrace.domain.request_paths import RequestPath

type WriteMethod = Literal["POST", "PUT", "PATCH", "DELETE"]

_Status = Annotated[int, Field(ge=400, le=499)]


class Results(Model):
    """Where the answer to a batch says what became of each record.

    The results stand in the order of the records, unless keys match them.
    """

    path: JsonPointer = Field(default="", description="To the array of results in the answer.")
    status_path: JsonPointer | None = Field(
        default=None, description="In a result: an HTTP status; 2xx means written."
    )
    ok_expression: Expression | None = Field(
        default=None, description="Over a result: true means written."
    )
    code_path: JsonPointer | None = None
    message_path: JsonPointer | None = None
    id_path: JsonPointer | None = Field(
        default=None, description="The record's id in the other system, as `id` of the answer."
    )
    key_path: JsonPointer | None = Field(
        default=None, description="In a result: what names its record."
    )
    record_key_path: JsonPointer | None = Field(
        default=None, description="In a record: what the results name it by."
    )

    @model_validator(mode="after")
    def _tells_good_from_bad(self) -> Self:
        if (self.status_path is None) == (self.ok_expression is None):
            msg = "one of statusPath and okExpression says which records were written"
            raise ValueError(msg)
        if (self.key_path is None) != (self.record_key_path is None):
            msg = "keyPath and recordKeyPath go together"
            raise ValueError(msg)
        return self


class Upsert(Model):
    """The request that takes the place of one that was refused."""

    statuses: tuple[_Status, ...] = Field(
        default=(409,), min_length=1, max_length=10, description="Of the refusal."
    )
    method: WriteMethod
    path: RequestPath


class HttpImport(Model):
    """How to write records over HTTP."""

    method: WriteMethod = "POST"
    path: RequestPath
    headers: dict[str, str] = Field(default_factory=dict)
    format: Literal["json", "ndjson", "csv", "form"] = "json"
    csv: CsvFormat | None = None
    body: dict[str, Json] | None = Field(
        default=None,
        description="What stands around the records, or, without bodyPath, in place of the record; "
        "its texts may hold expressions. Format json only.",
    )
    body_path: JsonPointer = Field(
        default="", description="Where in the body the records stand; format json only."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=limits.PAGE_RECORDS,
        description="Absent: one request a record, which a DELETE sends without a body. "
        "A number: one request for that many records, in JSON as an array.",
    )
    results: Results | None = None
    split_refused: bool = Field(
        default=False,
        description="Send a batch that was refused again in halves, down to the record that is "
        "the reason. For systems that write all of a batch or nothing.",
    )
    upsert: Upsert | None = None
    ignore_existing: bool = Field(
        default=False, description="409 means that nothing is to be done for the record."
    )
    ignore_missing: bool = Field(
        default=False, description="404 or 410 means that nothing is to be done for the record."
    )

    @model_validator(mode="after")
    def _body_can_be_written(self) -> Self:
        if self.csv is not None and self.format != "csv":
            msg = f"csv has no meaning with format {self.format}"
            raise ValueError(msg)
        if self.format != "json" and (self.body is not None or self.body_path):
            msg = f"body and bodyPath have no meaning with format {self.format}"
            raise ValueError(msg)
        if self.format == "form" and self.batch_size is not None:
            msg = "a form holds one record; leave batchSize out"
            raise ValueError(msg)
        if self.body is not None and not self.body_path and self.batch_size is not None:
            msg = "around a batch, a body needs bodyPath, where the records stand in it"
            raise ValueError(msg)
        place: Json = self.body
        for name in self.body_path.split("/")[1:-1]:
            place = place.get(name.replace("~1", "/").replace("~0", "~")) if place else None
            if not isinstance(place, dict | None):
                msg = f"bodyPath leads through {name!r} of the body, which is no object"
                raise ValueError(msg)  # noqa: TRY004 - pydantic takes it for a finding
        return self

    @model_validator(mode="after")
    def _answers_can_be_told_apart(self) -> Self:
        is_batch = self.batch_size is not None
        if self.results is not None and not is_batch:
            msg = "results are those of a batch; set batchSize"
            raise ValueError(msg)
        if self.split_refused and not is_batch:
            msg = "splitRefused needs a batchSize"
            raise ValueError(msg)
        if self.upsert is not None and is_batch:
            msg = "upsert is of single records; leave batchSize out"
            raise ValueError(msg)
        for name, is_set, statuses in (
            ("ignoreExisting", self.ignore_existing, EXISTING),
            ("ignoreMissing", self.ignore_missing, MISSING),
        ):
            if not is_set:
                continue
            if is_batch and (self.results is None or self.results.status_path is None):
                msg = f"{name} needs the status of each record: results with a statusPath"
                raise ValueError(msg)
            if self.upsert is not None and not statuses.isdisjoint(self.upsert.statuses):
                msg = f"{name} and upsert speak of the same status"
                raise ValueError(msg)
        return self

    @property
    def ignored_statuses(self) -> frozenset[int]:
        """Refusals that mean that nothing is to be done."""
        existing = EXISTING if self.ignore_existing else frozenset[int]()
        return existing | MISSING if self.ignore_missing else existing


EXISTING = frozenset({409})
MISSING = frozenset({404, 410})
