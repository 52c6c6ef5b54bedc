"""Data pools in tests of flows: what is there is read, and what a test remembers goes with it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from millrace.domain.pool_entries import Claim, PoolEntry
from millrace.domain.ports import PoolEntries


class Overlay:
    """The `PoolEntries` port over another one, which is only read."""

    def __init__(self, entries: PoolEntries) -> None:
        self._entries = entries
        self._own: dict[tuple[str, str], PoolEntry] = {}
        """By pool and key."""

    def get_many(
        self, workspace_id: str, pool_id: str, keys: Iterable[str], now: datetime
    ) -> dict[str, PoolEntry]:
        """Those of these keys that are remembered, here or there."""
        wanted = list(keys)
        found = self._entries.get_many(workspace_id, pool_id, wanted, now)
        own = {key: self._own[pool_id, key] for key in wanted if (pool_id, key) in self._own}
        return found | own

    def claim(
        self, workspace_id: str, pool_id: str, entries: Sequence[PoolEntry], now: datetime
    ) -> dict[str, Claim]:
        """Remember here what is remembered nowhere; whose each is now."""
        there = self.get_many(workspace_id, pool_id, [entry.key for entry in entries], now)
        self.put(workspace_id, pool_id, [entry for entry in entries if entry.key not in there])
        return {
            entry.key: there[entry.key].claim if entry.key in there else entry.claim
            for entry in entries
        }

    def put(self, workspace_id: str, pool_id: str, entries: Sequence[PoolEntry]) -> None:
        """Remember here."""
        del workspace_id
        self._own |= {(pool_id, entry.key): entry for entry in entries}
