"""A flow document as a zip of JSON files: the same document always gives the same bytes.

An archive from elsewhere is read without trust: only the files that we write are taken, each once,
in memory, by what they hold and not by what the archive says of them. Its manifest names the
SHA-256 of every other file, so what was damaged or changed on the way is not taken for the flow.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import ValidationError

from millrace import limits
from millrace.domain.base import Json, Model
from millrace.domain.errors import TooLargeError, Violation
from millrace.domain.flow_document import FlowDocument, UsedResources
from millrace.domain.json_text import parse_json
from millrace.usecases.resources import refuse

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
_PACKED_BY: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Others unpack a few bytes to hundreds of megabytes before they let anybody count."""


class _Manifest(Model):
    """What the archive holds: where the document is from, and the digest of each other file."""

    metadata: dict[str, Json]
    sha256: dict[str, str]


def pack_document(document: FlowDocument) -> bytes:
    """The document as a zip. Raises TooLargeError for one that could not be taken back."""
    told = document.to_json()
    contents = {_FLOW: told["flow"]}
    contents |= {name: told["dependencies"][kind] for name, kind in _USED.items()}
    files = {name: _text(content) for name, content in contents.items()}
    digests = {name: _digest(data) for name, data in files.items()}
    manifest = _Manifest(metadata=told["metadata"], sha256=digests)
    files = {_MANIFEST: _text(manifest.to_json()), **files}
    size = sum(map(len, files.values()))
    if size > limits.TEMPLATE_BYTES:
        raise TooLargeError(
            f"the flow and what it uses take {size:,} bytes, and a template holds "
            f"{limits.TEMPLATE_BYTES:,}; move parts of it into flows of their own"
        )
    return packed(files)


def packed(files: Mapping[str, bytes]) -> bytes:
    """Files as a zip; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = _FILE_MODE
            archive.writestr(info, data)
    return buffer.getvalue()


def unpack_document(data: bytes, pointer: str) -> dict[str, Json]:
    """The document of a zip, as JSON. Raises RuleViolationError, with violations at `pointer`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            refuse(_strange_files(archive, pointer))
            files = _unpacked(archive, pointer)
    # RuntimeError and NotImplementedError: what zipfile cannot do; the rest: bytes that lie.
    except (
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        NotImplementedError,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        refuse([_fault(pointer, f"It cannot be unpacked: {error}.")])
        raise
    contents = {name: _read(name, text, pointer) for name, text in files.items()}
    manifest = _manifest(contents.pop(_MANIFEST), pointer)
    refuse(_changed_files(files, manifest, pointer))
    return {
        "metadata": manifest.metadata,
        "flow": contents[_FLOW],
        "dependencies": {kind: contents[name] for name, kind in _USED.items() if name in contents},
    }


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
        elif entry.compress_type not in _PACKED_BY:
            yield _fault(pointer, f"{entry.filename} is packed in a way that is not taken.")
        seen.add(entry.filename)
    for name in (_MANIFEST, _FLOW):
        if name not in seen:
            yield _fault(pointer, f"It has no {name}.")


def _unpacked(archive: zipfile.ZipFile, pointer: str) -> dict[str, bytes]:
    """The bytes of each file, which are counted as they come out."""
    files: dict[str, bytes] = {}
    left = limits.TEMPLATE_BYTES
    for entry in archive.infolist():
        with archive.open(entry) as file:
            data = file.read(left + 1)
        left -= len(data)
        if left < 0:
            limit = f"{limits.TEMPLATE_BYTES:,}"
            refuse([_fault(pointer, f"Unpacked it has more than {limit} bytes.")])
        files[entry.filename] = data
    return files


def _read(name: str, data: bytes, pointer: str) -> Json:
    try:
        return parse_json(data, strict=True)
    except ValueError as error:
        refuse([_fault(pointer, f"{name} is no JSON: {error}.")])
        raise


def _manifest(given: Json, pointer: str) -> _Manifest:
    try:
        return _Manifest.model_validate(given)
    except ValidationError as error:
        places = ("/".join(map(str, each["loc"])) or "all of it" for each in error.errors())
        refuse([_fault(pointer, f"{_MANIFEST} is not as it should be: {', '.join(places)}.")])
        raise


def _changed_files(
    files: Mapping[str, bytes], manifest: _Manifest, pointer: str
) -> Iterator[Violation]:
    """The files that are not those of the manifest."""
    there = {name: _digest(data) for name, data in files.items() if name != _MANIFEST}
    for name in sorted(there.keys() | manifest.sha256.keys()):
        if name not in there:
            yield _fault(pointer, f"It has no {name[:128]!r}, which its {_MANIFEST} names.")
        elif name not in manifest.sha256:
            yield _fault(pointer, f"Its {_MANIFEST} does not name {name}.")
        elif there[name] != manifest.sha256[name]:
            yield _fault(pointer, f"{name} is not what it was when the template was made.")


def _text(content: Json) -> bytes:
    return f"{json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)}\n".encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _fault(pointer: str, message: str) -> Violation:
    return Violation("badTemplate", pointer, message, "Send a template as it was downloaded.")
