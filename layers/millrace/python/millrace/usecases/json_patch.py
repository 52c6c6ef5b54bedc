"""JSON Patch (RFC 6902) on what a caller may send of a resource: all operations, or none."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import jsonpatch
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from millrace import limits
from millrace.domain.base import Json, Model
from millrace.domain.errors import ConflictError, RuleViolationError, TooLargeError, Violation
from millrace.domain.json_text import is_deep
from millrace.domain.patch import PatchOperation, TransferOperation, ValueOperation
from millrace.domain.pointers import holds, json_pointer
from millrace.domain.shape import violation_of
from millrace.usecases.resources import refuse

type Settle = Callable[[Json, str], Json]
"""Brings a document in step with what an operation changed at a place."""


def _as_it_is(document: Json, _: str) -> Json:
    return document


@dataclass(frozen=True, slots=True)
class Patched[M: Model]:
    """What a patch made of a document, and the operations that did."""

    given: M
    operations: Sequence[PatchOperation]

    def blame(self, violation: Violation) -> Violation:
        """The same fault, pointing to the operation that brought the value in."""
        return _blamed(self.operations, violation)


def patched[M: Model](
    kind: type[M], document: Json, patch: Sequence[PatchOperation], settle: Settle = _as_it_is
) -> Patched[M]:
    """Apply a patch to a document, which it uses up, and read the result.

    Raises:
        ConflictError: a test failed.
        RuleViolationError: with pointers into the patch, for everything else that is wrong with it.
        TooLargeError: the document grew beyond what a request may have.
    """
    done: list[PatchOperation] = []
    for number, operation in enumerate(patch):
        document = _applied(document, number, operation)
        done.append(operation.model_copy(update={"path": _place(document, operation.path)}))
        if operation.op != "test":
            _check_size(document, number)
            document = settle(document, operation.path)
    try:
        return Patched(kind.model_validate(document), done)
    except ValidationError as error:
        refuse(
            _blamed(done, violation_of(found, json_pointer(found["loc"], document)))
            for found in error.errors()
        )
        raise


def unpatchable(kind: type[Model], patch: Sequence[PatchOperation]) -> Iterator[Violation]:
    """What a patch names that is no field of what a PUT sends; the whole can be looked at."""
    fields = [f"/{field.alias or to_camel(name)}" for name, field in kind.model_fields.items()]
    for number, operation in enumerate(patch):
        for name, pointer in places_of(operation).items():
            is_whole = not pointer and operation.op == "test"
            if not is_whole and not any(holds(field, pointer) for field in fields):
                yield Violation(
                    "notPatchable",
                    f"/{number}/{name}",
                    f"{pointer!r} cannot be patched.",
                    f"Patch what is in {', '.join(fields)}.",
                )


def reads_of(patch: Sequence[PatchOperation], hidden: Collection[str]) -> Iterator[Violation]:
    """What a patch would read of write-only values, which it may set and nothing else."""
    for number, operation in enumerate(patch):
        for name, pointer in places_of(operation).items():
            if _is_read(operation, name, pointer, hidden):
                yield Violation(
                    "writeOnly",
                    f"/{number}/{name}",
                    f"{pointer!r} is write-only, or holds what is: it can be set, not looked at.",
                    "Set the write-only field as a whole, by add or replace.",
                )


def settable(patch: Sequence[PatchOperation], hidden: Collection[str]) -> list[PatchOperation]:
    """The patch, with `add` for `replace` where the document does not show what is there."""
    return [
        operation.model_copy(update={"op": "add"})
        if operation.op == "replace" and operation.path in hidden
        else operation
        for operation in patch
    ]


def places_of(operation: PatchOperation) -> dict[str, str]:
    """The pointers of an operation, by member."""
    places = {"path": operation.path}
    return places | ({"from": operation.from_} if isinstance(operation, TransferOperation) else {})


def _is_read(operation: PatchOperation, name: str, pointer: str, hidden: Collection[str]) -> bool:
    if name == "from":
        return any(holds(at, pointer) or holds(pointer, at) for at in hidden)
    sets = isinstance(operation, ValueOperation) and operation.op != "test"
    return any(holds(at, pointer) for at in hidden) and not (sets and pointer in hidden)


def _applied(document: Json, number: int, operation: PatchOperation) -> Json:
    try:
        told = operation.model_dump(by_alias=True)
        return jsonpatch.JsonPatch([told]).apply(document, in_place=True)
    except jsonpatch.JsonPatchTestFailed as error:
        raise ConflictError(
            f"the test of operation {number} failed, so nothing was changed",
            [Violation("testFailed", f"/{number}/value", "Another value is there.")],
        ) from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        # Its own message may hold the whole document.
        place = "from" if isinstance(operation, TransferOperation) else "path"
        pointer = places_of(operation)[place]
        message = f"{operation.op} finds nothing to work on at {pointer!r}."
        raise RuleViolationError(
            "an operation cannot be applied; see errors",
            [Violation("noSuchPlace", f"/{number}/{place}", message, "Correct the pointer.")],
        ) from error


def _place(document: Json, pointer: str) -> str:
    """The pointer, with the number of what was added at the end of a list."""
    parent, _, last = pointer.rpartition("/")
    found = jsonpatch.JsonPointer(parent).resolve(document, None) if last == "-" else None
    return f"{parent}/{len(found) - 1}" if isinstance(found, list) else pointer


def _check_size(document: Json, number: int) -> None:
    """Copies may double a document again and again, in length and in depth."""
    if is_deep(document) or len(json.dumps(document)) > limits.REQUEST_BYTES:
        raise TooLargeError(
            f"operation {number} makes the resource larger or deeper than a request may be"
        )


def _blamed(operations: Sequence[PatchOperation], violation: Violation) -> Violation:
    for number, operation in reversed([*enumerate(operations)]):
        path = operation.path
        if operation.op != "test" and holds(path, violation.pointer):
            place = "value" if isinstance(operation, ValueOperation) else "path"
            rest = violation.pointer.removeprefix(path) if place == "value" else ""
            return replace(violation, pointer=f"/{number}/{place}{rest}")
    return replace(violation, pointer="")
