"""A request is carried out at most once, whatever happens around it."""

import pytest
from tests.support.samples import ALICE, connection
from tests.support.time_and_ids import FakeClock

from millrace.domain.connection import Connection
from millrace.domain.errors import ConflictError, RevisionMismatchError, RuleViolationError
from millrace.domain.ports import Create, Replace
from millrace.storage.memory import MemoryResources
from millrace.usecases.once import Answer, Once

CREATED = Answer(201, {"ETag": '"1"', "Location": "/v1/connections/con_1"}, '{"id": "con_1"}')


class Request:
    """A request that creates one more connection each time it is carried out."""

    def __init__(self, store: MemoryResources, clock: FakeClock) -> None:
        self.store = store
        self.once = Once(store, clock)
        self.answer = CREATED
        self.carried_out = 0

    def carry_out(self) -> Answer:
        """Store a connection and answer."""
        self.carried_out += 1
        number = len(self.store.page(Connection, ALICE.workspace_id).items) + 1
        self.once.commit(Create(connection(f"con_{number}")))
        return self.answer

    def send(self, fingerprint: str = "same") -> Answer:
        """Send it with the same key as ever."""
        return self.once.answer(ALICE, "key", fingerprint, self.carry_out)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands."""
    return FakeClock()


@pytest.fixture
def store() -> MemoryResources:
    """An empty store."""
    return MemoryResources()


@pytest.fixture
def request_(store: MemoryResources, clock: FakeClock) -> Request:
    """A request at one instance of the function."""
    return Request(store, clock)


def stored(store: MemoryResources) -> list[str]:
    """What the requests made."""
    return [each.id for each in store.page(Connection, ALICE.workspace_id).items]


def test_the_first_answer_is_given_again(request_: Request, store: MemoryResources) -> None:
    """Also by another instance, and without carrying anything out."""
    assert request_.send() == CREATED
    assert request_.send() == CREATED
    assert Request(store, FakeClock()).send() == CREATED
    assert (request_.carried_out, stored(store)) == (1, ["con_1"])


def test_another_request_may_not_have_the_key(request_: Request, store: MemoryResources) -> None:
    """It is refused before it is carried out."""
    request_.send()
    with pytest.raises(RuleViolationError):
        request_.send("other")
    assert stored(store) == ["con_1"]


def test_a_day_later_the_key_is_free(
    request_: Request, store: MemoryResources, clock: FakeClock
) -> None:
    """Even if the table did not remove the record yet."""
    request_.send()
    clock.forward(hours=23, minutes=59)
    request_.send()
    assert request_.carried_out == 1
    clock.forward(minutes=1)
    request_.send("other")
    assert stored(store) == ["con_1", "con_2"]
    assert request_.send("other") == CREATED
    assert request_.carried_out == 2


def test_r4_of_twins_at_once_one_is_carried_out(
    request_: Request, store: MemoryResources, clock: FakeClock
) -> None:
    """What the slower one did is undone with its transaction."""
    twin = Request(store, clock)

    def overtaken() -> Answer:
        assert twin.send() == CREATED
        return request_.carry_out()

    with pytest.raises(ConflictError, match="Idempotency-Key"):
        request_.once.answer(ALICE, "key", "same", overtaken)
    assert stored(store) == ["con_1"]
    assert request_.send() == CREATED


def test_a_crash_after_the_work_does_not_repeat_it(
    request_: Request, store: MemoryResources, clock: FakeClock
) -> None:
    """The answer is lost, and the sender is told so."""

    def crash() -> Answer:
        request_.carry_out()
        raise MemoryError

    with pytest.raises(MemoryError):
        request_.once.answer(ALICE, "key", "same", crash)
    with pytest.raises(ConflictError, match="not kept"):
        Request(store, clock).send()
    assert stored(store) == ["con_1"]


def test_r4_a_crash_before_the_work_leaves_the_key_free(request_: Request) -> None:
    """No lock is left behind."""

    def crash() -> Answer:
        raise MemoryError

    with pytest.raises(MemoryError):
        request_.once.answer(ALICE, "key", "same", crash)
    assert request_.send() == CREATED


@pytest.mark.parametrize("status", [409, 422, 500, 503])
def test_a_request_that_failed_may_be_sent_again(request_: Request, status: int) -> None:
    """Also one that failed when part of it was done: such requests are made for that."""
    request_.answer = Answer(status, {}, "")
    assert request_.send().status == status
    request_.answer = CREATED
    assert request_.send() == CREATED


def test_an_answer_that_may_not_be_stored_is_not(request_: Request, store: MemoryResources) -> None:
    """A token is shown once; the request is not carried out again all the same."""
    request_.answer = Answer(201, {"Cache-Control": "no-store"}, "t0ken")
    assert request_.send().body == "t0ken"
    assert "t0ken" not in str(store._items)
    with pytest.raises(ConflictError):
        request_.send()
    assert request_.carried_out == 1


def test_an_answer_is_remembered_though_nothing_was_stored(request_: Request) -> None:
    """Some requests commit nothing, or not through this store."""
    calls: list[int] = []

    def nothing() -> Answer:
        calls.append(1)
        return CREATED

    for _ in range(2):
        assert request_.once.answer(ALICE, "key", "same", nothing) == CREATED
    assert calls == [1]


def test_a_conflict_of_the_request_itself_is_told_as_it_is(
    request_: Request, store: MemoryResources
) -> None:
    """A stale revision is not mistaken for a twin."""
    store.commit(Create(connection("con_9")))
    stale = connection("con_9", revision=7)

    def change() -> Answer:
        request_.once.commit(Replace(stale, stale.model_copy(update={"revision": 8})))
        return CREATED

    with pytest.raises(RevisionMismatchError, match="con_9"):
        request_.once.answer(ALICE, "key", "same", change)
