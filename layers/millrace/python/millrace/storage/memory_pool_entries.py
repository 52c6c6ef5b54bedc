"""What data pools remember, in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from millrace.domain.pool_entries import Claim, PoolEntry

_SECOND = timedelta(seconds=1)


class MemoryPoolEntries:
    """The `PoolEntries` port in a dictionary."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str, str], PoolEntry] = {}

    def get_many(
        self, workspace_id: str, pool_id: str, keys: Iterable[str], now: datetime
    ) -> dict[str, PoolEntry]:
        """Those of these keys that the pool remembers."""
        found = {key: self._entries.get((workspace_id, pool_id, key)) for key in keys}
        return {
            key: entry
            for key, entry in found.items()
            if entry is not None and entry.expires_at > now
        }

    def claim(
        self, workspace_id: str, pool_id: str, entries: Sequence[PoolEntry], now: datetime
    ) -> dict[str, Claim]:
        """Remember keys, each unless an entry is there that this one doubles; whose each is now."""
        claims: dict[str, Claim] = {}
        there = self.get_many(workspace_id, pool_id, [entry.key for entry in entries], now)
        for entry in entries:
            before = there.get(entry.key)
            if before is not None and before.claim.is_doubled_by(entry.claim):
                claims[entry.key] = before.claim
                continue
            value = None if before is None else before.value
            self.put(workspace_id, pool_id, [replace(entry, value=value)])
            claims[entry.key] = entry.claim
        return claims

    def put(self, workspace_id: str, pool_id: str, entries: Sequence[PoolEntry]) -> None:
        """Remember keys and their values in place of what is there; the last word counts."""
        for entry in entries:
            # To the next full second, as DynamoDB's own forgetting goes.
            whole = entry.expires_at.replace(microsecond=0)
            expires_at = whole if whole == entry.expires_at else whole + _SECOND
            self._entries[workspace_id, pool_id, entry.key] = replace(entry, expires_at=expires_at)
