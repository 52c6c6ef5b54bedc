"""Lists of a workspace's resources: sorted, filtered, page by page or from cursor to cursor.

A list in the order of an index reads its page and no more. A filter walks along that order, a
bounded way for each request. What no index has is read whole and sorted here, if it is not long.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from millrace import limits
from millrace.domain.cursor import decode_cursor, encode_cursor
from millrace.domain.errors import InvalidRequestError
from millrace.domain.orders import SEPARATOR, sort_text
from millrace.domain.ports import Browsed, Order, Resources
from millrace.domain.resource import Resource

type Test[R] = Callable[[R], bool]


@dataclass(frozen=True, slots=True)
class Asked[R: Resource]:
    """Which part of a list is asked for."""

    kind: type[R]
    workspace_id: str
    sort: tuple[Order, ...] = ()
    limit: int = limits.PAGE_ITEMS
    cursor: str | None = None
    page: int = 1
    """Counts from 1; beside a cursor it has no meaning."""

    tests: Sequence[Test[R]] = ()
    """All must hold."""

    among: Sequence[R] | None = None
    """The only ones that may be in the list, where they are known."""

    @property
    def skip(self) -> int:
        """How many come before the page."""
        return (self.page - 1) * self.limit

    def admits(self, item: R) -> bool:
        """Whether an item is in the list."""
        return all(test(item) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Part[R]:
    """A part of a list."""

    items: tuple[R, ...]
    cursor: str | None = None
    """Where more follow; None: this is the end."""

    total: int | None = None
    """How many the whole list has, if that is known."""


def check_page(page: int, limit: int) -> None:
    """Raise InvalidRequestError for a page that is too far away to count up to it."""
    if page * limit > limits.PAGED_ITEMS:
        raise InvalidRequestError(
            f"page {page} of {limit} lies beyond the first {limits.PAGED_ITEMS:,}; "
            "follow links.next, which has a cursor, or filter"
        )


def find_part[R: Resource](resources: Resources, asked: Asked[R]) -> Part[R]:
    """The part of a list that is asked for. Raises InvalidRequestError if it is too far away."""
    if asked.cursor is None:
        check_page(asked.page, asked.limit)
    order = _index_order(asked.sort)
    if asked.among is not None:
        return _arranged(asked, asked.among)
    if order is None:
        return _arranged(asked, _all(resources, asked))
    if asked.tests:
        return _walked(resources, asked, order)
    browsed = resources.browse(
        asked.kind,
        asked.workspace_id,
        order,
        limit=asked.limit,
        after=_position(asked, order),
        skip=asked.skip if asked.cursor is None else 0,
    )
    return Part(browsed.items, _cursor(browsed.last, order), browsed.total)


def _index_order(sort: tuple[Order, ...]) -> Order | None:
    """The order of an index that is the same; no two things were created at once."""
    if not sort:
        return Order()
    first, *others = sort
    if first.by == "createdAt" or not others:
        return first
    # An index has what is alike in the order of creation.
    if others[0] == Order("createdAt", first.descending):
        return first
    return None


def _position[R: Resource](asked: Asked[R], order: Order) -> str | None:
    return None if asked.cursor is None else decode_cursor(asked.cursor, str(order))


def _cursor(position: str | None, order: Order) -> str | None:
    return None if position is None else encode_cursor(position, str(order))


def _walked[R: Resource](resources: Resources, asked: Asked[R], order: Order) -> Part[R]:
    """What a filter lets through, until the page is full or the way is long enough."""
    skip = asked.skip if asked.cursor is None else 0
    found: list[tuple[R, str]] = []
    after = _position(asked, order)
    for browsed in _parts(resources, asked, order, after):
        found += [
            (item, position)
            for item, position in zip(browsed.items, browsed.positions, strict=True)
            if asked.admits(item)
        ]
        after = browsed.last
        if len(found) > skip + asked.limit:
            break
    shown = found[skip:][: asked.limit]
    items = tuple(item for item, _ in shown)
    if len(found) > skip + asked.limit:
        return Part(items, _cursor(shown[-1][1], order))
    if after is None:
        return Part(items, None, len(found) if asked.cursor is None else None)
    if skip and not items:
        raise InvalidRequestError(
            f"page {asked.page} lies beyond the first {limits.WALKED_ITEMS:,} of the list, among "
            "which a filter is counted; follow links.next from the first page"
        )
    return Part(items, _cursor(after, order))


def _parts[R: Resource](
    resources: Resources, asked: Asked[R], order: Order, after: str | None
) -> Iterator[Browsed[R]]:
    """The list part by part, a bounded way."""
    size = limits.BATCH_READ_ITEMS
    for _ in range(limits.WALKED_ITEMS // size):
        browsed = resources.browse(asked.kind, asked.workspace_id, order, limit=size, after=after)
        yield browsed
        after = browsed.last
        if after is None:
            return


def _all[R: Resource](resources: Resources, asked: Asked[R]) -> list[R]:
    found: list[R] = []
    after = None
    while True:
        browsed = resources.browse(
            asked.kind,
            asked.workspace_id,
            Order(),
            limit=limits.SORTED_ITEMS,
            after=after,
        )
        found += browsed.items
        after = browsed.last
        if max(browsed.total or 0, len(found)) > limits.SORTED_ITEMS or (
            after is not None and len(found) == limits.SORTED_ITEMS
        ):
            raise InvalidRequestError(
                f"sort={','.join(map(str, asked.sort))} is of more than one key, for which a list "
                f"may have {limits.SORTED_ITEMS:,} at most; sort by its first key alone"
            )
        if after is None:
            return found


def _arranged[R: Resource](asked: Asked[R], items: Iterable[R]) -> Part[R]:
    """A part of what was read whole, sorted here."""
    keys = (*asked.sort, Order())
    told = ",".join(map(str, keys))
    rows: list[tuple[list[str], R | None]] = [
        ([sort_text(item, key.by) for key in keys], item) for item in items if asked.admits(item)
    ]
    total = len(rows)
    start = asked.skip
    if asked.cursor is not None:
        # The last item shown may be gone, so its place is found by sorting it in.
        last = decode_cursor(asked.cursor, told).split(SEPARATOR)
        if len(last) != len(keys):
            raise InvalidRequestError("the cursor is not one that a list gave")
        rows = [row for row in rows if row[0] != last]
        rows.append((last, None))
    for place, key in reversed([*enumerate(keys)]):
        rows.sort(key=lambda row: row[0][place], reverse=key.descending)
    if asked.cursor is not None:
        start = next(place for place, (_, item) in enumerate(rows) if item is None) + 1
    shown = rows[start:][: asked.limit]
    has_more = len(rows) > start + asked.limit
    return Part(
        tuple(item for _, item in shown if item is not None),
        encode_cursor(SEPARATOR.join(shown[-1][0]), told) if has_more else None,
        total,
    )
