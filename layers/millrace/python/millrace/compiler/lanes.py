"""Arithmetic on many sampled durations at once, inside one big integer.

An uncertain duration is carried as one value for each of `LANES` scenarios. Packed into lanes of
15 bits, a sum of durations is one integer addition and a lane-wise maximum eight operations:
many times faster than lists, and exact, so that the same flow always gives the same plan
(Fisher and Dietz, "Compiling for SIMD within a register", 1998).

Lane values stay below 2**14; `LONGEST` keeps them there. Two lanes share one digit of CPython's
integers, so that there are twice as many of them for the same work.
"""

from collections.abc import Iterable

LANES = 64
_WIDTH = 15
# The most that all steps together may take in one scenario. That is coarse for one step, but plans
# are judged on many steps and scenarios, where rounding evens out: finer lanes chose no better.
LONGEST = (1 << 14) - 1

_ONES = sum(1 << (_WIDTH * lane) for lane in range(LANES))
_TOP = _ONES << (_WIDTH - 1)
_LANE = (1 << _WIDTH) - 1
_EVEN = sum(_LANE << (2 * _WIDTH * pair) for pair in range(LANES // 2))
_PAIR = (1 << 2 * _WIDTH) - 1


def pack(values: Iterable[int]) -> int:
    """One value for each lane as one integer."""
    packed = 0
    for value in values:
        packed = packed << _WIDTH | value
    return packed


def unpack(packed: int) -> list[int]:
    """The value of each lane, in the order they were packed."""
    return [packed >> (_WIDTH * lane) & _LANE for lane in reversed(range(LANES))]


def longer(a: int, b: int) -> int:
    """The larger value in each lane.

    With the top bit of each lane set in `a`, the subtraction cannot borrow from the next lane, and
    leaves that bit where a >= b; spread over the lane it selects `a` there.
    """
    where = ((a | _TOP) - b) & _TOP
    return b ^ ((a ^ b) & (where - (where >> (_WIDTH - 1))))


def running_longest(packed: Iterable[int]) -> list[int]:
    """The largest value so far in each lane, at each place of a list (`longer`, written out)."""
    found = []
    a = 0
    for b in packed:
        where = ((a | _TOP) - b) & _TOP
        a = b ^ ((a ^ b) & (where - (where >> (_WIDTH - 1))))
        found.append(a)
    return found


def total(packed: int) -> int:
    """The sum over all lanes.

    Even and odd lanes are added first; then a number modulo 2**30 - 1 is the sum of its 30-bit
    digits.
    """
    return ((packed & _EVEN) + (packed >> _WIDTH & _EVEN)) % _PAIR
