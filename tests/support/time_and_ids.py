"""A clock that stands still unless told, and ids that count; both as the use cases take them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass
class FakeClock:
    """Gives the same time until it is moved."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        """The time that is now."""
        return self.now

    def forward(self, **by: float) -> None:
        """Let time pass, by the arguments of a timedelta."""
        self.now += timedelta(**by)


@dataclass
class CountingIds:
    """Ids that sort by their making, as ULIDs do: `flow_000001`, `ver_000002`."""

    made: int = 0

    def __call__(self, prefix: str) -> str:
        """The next id."""
        self.made += 1
        return f"{prefix}_{self.made:06d}"
