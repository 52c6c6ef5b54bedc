"""Writes records to a system over HTTP, such that a request sent twice can be told from two."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Final

from millrace.connectors.answer_types import named_charset
from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.http_client import BrokenAnswerError, ResponseRejected
from millrace.connectors.http_messages import HttpResponse
from millrace.connectors.import_results import Result, ResultReader
from millrace.connectors.record_writers import writer_of
from millrace.connectors.texts import decoded_json
from millrace.domain.base import Json, Record
from millrace.domain.errors import StepFailed
from millrace.domain.imports import MISSING, HttpImport
from millrace.domain.json_text import parse_text
from millrace.domain.records import Answer, Origin, RecordError, RecordFailure, Written
from millrace.domain.run_values import NO_VALUES, RunValues, speaks_of_record

type KeyFactory = Callable[[Origin, bytes], str]
"""Makes a request's Idempotency-Key from where its first record came from and its body."""

_MISCONFIGURED: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.GONE,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
"""Refusals of the address or the credentials: every other record would meet the same."""


@dataclass(slots=True)
class _Tally:
    """What became of the records of one call, as it comes to be known."""

    failures: list[RecordFailure] = field(default_factory=list)
    ignored: set[int] = field(default_factory=set)
    answers: dict[int, Answer] = field(default_factory=dict)

    def fail(self, places: Sequence[int], code: str, message: str) -> None:
        """These were not written."""
        self.failures += [RecordFailure(place, code, message) for place in places]

    def written(self) -> Written:
        """All of it, in order."""
        self.failures.sort(key=lambda failure: failure.index)
        return Written(self.failures, frozenset(self.ignored), self.answers)


