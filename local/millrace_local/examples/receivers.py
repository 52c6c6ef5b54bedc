"""The systems that flows write to: they count what arrives and how often."""

import json
from collections import Counter
from collections.abc import Sequence
from threading import Lock
from typing import Any

from millrace_local.examples.loopback import RESET, Answer, Fault, FaultPlan, Request, refusal

type Record = dict[str, Any]

WAREHOUSE_PORT = 4572
ALERTS_PORT = 4573
SLACK_PORT = 4574


class Receiver:
    """Takes a record or an array of records by POST, and honours Idempotency-Key.

    A key that was seen before gets the first answer again and writes nothing (as the IETF draft
    "The Idempotency-Key HTTP Header Field" has it); the same key with another body is refused
    with 422. A fault may come before the write, or after it, when only the answer is lost.
    """

    def __init__(
        self,
        seed: int = 0,
        faults: Sequence[Fault] = (),
        good: int = 1,
        token: str | None = None,
    ) -> None:
        self.plan = FaultPlan(seed, faults, good)
        self.records: list[Record] = []
        self.requests = 0
        self.replays = 0
        """Requests answered from memory because their key was known."""
        self.refused: list[str] = []
        """Why requests were refused for good; empty if the sender did everything right."""
        self._answers: dict[str, tuple[bytes, Answer]] = {}
        self._token = token
        self._lock = Lock()

    @property
    def duplicates(self) -> list[str]:
        """Ids that were written more than once (of records that have an id)."""
        times = Counter(record["id"] for record in self.records if "id" in record)
        return sorted(record_id for record_id, count in times.items() if count > 1)

    def respond(self, request: Request) -> Answer:
        """Answer one request; one at a time, so that a key cannot be raced."""
        with self._lock:
            self.requests += 1
            return self._respond(request)

    def _respond(self, request: Request) -> Answer:
        if request.method != "POST":
            return self._refuse(405, "only POST is taken")
        if self._token and request.headers.get("authorization") != f"Bearer {self._token}":
            return self._refuse(401, "the bearer token is missing or wrong")
        key = request.headers.get("idempotency-key")
        if key is None:
            return self._refuse(400, "Idempotency-Key is missing")
        return self._replay(key, request) if key in self._answers else self._write(key, request)

    def _replay(self, key: str, request: Request) -> Answer:
        body, answer = self._answers[key]
        if body != request.body:
            return self._refuse(422, "the same Idempotency-Key came with another body")
        self.replays += 1
        return answer

    def _write(self, key: str, request: Request) -> Answer:
        fault = self.plan.draw(key)
        if fault and fault is not Fault.ANSWER_LOST:
            return refusal(fault)
        try:
            content = json.loads(request.body)
        except ValueError:
            return self._refuse(400, "the body is not JSON")
        written = content if isinstance(content, list) else [content]
        self.records.extend(written)
        answer = Answer(200, {"written": len(written)})
        self._answers[key] = (request.body, answer)
        return RESET if fault else answer

    def _refuse(self, status: int, reason: str) -> Answer:
        self.refused.append(reason)
        return Answer(status, {"error": reason})


def warehouse(token: str) -> Receiver:
    """Wants a bearer token; of its first three batches one is turned away, one answer is lost."""
    return Receiver(2, [Fault.UNAVAILABLE, Fault.ANSWER_LOST], good=1, token=token)


def alerts() -> Receiver:
    """One in three alerts meets a fault, of every kind but throttling."""
    return Receiver(3, [Fault.UNAVAILABLE, Fault.RESET, Fault.ANSWER_LOST], good=6)


def slack() -> Receiver:
    """Of every four messages one is turned away and one answer is lost."""
    return Receiver(4, [Fault.UNAVAILABLE, Fault.ANSWER_LOST], good=2)
