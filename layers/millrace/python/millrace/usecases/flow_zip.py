"""A flow document as a zip of JSON files: the same document always gives the same bytes.

An archive from elsewhere is read without trust: only the files that we write are taken, each once,
in memory, by what they hold and not by what the archive says of them.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import ValidationError

from millrace import limits
from millrace.domain.base import Json
from millrace.domain.errors import Violation
from millrace.domain.flow_document import FlowDocument, UsedResources
from millrace.domain.json_text import parse_json

_MANIFEST: Final = "manifest.json"
_FLOW: Final = "flow.json"
_USED: Final[Mapping[str, str]] = {
    f"{field.alias}.json": field.alias
    for field in UsedResources.model_fields.values()
    if field.alias is not None
}
"""The file of each kind of resource that a flow may use, and the kind."""
_NAMES: Final = frozenset({_MANIFEST, _FLOW, *_USED})
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""
_FILE_MODE: Final = 0o644 << 16
_ENCRYPTED: Final = 0x1


class BadArchiveError(Exception):
    """What is wrong with an archive, all of it."""

    def __init__(self, faults: tuple[Violation, ...]) -> None:
        super().__init__("the archive is no template of a flow")
        self.faults = faults


def pack_document(document: FlowDocument) -> bytes:
    """The document as a zip."""
    told = document.to_json()
    files = {_MANIFEST: told["metadata"], _FLOW: told["flow"]}
    files |= {name: told["dependencies"][kind] for name, kind in _USED.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = _FILE_MODE
            text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
            archive.writestr(info, f"{text}\n".encode())
    return buffer.getvalue()


def unpack_document(data: bytes, pointer: str) -> FlowDocument:
    """The document of a zip. Raises BadArchiveError, with violations at `pointer`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _refuse(_strange_files(archive, pointer))
            contents = dict(_contents(archive, pointer))
    # RuntimeError and NotImplementedError: an unknown way of packing; the rest: bytes that lie.
    except (
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        NotImplementedError,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        raise BadArchiveError((_fault(pointer, f"It cannot be unpacked: {error}."),)) from error
    given: dict[str, Json] = {
        "metadata": contents[_MANIFEST],
        "flow": contents[_FLOW],
        "dependencies": {kind: contents[name] for name, kind in _USED.items() if name in contents},
    }
    try:
        return FlowDocument.model_validate(given)
    except ValidationError as error:
        faults = tuple(
            _fault(pointer, f"{'/'.join(map(str, each['loc']))}: {each['msg']}.")
            for each in error.errors(include_url=False, include_input=False)
        )
        raise BadArchiveError(faults[: limits.ERRORS_SHOWN]) from error


def _strange_files(archive: zipfile.ZipFile, pointer: str) -> Iterator[Violation]:
    """The files that are not ours to read, and ours that are not there."""
    entries = archive.infolist()
    if len(entries) > len(_NAMES):
        yield _fault(pointer, f"It holds {len(entries):,} files; {len(_NAMES)} are known.")
        return
    seen: set[str] = set()
    for entry in entries:
        # Zip files may name a file differently in two places; the outer name is what is read by.
        if entry.filename not in _NAMES or entry.orig_filename != entry.filename:
            yield _fault(pointer, f"It holds {entry.orig_filename[:128]!r}, which is unknown.")
        elif entry.filename in seen:
            yield _fault(pointer, f"It holds {entry.filename} twice.")
        elif entry.flag_bits & _ENCRYPTED:
            yield _fault(pointer, f"{entry.filename} is encrypted.")
        seen.add(entry.filename)
    for name in (_MANIFEST, _FLOW):
        if name not in seen:
            yield _fault(pointer, f"It has no {name}.")


def _contents(archive: zipfile.ZipFile, pointer: str) -> Iterator[tuple[str, Json]]:
    left = limits.TEMPLATE_BYTES
    for entry in archive.infolist():
        with archive.open(entry) as file:
            data = file.read(left + 1)
        left -= len(data)
        if left < 0:
            limit = f"{limits.TEMPLATE_BYTES:,}"
            _refuse([_fault(pointer, f"Unpacked it has more than {limit} bytes.")])
        try:
            yield entry.filename, parse_json(data, strict=True)
        except ValueError as error:
            _refuse([_fault(pointer, f"{entry.filename} is no JSON: {error}.")])


def _refuse(faults: Iterator[Violation] | list[Violation]) -> None:
    found = tuple(faults)
    if found:
        raise BadArchiveError(found)


def _fault(pointer: str, message: str) -> Violation:
    return Violation("badTemplate", pointer, message, "Send a template as it was downloaded.")
