"""Carrying out a request once: the same Idempotency-Key gives the first answer again."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from millrace import limits
from millrace.domain.base import Clock
from millrace.domain.errors import (
    ConflictError,
    NotFoundError,
    RevisionMismatchError,
    RuleViolationError,
    TooLargeError,
    Violation,
)
from millrace.domain.flow import Flow
from millrace.domain.ports import (
    Browsed,
    Change,
    Create,
    Delete,
    Found,
    KeyRef,
    Listing,
    Order,
    Ref,
    Replace,
    Resources,
)
from millrace.domain.remembered import RememberedRequest
from millrace.domain.resource import Resource
from millrace.domain.run import LatestRun
from millrace.domain.token import Caller


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller is told."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def is_success(self) -> bool:
        """Whether the request was carried out; one that was not may be sent again."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of successes, RFC 9110


@dataclass(slots=True)
class _Request:
    """The request that is being carried out."""

    record: RememberedRequest
    expired: RememberedRequest | None
    is_stored: bool = False

    def note(self, changes: Iterable[Change]) -> None:
        """Remember what a transaction is to make: the first thing that it stores."""
        made = next((each.resource.id for each in changes if isinstance(each, Create)), None)
        self.record = self.record.model_copy(update={"made": made})

    def change(self) -> Change:
        """What stores the record, unless another invocation was faster."""
        return Create(self.record) if self.expired is None else Replace(self.expired, self.record)


