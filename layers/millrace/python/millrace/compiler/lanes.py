"""Arithmetic on many sampled durations at once, inside one big integer.

A duration that is uncertain is carried as one value for each of `LANES` scenarios. Packed into lanes
of 32 bits, a sum of durations is one integer addition and a lane-wise maximum eight operations: an
order of magnitude faster than lists, and exact, so that the same flow always gives the same plan
(SIMD within a register: Fisher and Dietz, "Compiling for SIMD within a register", 1998).

Lane values stay below 2**31 and their sum over all lanes below 2**32 - 1; `LONGEST` keeps them there.
"""

import sys
from array import array
from collections.abc import Sequence

LANES = 48
_WIDTH = 32
# The sum of all steps' durations in one scenario; rounding costs less than a millionth of it.
LONGEST = 1 << 26

_ONES = sum(1 << (_WIDTH * lane) for lane in range(LANES))
_TOP = _ONES << (_WIDTH - 1)
_MODULUS = (1 << _WIDTH) - 1


def pack(values: Sequence[int]) -> int:
    """One value for each lane as one integer."""
    return int.from_bytes(array("I", values).tobytes(), sys.byteorder)


def unpack(packed: int) -> Sequence[int]:
    """The value of each lane."""
    return array("I", packed.to_bytes(LANES * _WIDTH // 8, sys.byteorder))


def longer(a: int, b: int) -> int:
    """The larger value in each lane.

    With the top bit of each lane set in `a`, the subtraction cannot borrow from the next lane, and
    leaves that bit where a >= b; spread over the lane it selects `a` there.
    """
    where = ((a | _TOP) - b) & _TOP
    return b ^ ((a ^ b) & (where - (where >> (_WIDTH - 1))))


def total(packed: int) -> int:
    """The sum over all lanes: a number modulo 2**32 - 1 is the sum of its 32-bit digits."""
    return packed % _MODULUS
