"""What goes wrong in a scenario: when, where and how, all of it from the seed.

A fault happens at the boundary of the code under test: at a call of a store, at a request on the
wire, or to the function itself. Each call asks `meet` what becomes of it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final


class Killed(BaseException):
    """The worker is gone in the middle of its work; nothing that it may still do counts."""


class Fault(StrEnum):
    """What may become of a call."""

    REFUSED = "refused"
    """It does not take place, and fails."""
    LOST = "answer lost"
    """It takes place, and fails all the same."""
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    MEANWHILE = "others go on"
    """It takes so long that others get on with their work before it takes place."""
    FROZEN = "frozen"
    """The same, and whoever waits for the function has given it up by then."""


TASTES: Final = {
    "of all kinds": (),
    "deaths": ("killed before", "killed after"),
    "lost answers": ("answer lost", "unheard", "reset after", "slow", "500 after", "cut off"),
    "delays": ("others go on", "frozen", "429 soon", "429 later", "is short"),
    "refusals": ("refused", "not begun", "503", "reset before", "502 page", "busy", "some left"),
}
"""Of which kinds the faults of a scenario are; many of one kind meet each other more often."""

WRITES = (*Fault,)
READS = (Fault.REFUSED, Fault.KILLED_BEFORE, Fault.MEANWHILE, Fault.FROZEN)


@dataclass
class Invocation:
    """One call of a function, as Lambda makes it."""

    name: str
    give_up: Callable[[], None] = lambda: None
    """Whoever waits for its answer waits no more."""
    outlives_its_caller: bool = False
    """Whether it is still there when nobody waits for it any more; else one write of it may be."""
    is_dead: bool = False


@dataclass
class Faults:
    """Deals out faults to invocations, until there are none left."""

    rng: Random
    rate: float
    left: int
    taste: str = "of all kinds"
    focus: str = ""
    """With what the places begin where something may go wrong."""
    go_on: Callable[[], None] = lambda: None
    """Lets others get on with their work."""
    happened: list[str] = field(default_factory=list)
    _running: list[Invocation] = field(default_factory=list)

    @contextmanager
    def during(self, invocation: Invocation) -> Iterator[None]:
        """Until the end of this block it is that invocation which calls."""
        self._running.append(invocation)
        try:
            yield
        finally:
            self._running.pop()

    @property
    def depth(self) -> int:
        """How many invocations are under way."""
        return len(self._running)

    def draw[K: str](self, place: str, kinds: Sequence[K]) -> K | None:
        """What goes wrong at a place of the running invocation, if anything does.

        Raises Killed if it is dead already.
        """
        if not self._running:
            return None
        if self._running[-1].is_dead:
            raise Killed
        is_spared = self.left == 0 or not place.startswith(self.focus)
        if is_spared or self.rng.random() >= self.rate:
            return None
        liked = TASTES[self.taste]
        kinds = [kind for kind in kinds if not liked or kind in liked]
        if not kinds:
            return None
        self.left -= 1
        kind = self.rng.choice(kinds)
        self.happened.append(f"{self._running[-1].name}: {place}: {kind}")
        return kind

    def kill(self) -> Killed:
        """What to raise: the running invocation ends here."""
        self._running[-1].is_dead = True
        return Killed()

    def wait(self, *, give_up: bool) -> None:
        """Others get on with their work, perhaps without waiting for the running invocation."""
        if give_up:
            self._running[-1].give_up()
        self.go_on()

    def meet[T](
        self,
        place: str,
        call: Callable[[], T],
        error: Callable[[], Exception],
        kinds: Sequence[Fault] = WRITES,
    ) -> T:
        """What the call gives, unless something goes wrong. Raises Killed, or the error."""
        kind = self.draw(place, kinds)
        match kind:
            case Fault.REFUSED:
                raise error()
            case Fault.KILLED_BEFORE:
                raise self.kill()
            case Fault.MEANWHILE | Fault.FROZEN:
                self.wait(give_up=kind is Fault.FROZEN)
        answer = call()
        if kind is Fault.LOST:
            raise error()
        is_late = kind is Fault.FROZEN and not self._running[-1].outlives_its_caller
        if kind is Fault.KILLED_AFTER or is_late:
            raise self.kill()
        return answer
