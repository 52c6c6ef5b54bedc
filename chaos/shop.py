"""The other systems: one that is read from and places that are written to, over bad lines.

Both are right by themselves: what is asked for twice is answered alike, and a request whose
Idempotency-Key is known is taken once. What goes wrong is told by the faults.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from chaos.faults import Fault, Faults
from tests.support.time_and_ids import FakeClock

from millrace.connectors.http_messages import HttpRequest, HttpResponse, TransportError

SLOW_SECONDS: Final = 30

_BEFORE: Final = ("reset before", "503", "429 soon", "429 later", "401", "502 page", "html")
_AFTER: Final = ("reset after", "slow", "huge", "cut off", "500 after")
_KINDS: Final = (*_BEFORE, *_AFTER, Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.MEANWHILE)
_LASTING: Final = frozenset({"401", "huge", "html"})
"""What fails a step for good is rarer than what passes."""

_ANSWERS: Final = {
    "503": HttpResponse(503, {}, b"down for maintenance"),
    "429 soon": HttpResponse(429, {"retry-after": "2"}, b""),
    "429 later": HttpResponse(429, {"retry-after": "90"}, b""),
    "401": HttpResponse(401, {}, b"who are you"),
    "502 page": HttpResponse(502, {}, b"<html>bad gateway</html>"),
    "html": HttpResponse(200, {"content-type": "text/html"}, b"<html>log in</html>"),
}


@dataclass
class Shop:
    """Whatever flows read from and write to; a `Transport`."""

    clock: FakeClock
    faults: Faults
    takes_all_since: datetime | None = None
    """When it began to refuse nothing any more."""
    closed_until: datetime | None = None
    """Until when nobody is let in to write."""
    catalogue: dict[str, list[Any]] = field(default_factory=dict)
    """What can be read, by name."""
    received: defaultdict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter[str])
    )
    """How often each record arrived, by path and id."""
    _keys: dict[str, HttpResponse] = field(default_factory=dict)

    def exchange(self, request: HttpRequest) -> HttpResponse:
        """See Transport."""
        kind = self.faults.draw(f"{request.method} {_path(request)}", self._kinds(request))
        match kind:
            case None:
                return self._answer(request)
            case Fault.KILLED_BEFORE:
                raise self.faults.kill()
            case Fault.MEANWHILE:
                self.faults.wait(give_up=False)
                return self._answer(request)
            case "reset before":
                raise _lost()
        if kind in _ANSWERS:
            return _ANSWERS[kind]
        return self._told(kind, self._answer(request))

    def _kinds(self, request: HttpRequest) -> list[str]:
        kinds = [kind for kind in _KINDS if kind not in _LASTING or self.faults.left % 4 == 0]
        if request.method != "GET":
            # What is a success by its status is one: nobody reads on.
            kinds = [kind for kind in kinds if kind not in {"html", "cut off"}]
        return kinds

    def _told(self, kind: str, answer: HttpResponse) -> HttpResponse:
        """What comes back of an answer to a request that arrived."""
        match kind:
            case Fault.KILLED_AFTER:
                raise self.faults.kill()
            case "slow":
                self.clock.forward(seconds=SLOW_SECONDS)
                raise TransportError("timeout", "no answer in time", is_transient=True)
            case "huge":
                raise TransportError("answerTooLarge", "the answer is huge", is_transient=False)
            case "cut off":
                return HttpResponse(200, {}, answer.body[: len(answer.body) // 2])
            case "500 after":
                return HttpResponse(500, {}, b"")
        raise _lost()

    def _answer(self, request: HttpRequest) -> HttpResponse:
        address = urlsplit(request.url)
        if request.method == "GET":
            query = parse_qs(address.query)
            start, size = int(query["offset"][0]), int(query["limit"][0])
            page = self.catalogue[query["name"][0]][start : start + size]
            return HttpResponse(200, {}, json.dumps({"items": page}).encode())
        if self.closed_until is not None and self.clock() < self.closed_until:
            return _ANSWERS["401"]
        key = request.headers["Idempotency-Key"]
        if key not in self._keys:
            answer = self._take(request)
            if answer.status != HTTPStatus.CREATED:
                return answer
            self._keys[key] = answer
        return self._keys[key]

    def _take(self, request: HttpRequest) -> HttpResponse:
        given = json.loads(request.body or b"null")
        records = given if isinstance(given, list) else [given]
        if self.takes_all_since is None and any(is_refused(record["n"]) for record in records):
            return HttpResponse(422, {}, b"not wanted")
        self.received[_path(request)].update(record["id"] for record in records)
        return HttpResponse(201, {}, b"{}")


def is_refused(number: int) -> bool:
    """Whether a record of this number is not taken anywhere."""
    return number % 23 == 11


def is_no_record(number: int) -> bool:
    """Whether something else stands in the catalogue in this place."""
    return number % 29 == 17


def elements(name: str, count: int, weight: int = 0) -> list[Any]:
    """What a catalogue holds: records, and here and there something else."""
    return [f"no {n}" if is_no_record(n) else record(name, n, weight) for n in range(count)]


def record(name: str, number: int, weight: int = 0) -> dict[str, Any]:
    """A record that no other catalogue has; so many bytes of it do not compress."""
    id_ = f"{name}-{number}"
    pad = {"pad": Random(id_).randbytes(weight).hex()} if weight else {}
    return {"id": id_, "n": number, **pad}


def numbers(ids: Iterable[str]) -> list[int]:
    """The numbers of records."""
    return [int(id_.rpartition("-")[2]) for id_ in ids]


def _path(request: HttpRequest) -> str:
    return urlsplit(request.url).path


def _lost() -> TransportError:
    return TransportError("connectionLost", "connection lost (reset)", is_transient=True)