class HttpImporter:
    """An import over HTTP at work."""

    def __init__(
        self,
        http: HttpImport,
        client: ConnectionClient,
        keys: KeyFactory,
        fill: Callable[[Record], HttpImport] | None = None,
        values: RunValues = NO_VALUES,
    ) -> None:
        """`fill` makes the request for each record, where they differ; it raises RecordError.

        Raises StepFailed for values of the run that cannot stand where expressions have them.
        """
        self._import = http
        self._fill = fill
        self._client = client
        self._keys = keys
        self._writer = writer_of(http)
        self._results = None if http.results is None else ResultReader(http.results, values)

    @property
    def batch_size(self) -> int:
        """Records to give to one call of `write`, at most."""
        return self._import.batch_size or 1

    def write(self, records: Sequence[Record], origins: Sequence[Origin]) -> Written:
        """Send the records, in one request unless what comes back asks for more.

        The first record's origin gives, with the same records, the same Idempotency-Key, whichever
        try, attempt or retry sends them. Raises StepFailed if the receiver refuses any such
        request, StepTransient or StepThrottled.
        """
        tally = _Tally()
        self._write(tally, records, origins, range(len(records)))
        return tally.written()

    def _write(
        self,
        tally: _Tally,
        records: Sequence[Record],
        origins: Sequence[Origin],
        places: Sequence[int],
    ) -> None:
        chosen = records
        if len(places) < len(records):
            chosen = [records[place] for place in places]
        http, writer = self._import, self._writer
        if self._fill is not None:
            try:
                http = self._fill(chosen[0])
            except RecordError as error:
                tally.fail(places, error.code, error.message)
                return
            writer = writer_of(http)
        body = writer.body(chosen)
        for failure in body.failures:
            tally.fail([places[failure.index]], failure.code, failure.message)
        sent = [places[index] for index in body.sent]
        if not sent:
            return
        try:
            response = self._exchange(http, body.data, origins[places[0]])
        except ResponseRejected as error:
            if self._is_ignored(error.status):
                tally.ignored.update(sent)
                tally.answers[sent[0]] = _answer(error.response)
            elif self._import.split_refused and len(sent) > 1:
                middle = len(sent) // 2
                self._write(tally, records, origins, sent[:middle])
                self._write(tally, records, origins, sent[middle:])
            else:
                self._refused(tally, records, sent, error)
        else:
            self._accepted(tally, records, sent, response)

    def _is_ignored(self, status: int) -> bool:
        return self._import.batch_size is None and status in self._import.ignored_statuses

    def _exchange(self, http: HttpImport, body: bytes, origin: Origin) -> HttpResponse:
        """The answer to a request, or to the one that takes its place.

        Raises ResponseRejected, and StepFailed where every other record would be refused as well.
        """
        upsert, template = http.upsert, self._import.upsert
        try:
            return self._send(http.method, http.path, http, body, self._keys(origin, body))
        except ResponseRejected as error:
            if upsert is None or template is None or error.status not in upsert.statuses:
                self._check(error, self._import.path)
                raise
        # A key of its own: the receiver knows the first one as that of another request.
        key = self._keys(origin, f"{upsert.method} {upsert.path}\n".encode() + body)
        try:
            return self._send(upsert.method, upsert.path, http, body, key)
        except ResponseRejected as error:
            self._check(error, template.path)
            raise

    def _check(self, error: ResponseRejected, template: str) -> None:
        is_of_record = error.status in MISSING and speaks_of_record(template)
        if error.status in _MISCONFIGURED and not (is_of_record or self._is_ignored(error.status)):
            raise StepFailed(f"http{error.status}", error.message) from error

    def _send(
        self, method: str, path: str, http: HttpImport, body: bytes, key: str
    ) -> HttpResponse:
        """One request. Raises ResponseRejected."""
        headers = {**http.headers, "Idempotency-Key": key}
        data = None
        if method != "DELETE" or self._import.batch_size is not None:
            data = body
            headers = {"Content-Type": self._writer.content_type, **headers}
        return self._client.send(method, self._client.url(path), headers=headers, body=data)

    def _accepted(
        self,
        tally: _Tally,
        records: Sequence[Record],
        sent: Sequence[int],
        response: HttpResponse,
    ) -> None:
        """The request as a whole was taken; perhaps not each of its records."""
        answer = _answer(response)
        if self._results is None or response.is_made_up:
            tally.answers.update(dict.fromkeys(sent, answer))
            return
        try:
            results = self._results.read(_document(response), [records[place] for place in sent])
        except (LookupError, ValueError) as error:
            why = self._client.quotable(str(error))
            tally.answers.update(dict.fromkeys(sent, answer))
            tally.fail(sent, "resultsMissing", f"nobody knows what was written: {why}")
            return
        for place, result in zip(sent, results, strict=True):
            tally.answers[place] = _answer_of(result, response.status)
            if result.is_written:
                continue
            if result.status in self._import.ignored_statuses:
                tally.ignored.add(place)
            else:
                tally.fail([place], *self._told(result, "refused", "the other system refused it"))

    def _refused(
        self,
        tally: _Tally,
        records: Sequence[Record],
        sent: Sequence[int],
        error: ResponseRejected,
    ) -> None:
        """The whole request was refused, so nothing was written; perhaps with reasons for some."""
        code = f"http{error.status}"
        answer = _answer(error.response)
        tally.answers.update(dict.fromkeys(sent, answer))
        if self._results is not None:
            try:
                results = self._results.read(answer.read(), [records[place] for place in sent])
            except LookupError:
                pass
            else:
                for place, result in zip(sent, results, strict=True):
                    tally.answers[place] = _answer_of(result, error.status)
                    if result.is_written or result.document is None:
                        tally.fail([place], code, error.message)
                    else:
                        tally.fail([place], *self._told(result, code, error.message))
                return
        tally.fail(sent, code, error.message)

    def _told(self, result: Result, code: str, message: str) -> tuple[str, str]:
        """Code and message of a result that is a refusal; ours where the system gives none."""
        if result.status is not None:
            code = f"http{result.status}"
        told_code = self._client.quotable(result.code or "")
        told_message = self._client.quotable(result.message or "")
        return told_code or code, told_message or message


def _document(response: HttpResponse) -> Json:
    """The JSON of an answer. Raises ValueError, with what cannot be read."""
    if not response.body:
        raise ValueError("the answer is empty")
    try:
        text, _ = decoded_json(response.body, named_charset(response))
    except (BrokenAnswerError, StepFailed) as error:
        raise ValueError(str(error)) from error
    try:
        return parse_text(text)
    except ValueError as error:
        raise ValueError(f"the answer is not JSON: {error}") from error


def _answer(response: HttpResponse) -> Answer:
    @cache
    def read() -> Json:
        try:
            return _document(response)
        except ValueError:
            return None

    return Answer(response.status, read)


def _answer_of(result: Result, status: int) -> Answer:
    return Answer(result.status or status, lambda: result.document, result.id)
