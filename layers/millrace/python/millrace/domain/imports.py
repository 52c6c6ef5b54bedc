"""How an import writes records over HTTP: its requests, and what it reads in their answers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from millrace import limits
from millrace.domain.base import Expression, Json, JsonPointer, Model
from millrace.domain.findings import contradiction, missing, need_one
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
        need_one(
            self,
            "status_path",
            "ok_expression",
            remedy="Add one of them: it says which records were written.",
        )
        if (self.key_path is None) != (self.record_key_path is None):
            absent = "keyPath" if self.key_path is None else "recordKeyPath"
            raise missing(
                absent, "keyPath and recordKeyPath go together.", "Add it, or leave out both."
            )
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
            raise contradiction(
                "csv",
                f"csv has no meaning with format {self.format}.",
                "Leave it out, or set format to csv.",
            )
        if self.format != "json" and (self.body is not None or self.body_path):
            raise contradiction(
                "bodyPath" if self.body is None else "body",
                f"body and bodyPath have no meaning with format {self.format}.",
                "Leave them out, or set format to json.",
            )
        if self.format == "form" and self.batch_size is not None:
            raise contradiction(
                "batchSize", "A form holds one record.", "Leave it out, or choose another format."
            )
        if self.body is not None and not self.body_path and self.batch_size is not None:
            raise missing(
                "bodyPath",
                "Nothing says where in the body the records of a batch stand.",
                "Add it, or leave batchSize out.",
            )
        place: Json = self.body
        for name in self.body_path.split("/")[1:-1]:
            place = place.get(name.replace("~1", "/").replace("~0", "~")) if place else None
            if not isinstance(place, dict | None):
                raise contradiction(
                    "bodyPath",
                    f"It leads through {name!r} of the body, which is no object.",
                    "Let it lead through objects, or correct the body.",
                )
        return self

    @model_validator(mode="after")
    def _answers_can_be_told_apart(self) -> Self:
        is_batch = self.batch_size is not None
        if self.results is not None and not is_batch:
            raise contradiction(
                "results", "results are those of a batch.", "Leave it out, or set batchSize."
            )
        if self.split_refused and not is_batch:
            raise contradiction(
                "splitRefused", "Only a batch can be split.", "Leave it out, or set batchSize."
            )
        if self.upsert is not None and is_batch:
            raise contradiction(
                "upsert", "upsert is of single records.", "Leave it out, or leave batchSize out."
            )
        for name, is_set, statuses in (
            ("ignoreExisting", self.ignore_existing, EXISTING),
            ("ignoreMissing", self.ignore_missing, MISSING),
        ):
            if not is_set:
                continue
            if is_batch and (self.results is None or self.results.status_path is None):
                raise contradiction(
                    name,
                    f"{name} needs the status of each record of a batch.",
                    "Leave it out, or add results with a statusPath.",
                )
            if self.upsert is not None and not statuses.isdisjoint(self.upsert.statuses):
                raise contradiction(
                    name,
                    f"{name} and upsert speak of the same status.",
                    "Leave it out, or take the status out of upsert.",
                )
        return self

    @property
    def ignored_statuses(self) -> frozenset[int]:
        """Refusals that mean that nothing is to be done."""
        existing = EXISTING if self.ignore_existing else frozenset[int]()
        return existing | MISSING if self.ignore_missing else existing


EXISTING = frozenset({409})
MISSING = frozenset({404, 410})
