"""A template is the same bytes each time, and an archive from elsewhere is read without trust."""

import io
import zipfile
from collections.abc import Iterable

import pytest
from tests.support.samples import process_step

from millrace import limits
from millrace.domain.flow_document import ExportedFlow, FlowDocument
from millrace.domain.label import LabelInput
from millrace.usecases.flow_zip import BadArchiveError, pack_document, unpack_document

DOCUMENT = FlowDocument.model_validate(
    {
        "flow": ExportedFlow(name="Bestellungen für Köln", labels=("a",), steps=(process_step(),)),
        "dependencies": {"labels": {"a": LabelInput(name="A")}},
    }
)
GOOD = [("manifest.json", b"{}"), ("flow.json", b'{"name": "Orders"}')]


def archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files:
            made.writestr(name, data)
    return buffer.getvalue()


def faults(data: bytes) -> list[str]:
    """What is said of an archive that is refused."""
    with pytest.raises(BadArchiveError) as raised:
        unpack_document(data, "/template")
    assert {each.pointer for each in raised.value.faults} == {"/template"}
    return [each.message for each in raised.value.faults]


def test_a_document_comes_back_from_its_zip() -> None:
    """The same document gives the same bytes, and these the document."""
    data = pack_document(DOCUMENT)
    assert pack_document(DOCUMENT.model_copy()) == data
    assert unpack_document(data, "/template") == DOCUMENT


def test_the_files_that_a_flow_can_do_without_may_be_missing() -> None:
    """A manifest and a flow are enough."""
    assert unpack_document(archive(GOOD), "/template").flow.name == "Orders"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([*GOOD, ("../flow.json", b"{}")], "'../flow.json', which is unknown"),
        ([*GOOD, ("/etc/passwd", b"")], "unknown"),
        ([*GOOD, ("sub/flow.json", b"{}")], "unknown"),
        ([*GOOD, ("notes.txt", b"hello")], "'notes.txt', which is unknown"),
        ([(f"{number}.json", b"") for number in range(1_000)], "1,000 files"),
        (GOOD[:1], "no flow.json"),
        ([], "no manifest.json"),
        ([GOOD[0], ("flow.json", b"{")], "flow.json is no JSON"),
        ([GOOD[0], ("flow.json", b'{"name": "a", "name": "b"}')], "twice in one object"),
        ([GOOD[0], ("flow.json", b'{"nmae": "Orders"}')], "flow/nmae"),
        ([("manifest.json", b'{"formatVersion": 2}'), GOOD[1]], "metadata/formatVersion"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_archive_that_is_not_ours_is_refused(files: list[tuple[str, bytes]], words: str) -> None:
    """Each fault is named; nothing is ever written to a path of the archive."""
    assert any(words in fault for fault in faults(archive(files)))


def test_a_name_does_not_end_where_another_reader_thinks() -> None:
    """Some take a name to end at a NUL, others do not."""
    data = archive([GOOD[0], ("flow.jsonX", b"{}")]).replace(b"flow.jsonX", b"flow.json\0")
    assert any("unknown" in fault for fault in faults(data))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_stands_once() -> None:
    """Two readers would see two different flows."""
    assert faults(archive([*GOOD, GOOD[1]])) == ["It holds flow.json twice."]


def test_a_bomb_does_not_go_off() -> None:
    """A few kilobytes that unpack to very many are left packed after the limit."""
    bomb = archive([GOOD[0], ("flow.json", b" " * (limits.TEMPLATE_BYTES + 1))])
    assert len(bomb) < 10_000
    (fault,) = faults(bomb)
    assert "more than 4,000,000 bytes" in fault


def test_the_size_that_an_archive_claims_is_not_believed() -> None:
    """A file that unpacks to more than its entry says is damaged."""
    data = bytearray(archive([GOOD[0], ("flow.json", b" " * 100_000)]))
    where = data.rindex(b"PK\x01\x02") + 24
    data[where : where + 4] = (10).to_bytes(4, "little")
    assert faults(bytes(data))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"{}", pack_document(DOCUMENT)[:-30]])
def test_what_is_no_zip_is_refused(data: bytes) -> None:
    """Whatever was sent as base64."""
    assert "cannot be unpacked" in faults(data)[0]


def test_an_encrypted_file_is_refused() -> None:
    """There is no password to read it by."""
    data = bytearray(archive(GOOD))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        where = data.index(signature) + offset
        data[where] |= 1
    assert any("encrypted" in fault for fault in faults(bytes(data)))
