"""Requests are under way together, and nobody who deals with their answers notices."""

from collections.abc import Iterator
from contextlib import closing
from threading import Barrier, Event, Lock, Timer

import pytest

from millrace.usecases.under_way import Answered, in_order


def never() -> bool:
    """It need not stop."""
    return False


def test_answers_come_in_the_order_of_requests_whatever_comes_first() -> None:
    """The later ones of those that are under way are answered before the first here."""
    later = [Event() for _ in range(10)]

    def send(number: int) -> int:
        if number % 3 == 0 and number < 9:
            assert later[number + 2].wait(10)
        later[number].set()
        return -number

    answers = list(in_order(range(10), send, 3, never))
    assert [(each.request, each.answer) for each in answers] == [(n, -n) for n in range(10)]
    assert answers[-1].behind == 0


def test_so_many_are_under_way_and_never_more() -> None:
    """The limit is reached, and what is read ahead of what was given out is no more than it."""
    lock, together = Lock(), Barrier(4)
    under_way, most, read = 0, 0, 0

    def requests() -> Iterator[int]:
        nonlocal read
        for number in range(20):
            read += 1
            yield number

    def send(_: int) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        together.wait(10)
        with lock:
            under_way -= 1

    for given_out, _ in enumerate(in_order(requests(), send, 4, never)):
        assert read <= given_out + 4
    assert most == 4


def test_trouble_comes_in_its_place_after_what_was_sent_before() -> None:
    """Those before it are given out although they were answered later; none is sent any more."""
    failed, sent = Event(), list[int]()

    def send(number: int) -> int:
        sent.append(number)
        if number == 2:
            failed.set()
            raise OSError("gone")
        assert failed.wait(10)
        return number

    given_out: list[int] = []
    with pytest.raises(OSError, match="gone"), closing(in_order(range(9), send, 4, never)) as came:
        given_out.extend(each.request for each in came)
    assert given_out == [0, 1]
    assert max(sent) <= 5


def test_who_must_stop_gets_what_is_under_way_and_sends_nothing_new() -> None:
    """Nothing that was sent is left unremembered by a step whose time is over."""
    sent: list[int] = []
    is_over = Event()

    def send(number: int) -> None:
        sent.append(number)

    given_out: list[Answered[int, None]] = []
    with closing(in_order(range(100), send, 4, is_over.is_set)) as came:
        for each in came:
            given_out.append(each)
            if each.request == 10:
                is_over.set()
            if is_over.is_set() and not each.behind:
                break
    assert [each.request for each in given_out] == sorted(sent)
    assert len(sent) <= 10 + 4


def test_one_at_a_time_is_sent_when_it_is_asked_for() -> None:
    """No thread, and nothing sent ahead: as it is without a word about concurrency."""
    sent: list[int] = []
    for each in in_order(range(3), sent.append, 1, never):
        assert sent == list(range(each.request + 1))


def test_nothing_is_under_way_once_it_is_closed() -> None:
    """Who leaves early waits for what was sent, so that no other try is at work beside it."""
    done: list[int] = []
    together, go_on = Barrier(3), Event()

    def send(number: int) -> None:
        together.wait(10)
        if number:
            assert go_on.wait(10)
        done.append(number)

    with closing(in_order(range(9), send, 3, never)) as came:
        next(came)
        Timer(0.1, go_on.set).start()
    assert sorted(done) == [0, 1, 2]
