"""Writes records to a system over HTTP, such that a request sent twice can be told from two."""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from pydantic_core import to_json

from millrace.connectors.connection_client import ConnectionClient
from millrace.connectors.http_client import ResponseRejected
from millrace.domain.action import ImportAction
from millrace.domain.base import Record
from millrace.domain.errors import StepFailed
from millrace.domain.records import Origin, RecordError, RecordFailure

_NO_JSON: Final = (b"NaN", b"Infinity")
"""How `to_json` writes what JSON has no words for; a text may hold the same."""

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


class HttpImporter:
    """An import action at work."""

    def __init__(self, work: ImportAction, client: ConnectionClient, keys: KeyFactory) -> None:
        self._import = work.http
        self._client = client
        self._keys = keys
        self._url = client.url(work.http.path)

    @property
    def batch_size(self) -> int:
        """Records to give to one call of `write`, at most."""
        return self._import.batch_size or 1

    def write(self, records: Sequence[Record], origin: Origin) -> list[RecordFailure]:
        """Send the records in one request; the failures are of those that were not written.

        `origin` is that of the first record; with the same records it gives the same
        Idempotency-Key, whichever try, attempt or retry sends them. Raises StepFailed if the
        receiver refuses any such request, StepTransient or StepThrottled.
        """
        failures: list[RecordFailure] = []
        sent: Sequence[int] = range(len(records))
        body = self._quick_body(records)
        if body is None:
            bodies, failures = _each_encoded(records)
            if not bodies:
                return failures
            sent = list(bodies)
            body = self._joined(list(bodies.values()))
        try:
            self._send(body, origin)
        except ResponseRejected as error:
            if error.status in _MISCONFIGURED:
                raise StepFailed(f"http{error.status}", error.message) from error
            code = f"http{error.status}"
            failures += [RecordFailure(index, code, error.message) for index in sent]
        return sorted(failures, key=lambda failure: failure.index)

    def _quick_body(self, records: Sequence[Record]) -> bytes | None:
        """All records at once; None if one of them may have to be left out."""
        try:
            body = to_json(
                records[0] if self._import.batch_size is None else records,
                inf_nan_mode="constants",
            )
        except ValueError:
            return None
        return None if any(word in body for word in _NO_JSON) else body

    def _joined(self, bodies: list[bytes]) -> bytes:
        if self._import.batch_size is None:
            (body,) = bodies
            return body
        return b"[" + b",".join(bodies) + b"]"

    def _send(self, body: bytes, origin: Origin) -> None:
        headers = {
            "Content-Type": "application/json",
            **self._import.headers,
            "Idempotency-Key": self._keys(origin, body),
        }
        self._client.send(self._import.method, self._url, headers=headers, body=body)


def _each_encoded(records: Sequence[Record]) -> tuple[dict[int, bytes], list[RecordFailure]]:
    """The records that can be written, by their place, and why others cannot."""
    bodies: dict[int, bytes] = {}
    failures: list[RecordFailure] = []
    for index, record in enumerate(records):
        try:
            bodies[index] = _encoded(record)
        except RecordError as error:
            failures.append(RecordFailure.of(index, error))
    return bodies, failures


def _encoded(record: Record) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(
            "textNotUnicode", "the record holds text that is not Unicode (a lone surrogate)"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecordError("notJson", f"the record cannot be written as JSON: {error}") from error
