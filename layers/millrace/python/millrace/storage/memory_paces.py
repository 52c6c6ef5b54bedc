"""The `Paces` port in a dictionary."""

from threading import Lock

from millrace.domain.pace import Pace


class MemoryPaces:
    """Keeps each connection's pace until it is let go itself."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, str], Pace] = {}
        self._lock = Lock()

    def read(self, workspace_id: str, connection_id: str) -> Pace | None:
        """What the connection's workers told each other."""
        return self._paces.get((workspace_id, connection_id))

    def swap(
        self, workspace_id: str, connection_id: str, before: Pace | None, after: Pace
    ) -> Pace | None:
        """Put `after` in the place of `before`, if that is what is there."""
        place = (workspace_id, connection_id)
        with self._lock:
            there = self._paces.get(place)
            if (there and there.revision) != (before and before.revision):
                return there
            self._paces[place] = after
            return after
