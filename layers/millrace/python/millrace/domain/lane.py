"""Lanes: how many runs of a flow, or of one key of a flow, may be at work at a time.

A run that is at work has a slot, a lease that the sweeper renews while the run's machine lives. One
too many waits, so long at most, or is refused: that is for the flow to say.

    slots      run_1 until 12:15, run_2 until 12:15
    waiting    run_5 (priority 1), run_3, run_4       by priority, then as they came

Times are whole seconds since 1970, and runs that came later have greater ids: thousands of entries
share one item of the table.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Final, NamedTuple

from pydantic import Field

from millrace import limits
from millrace.domain.base import Model
from millrace.domain.run import LaneKey, Place

_LEASE: Final = limits.SLOT_LEASE_MINUTES * 60


class Entry(Enum):
    """What becomes of a run that comes to a lane."""

    SLOT = "slot"
    WAITS = "waits"
    BUSY = "busy"
    """There is no slot, and it is not to wait."""
    FULL = "full"
    """Nor may any more wait."""


class Waiting(Model):
    """A run that waits."""

    priority: int
    until: int

    @property
    def until_moment(self) -> datetime:
        """When it is given up."""
        return datetime.fromtimestamp(self.until, UTC)


class Entered(NamedTuple):
    """A lane after a run came to it, and what became of the run."""

    lane: "Lane"
    entry: Entry


class Advanced(NamedTuple):
    """A lane after its turn, and the runs that got a slot."""

    lane: "Lane"
    run_ids: tuple[str, ...]


class Lane(Model):
    """The runs of one lane. Each change has a revision of its own; 0 is not stored yet."""

    revision: int = 0
    key: str | None = None
    limit: int = 1
    """As the run that came last was told."""
    slots: dict[str, int] = Field(default_factory=dict)
    """The runs that are at work, and until when if nobody renews that."""
    waiting: dict[str, Waiting] = Field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is told by it."""
        return not (self.slots or self.waiting)

    @property
    def line(self) -> list[str]:
        """The runs that wait, the next one first."""
        return sorted(self.waiting, key=lambda id_: (self.waiting[id_].priority, id_))

    def taken(self, now: datetime) -> list[str]:
        """The runs that have a slot now, the oldest first."""
        return sorted(id_ for id_, until in self.slots.items() if until > now.timestamp())

    def entered(self, run_id: str, place: Place, until: datetime, now: datetime) -> Entered:
        """With a run that has come: with a slot, or waiting until then, or unchanged."""
        lane = _changed(
            self,
            slots=self._live(now),
            limit=place.limit,
            key=place.key,
            revision=self.revision + 1,
        )
        is_room = len(lane.slots) + len(lane.waiting) < place.limit
        if not is_room and place.on_conflict != "queue":
            return Entered(self, Entry.BUSY)
        if is_room or place.goes_past:
            if len(lane.slots) >= limits.CONCURRENCY_MAX + limits.QUEUE_DEPTH:
                return Entered(self, Entry.FULL)
            slots = {**lane.slots, run_id: _lease(now)}
            return Entered(_changed(lane, slots=slots), Entry.SLOT)
        if len(lane.waiting) >= limits.QUEUE_DEPTH:
            return Entered(self, Entry.FULL)
        return Entered(lane.joined({run_id: (place, until)}), Entry.WAITS)

    def left(self, run_ids: Iterable[str]) -> "Lane":
        """Without runs that are over."""
        gone = {*run_ids}
        if not gone & (self.slots.keys() | self.waiting.keys()):
            return self
        return _changed(
            self,
            slots={id_: until for id_, until in self.slots.items() if id_ not in gone},
            waiting={id_: each for id_, each in self.waiting.items() if id_ not in gone},
        )

    def renewed(self, run_ids: Iterable[str], now: datetime) -> "Lane":
        """With fresh leases of runs that are at work."""
        fresh = {id_: _lease(now) for id_ in run_ids if id_ in self.slots}
        return _changed(self, slots=self.slots | fresh) if fresh else self

    def readmitted(self, run_ids: Iterable[str], now: datetime) -> "Lane":
        """With leases of runs that are at work although the lane forgot them."""
        fresh = dict.fromkeys(run_ids, _lease(now))
        return _changed(self, slots=self.slots | fresh) if fresh else self

    def rejoined(self, runs: Mapping[str, tuple[Place, datetime]]) -> "Lane":
        """With runs that wait although the lane forgot them."""
        lost = {id_: each for id_, each in runs.items() if id_ not in self.slots}
        lost = {id_: each for id_, each in lost.items() if id_ not in self.waiting}
        return self.joined(lost) if lost else self

    def advanced(self, limit: int, now: datetime) -> Advanced:
        """With slots for those that wait, as far as there are any; leases that ran out are free.

        A run that waited too long gets none any more.
        """
        slots = self._live(now)
        in_time = [id_ for id_ in self.line if self.waiting[id_].until > now.timestamp()]
        turn = in_time[: max(0, limit - len(slots))]
        if not turn and limit == self.limit:
            return Advanced(self, ())
        waiting = {id_: each for id_, each in self.waiting.items() if id_ not in turn}
        slots |= dict.fromkeys(turn, _lease(now))
        return Advanced(_changed(self, slots=slots, waiting=waiting, limit=limit), tuple(turn))

    def previous(self, limit: int, now: datetime) -> list[str]:
        """The oldest runs, which must go so that there is a slot for one more."""
        taken = self.taken(now)
        return [*self.line, *taken[: max(0, len(taken) - limit + 1)]]

    def revised(self) -> "Lane":
        """The same under the next revision."""
        return _changed(self, revision=self.revision + 1)

    def _live(self, now: datetime) -> dict[str, int]:
        return {id_: until for id_, until in self.slots.items() if until > now.timestamp()}

    def joined(self, runs: Mapping[str, tuple[Place, datetime]]) -> "Lane":
        """With runs that wait, each until its time."""
        more = {
            id_: Waiting(priority=place.priority, until=int(until.timestamp()))
            for id_, (place, until) in runs.items()
        }
        return _changed(self, waiting=self.waiting | more)


class LaneChange(NamedTuple):
    """A lane as it was read, None if it was not there, and what it becomes."""

    key: LaneKey
    before: Lane | None
    after: Lane


class LaneChangedError(Exception):
    """The lane is not as it was read; nothing was stored."""


def _changed(lane: Lane, **update: object) -> Lane:
    return lane.model_copy(update=update)


def _lease(now: datetime) -> int:
    return int(now.timestamp()) + _LEASE
