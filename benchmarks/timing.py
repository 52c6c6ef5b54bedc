"""Whether the time of a refusal tells how much was right: `python -m benchmarks.timing`.

A signature, or a token, that is wrong in its first place is tried beside one that is wrong in its
last place only and one that is right, in random order. What differs is told by Welch's t: beyond
4.5 two times are taken to be different, as tests of constant time usually do. Two comparisons that
stop at the first difference are measured the same way, to show that it would be seen, and one kind
is measured twice, to show how far apart two equal ones seem to be.
"""

import argparse
import hmac
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import repeat
from typing import Final

from tests.support.samples import ALICE
from tests.support.world import World

from millrace.domain.errors import UnauthenticatedError
from millrace.domain.signatures import Scheme, verified
from millrace.domain.token import TokenInput
from millrace.usecases.tokens import authenticate, create_token

TRIES: Final = 10_000
KEPT: Final = 0.9
"""Of all times together: the slowest tell of the machine, not of what was done."""

FIRST: Final = "wrong at first"
AGAIN: Final = "the same again"
LAST: Final = "wrong at last"
RIGHT: Final = "right"

type Tries = Mapping[str, Callable[[], object]]


def signatures() -> Tries:
    """Those of a body, over SHA-256 in hexadecimal digits."""
    scheme, body, key = Scheme("sha256", "x-signature"), b'{"id": 1}' * 20, "correct horse"
    right = hmac.digest(key.encode(), body, "sha256").hex()
    now = datetime.now(UTC)

    def check(given: str) -> Callable[[], object]:
        return lambda: verified(scheme, [key], {"x-signature": given}, body, now)

    return {name: check(given) for name, given in _spoilt(right).items()}


def tokens() -> Tries:
    """Those of the API; the right one has more done for it, so it is not among them."""
    context = World().context
    _, right = create_token(context, ALICE, TokenInput(name="timing", role="viewer"))
    head, _, secret = right.rpartition(".")
    tried = {name: f"{head}.{text}" for name, text in _spoilt(secret).items() if name != RIGHT}

    def check(text: str) -> Callable[[], object]:
        def refused() -> None:
            with suppress(UnauthenticatedError):
                authenticate(context, text)

        return refused

    return {name: check(text) for name, text in tried.items()}


def naive(size: int, compare: Callable[[str, str], bool]) -> Tries:
    """A comparison that stops at the first difference, of texts of so many characters."""
    right = "".join(random.Random(1).choices("0123456789abcdef", k=size))
    # Not the same object, which would be equal at a glance.
    tried = {name: "".join(list(text)) for name, text in _spoilt(right).items()}

    def check(text: str) -> Callable[[], object]:
        return lambda: compare(right, text)

    return {name: check(text) for name, text in tried.items()}


def one_by_one(one: str, other: str) -> bool:
    """As one would write it."""
    return len(one) == len(other) and all(a == b for a, b in zip(one, other, strict=True))


def at_once(one: str, other: str) -> bool:
    """As the language does it."""
    return one == other


def _spoilt(right: str) -> dict[str, str]:
    def other(digit: str) -> str:
        return "1" if digit == "0" else "0"

    return {
        FIRST: other(right[0]) + right[1:],
        AGAIN: other(right[0]) + right[1:],
        LAST: right[:-1] + other(right[-1]),
        RIGHT: right,
    }


def measured(tries: Tries, count: int) -> dict[str, list[int]]:
    """Nanoseconds of each try that is kept, `count` of each kind in random order."""
    order = [name for name in tries for _ in repeat(None, count)]
    random.Random(2).shuffle(order)
    times: list[tuple[str, int]] = []
    for name in order:
        work = tries[name]
        begun = time.perf_counter_ns()
        work()
        times.append((name, time.perf_counter_ns() - begun))
    limit = sorted(took for _, took in times)[int(len(times) * KEPT) - 1]
    kept = [(name, took) for name, took in times if took <= limit]
    return {each: [took for name, took in kept if name == each] for each in tries}


def welch(one: list[int], other: list[int]) -> float:
    """By how many standard errors the means differ."""
    error = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / math.sqrt(error)


def lines(name: str, tries: Tries, count: int) -> Iterator[str]:
    """What was measured, in words."""
    times = measured(tries, count)
    medians = ", ".join(f"{each} {statistics.median(took):,.0f} ns" for each, took in times.items())
    yield f"{name}: {medians}"
    yield f"  first against itself: t = {welch(times[FIRST], times[AGAIN]):.1f}"
    yield f"  first against last: t = {welch(times[FIRST], times[LAST]):.1f}"
    if RIGHT in times:
        yield f"  last against right: t = {welch(times[LAST], times[RIGHT]):.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=TRIES, help="of each kind")
    count = parser.parse_args().tries
    for name, tries in (
        ("signature (HMAC-SHA256)", signatures()),
        ("token (SHA-256 of 256 bits)", tokens()),
        ("for comparison, 64 digits one by one", naive(64, one_by_one)),
        ("for comparison, 100,000 digits by ==", naive(100_000, at_once)),
    ):
        sys.stdout.write("\n".join(lines(name, tries, count)) + "\n")


if __name__ == "__main__":
    main()
