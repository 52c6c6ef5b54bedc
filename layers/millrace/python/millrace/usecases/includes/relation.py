"""What a relation is, and the tree that a request with relations is answered by."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from millrace.domain.base import Model
from millrace.domain.flow import Flow, Version
from millrace.domain.ports import Found, Ref
from millrace.domain.run import LatestRun, Run
from millrace.usecases.context import Context

COUNT: Final = "_count"
EXISTS: Final = "Exists"


class RunOf(NamedTuple):
    """The latest run of a version, as something to read."""

    flow: Flow
    version_id: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read."""

    found: Found
    runs: Mapping[str, LatestRun]


type Value = Model | Sequence[Model] | None

type Loading[T] = Generator[Iterable[Ref[Any] | RunOf], Loaded, T]
"""Asks for what it needs and is sent it, as often as it likes; what all ask for is read at once."""


@dataclass(slots=True)
class Node:
    """One thing and what is shown with it."""

    value: Model
    parent: "Node | None" = None
    related: dict[str, "Node | list[Node] | int | None"] = field(default_factory=dict)

    def of[M: Model](self, kind: type[M]) -> M:
        """The nearest value of a kind, this one or one that it belongs to."""
        node: Node | None = self
        while node is not None:
            if isinstance(node.value, kind):
                return node.value
            node = node.parent
        raise LookupError(kind.__name__)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where relations are looked up."""

    context: Context
    workspace_id: str
    versions: Callable[[Flow], Sequence[Version]] | None = None
    """Reads a flow's versions, if more than the newest are wanted."""

    runs: Callable[[Version], Sequence[Run]] | None = None
    """Reads a version's runs, where that is done."""


_NONE: Final[Mapping[str, "Relation"]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Relation:
    """A way from one thing to others."""

    load: Callable[[Scope, Node], Loading[Value]]
    relations: Mapping[str, "Relation"] = _NONE
    many: bool = False
    count: Callable[[Node], int] | None = None
    """How many there are, where that is known without reading them."""


@dataclass(slots=True)
class Wanted:
    """The names of a request as a tree."""

    shown: dict[str, "Wanted"] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    """Of these, whether there are any."""

    def __bool__(self) -> bool:
        return bool(self.shown or self.counted or self.asked)


def names_of(relations: Mapping[str, Relation], prefix: str = "") -> Iterator[str]:
    """The names of relations and theirs, dotted."""
    for name, relation in relations.items():
        yield f"{prefix}{name}"
        yield from names_of(relation.relations, f"{prefix}{name}.")


def wanted(names: Iterable[str], relations: Mapping[str, Relation]) -> tuple[Wanted, list[str]]:
    """The tree of dotted names, and those of them that are not known."""
    tree = Wanted()
    unknown = [name for name in names if not _add(tree, name.split("."), relations)]
    return tree, unknown


def _add(tree: Wanted, path: list[str], relations: Mapping[str, Relation]) -> bool:
    *through, last = path
    for name in through:
        if name not in relations:
            return False
        tree = tree.shown.setdefault(name, Wanted())
        relations = relations[name].relations
    if last in relations:
        tree.shown.setdefault(last, Wanted())
    elif last.removesuffix(COUNT) in relations:
        tree.counted.add(last.removesuffix(COUNT))
    elif last.removesuffix(EXISTS) in relations:
        tree.asked.add(last.removesuffix(EXISTS))
    else:
        return False
    return True