class Once:
    """The `Resources` port, which stores a request's record with the first thing it commits.

    Of two invocations with the same key only one can commit; what the other did is undone by its
    transaction. So no lock is taken that could be left behind.
    """

    def __init__(self, resources: Resources, clock: Clock) -> None:
        self._resources = resources
        self._clock = clock
        # Lambda hands an instance of a function one request at a time.
        self._request: _Request | None = None

    def get[R: Resource](
        self, kind: type[R], workspace_id: str, id_: str, *, parent_id: str | None = None
    ) -> R:
        """The resource. Raises NotFoundError."""
        return self._resources.get(kind, workspace_id, id_, parent_id=parent_id)

    def get_many(self, workspace_id: str, refs: Iterable[Ref[Any]]) -> Found:
        """Several resources in one read; what is not there is left out."""
        return self._resources.get_many(workspace_id, refs)

    def record_run(self, workspace_id: str, flow_id: str, run: LatestRun) -> None:
        """Remember a flow's latest run beside the flow, unless a later one is known."""
        self._resources.record_run(workspace_id, flow_id, run)

    def unsettled(self, changed_before: datetime) -> tuple[Flow, ...]:
        """Some flows of all workspaces of whose change nobody said since that it was followed."""
        return self._resources.unsettled(changed_before)

    def settle(self, flow: Flow) -> None:
        """Note that what follows the change of a flow was done, unless it changed again."""
        self._resources.settle(flow)

    def record_use(self, workspace_id: str, token_id: str, at: datetime, since: datetime) -> None:
        """Remember when a token was last used, unless a use after `since` is known."""
        self._resources.record_use(workspace_id, token_id, at, since)

    def latest_runs(
        self, workspace_id: str, versions: Iterable[tuple[str, str]]
    ) -> Mapping[str, LatestRun]:
        """The latest runs of versions that are not their flow's latest run."""
        return self._resources.latest_runs(workspace_id, versions)

    def find[R: Resource](
        self, kind: type[R], workspace_id: str, stable_key: str, *, parent_id: str | None = None
    ) -> R | None:
        """The resource of the collection that has this stable key, if there is one."""
        return self._resources.find(kind, workspace_id, stable_key, parent_id=parent_id)

    def find_many(self, workspace_id: str, refs: Iterable[KeyRef[Any]]) -> Found:
        """Several resources by stable key; what is not there is left out."""
        return self._resources.find_many(workspace_id, refs)

    def page[R: Resource](
        self,
        kind: type[R],
        workspace_id: str,
        *,
        parent_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        newest_first: bool = False,
        skip: int = 0,
    ) -> Listing[R]:
        """One page of the collection by time of creation. Raises InvalidRequestError."""
        return self._resources.page(
            kind,
            workspace_id,
            parent_id=parent_id,
            limit=limit,
            cursor=cursor,
            newest_first=newest_first,
            skip=skip,
        )

    def browse[R: Resource](
        self,
        kind: type[R],
        workspace_id: str,
        order: Order,
        *,
        limit: int,
        after: str | None = None,
        skip: int = 0,
    ) -> Browsed[R]:
        """A part of a workspace's list of a kind that has this order."""
        return self._resources.browse(
            kind, workspace_id, order, limit=limit, after=after, skip=skip
        )

    def parent_of(self, workspace_id: str, id_: str) -> str | None:
        """The parent of a resource of a kind that is found without it."""
        return self._resources.parent_of(workspace_id, id_)

    def find_public[R: Resource](self, kind: type[R], id_: str) -> R | None:
        """The resource behind an id in a public address, whatever its workspace."""
        return self._resources.find_public(kind, id_)

    def commit(self, *changes: Change) -> None:
        """Apply all changes or none, and remember the request with them."""
        request = self._request
        if request is None or request.is_stored or not changes:
            self._resources.commit(*changes)
            return
        request.note(changes)
        try:
            self._resources.commit(*changes, request.change())
        except (ConflictError, RevisionMismatchError) as error:
            known = self._known(request.record.workspace_id, request.record.id)
            if known != request.expired:
                raise ConflictError(
                    "another request with this Idempotency-Key is being carried out; wait for it"
                ) from error
            raise
        request.is_stored = True

    def answer(
        self,
        caller: Caller,
        key: str,
        fingerprint: str,
        carry_out: Callable[[], Answer],
        show: Callable[[str], Answer | None] = lambda _: None,
    ) -> Answer:
        """The answer to a request with a key: the first one again, or that of carrying it out.

        If the function died before it could answer, what it made is shown; `show` gives an answer
        of its id, if the request is one that makes such things. Raises RuleViolationError if the
        key came with another request, ConflictError if the answer is not known.
        """
        now = self._clock()
        id_ = hashlib.sha256(key.encode()).hexdigest()
        known = self._known(caller.workspace_id, id_)
        if known is not None and known.expires_at > now:
            return self._recovered(known, fingerprint, show) or _again(known, fingerprint)
        record = RememberedRequest(
            id=id_,
            workspace_id=caller.workspace_id,
            revision=1 if known is None else known.revision + 1,
            created_at=now,
            created_by=caller.token_id,
            modified_at=now,
            modified_by=caller.token_id,
            fingerprint=fingerprint,
            expires_at=now + timedelta(hours=limits.IDEMPOTENCY_HOURS),
        )
        request = self._request = _Request(record, known)
        try:
            answer = carry_out()
        finally:
            self._request = None
        self._remember(request, answer)
        return answer

    def _recovered(
        self, known: RememberedRequest, fingerprint: str, show: Callable[[str], Answer | None]
    ) -> Answer | None:
        """An answer that was lost, once nobody can be about to give it."""
        over = known.modified_at + timedelta(seconds=limits.REQUEST_LEASE_SECONDS)
        is_lost = known.status is None and known.fingerprint == fingerprint
        if not is_lost or known.made is None or self._clock() < over:
            return None
        return show(known.made)

    def _remember(self, request: _Request, answer: Answer) -> None:
        record = request.record
        if not answer.is_success:
            # Part of it may be done, as when a file is stored and its flows cannot be deployed;
            # such requests are made to be sent again.
            if request.is_stored:
                self._resources.commit(Delete(record))
            return
        told = record if _is_shown_once(answer) else _answered(record, answer)
        if request.is_stored:
            change: Change = Replace(
                record, told.model_copy(update={"revision": told.revision + 1})
            )
        else:
            change = _Request(told, request.expired).change()
        # The answer is given whether it can be kept or not: a twin was faster, or it is too large.
        with suppress(ConflictError, RevisionMismatchError, TooLargeError):
            self._resources.commit(change)

    def _known(self, workspace_id: str, id_: str) -> RememberedRequest | None:
        try:
            return self._resources.get(RememberedRequest, workspace_id, id_)
        except NotFoundError:
            return None


def _answered(record: RememberedRequest, answer: Answer) -> RememberedRequest:
    told = {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
    return record.model_copy(update=told)


def _is_shown_once(answer: Answer) -> bool:
    """Whether the answer may not be stored (RFC 9111), because it holds a secret."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return "no-store" in headers.get("cache-control", "")


def _again(known: RememberedRequest, fingerprint: str) -> Answer:
    if known.fingerprint != fingerprint:
        raise RuleViolationError(
            "this Idempotency-Key came with another request",
            [
                Violation(
                    "keyTwice",
                    "Idempotency-Key",
                    "The key belongs to another request of the last 24 hours.",
                    "Use a new key for a new request, the same for the same bytes.",
                )
            ],
        )
    if known.status is None:
        raise ConflictError(
            "a request with this Idempotency-Key was carried out, or is about to be, and its "
            "answer is not kept; look what is there before you send it with a new key"
        )
    return Answer(known.status, known.headers, known.body)
