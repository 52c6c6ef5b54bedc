"""A template is the same bytes each time, and an archive from elsewhere is read without trust."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.samples import process_step

from millrace import limits
from millrace.domain.errors import RuleViolationError, TooLargeError
from millrace.domain.flow_document import ExportedFlow, FlowDocument
from millrace.domain.label import LabelInput
from millrace.usecases.flow_zip import pack_document, unpack_document

DOCUMENT = FlowDocument.model_validate(
    {
        "flow": ExportedFlow(name="Bestellungen für Köln", labels=("a",), steps=(process_step(),)),
        "dependencies": {"labels": {"a": LabelInput(name="A")}},
    }
)
FLOW = b'{"name": "Orders"}'


def manifest(files: Mapping[str, bytes]) -> bytes:
    """What names these files."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return json.dumps({"metadata": {}, "sha256": digests}).encode()


GOOD = [("manifest.json", manifest({"flow.json": FLOW})), ("flow.json", FLOW)]


def archive(files: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, data in files:
            made.writestr(name, data)
    return buffer.getvalue()


def faults(data: bytes) -> list[str]:
    """What is said of an archive that is refused."""
    with pytest.raises(RuleViolationError) as raised:
        unpack_document(data, "/template")
    told = raised.value.violations
    assert {(each.code, each.pointer) for each in told} == {("badTemplate", "/template")}
    return [each.message for each in told]


def test_a_document_comes_back_from_its_zip() -> None:
    """The same document gives the same bytes, and these the document."""
    data = pack_document(DOCUMENT)
    assert pack_document(DOCUMENT.model_copy()) == data
    assert FlowDocument.model_validate(unpack_document(data, "/template")) == DOCUMENT


def test_the_files_that_a_flow_can_do_without_may_be_missing() -> None:
    """A manifest and a flow are enough."""
    assert unpack_document(archive(GOOD), "/template")["flow"] == {"name": "Orders"}


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
        (
            [("manifest.json", b"{}"), GOOD[1]],
            "not as it should be: metadata, sha256",
        ),
        ([("manifest.json", b"[]"), GOOD[1]], "not as it should be: all of it"),
        ([GOOD[0], ("flow.json", b'{"name": "Evil"}')], "flow.json is not what it was"),
        ([*GOOD, ("labels.json", b"{}")], "manifest.json does not name labels.json"),
        (
            [("manifest.json", manifest({"flow.json": FLOW, "labels.json": b"{}"})), GOOD[1]],
            "It has no 'labels.json', which its manifest.json names",
        ),
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


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_that_cannot_be_counted_is_not_touched(compression: int) -> None:
    """By bzip2 half a kilobyte becomes 400 megabytes before the first byte can be counted."""
    bomb = archive([GOOD[0], ("flow.json", b" " * 5_000_000)], compression)
    assert len(bomb) < 2_000
    assert faults(bomb) == [
        "manifest.json is packed in a way that is not taken.",
        "flow.json is packed in a way that is not taken.",
    ]


@settings(deadline=None)
@given(
    where=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    compression=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]),
)
def test_whatever_is_broken_in_an_archive_is_told(
    where: list[tuple[float, int]], compression: int
) -> None:
    """Bytes that were changed on the way give the same document, or a fault that says so."""
    data = bytearray(archive(GOOD, compression))
    for place, byte in where:
        data[int(place * len(data))] = byte
    told: object = None
    with suppress(RuleViolationError):
        told = unpack_document(bytes(data), "/template")["flow"]
    assert told in (None, {"name": "Orders"})


def test_a_template_that_could_not_be_taken_back_is_not_made() -> None:
    """It is refused with the figures, not given to be found useless later."""
    steps = tuple(process_step(f"s{n}") for n in range(200))
    label = LabelInput(name="A")
    big = FlowDocument.model_validate(
        {
            "flow": ExportedFlow(name="Big", steps=steps, settings={"text": "x" * 60_000}),
            "dependencies": {"labels": {f"{n:->100}": label for n in range(100)}},
        }
    )
    assert unpack_document(pack_document(big), "/template")["flow"]["name"] == "Big"
    action = {"name": "A", "work": process_step().to_json()["action"]}
    long = "x" * 10_000
    actions = {f"a{n}": action | {"description": long} for n in range(400)}
    too_big = big.model_copy(
        update={"dependencies": big.dependencies.model_validate({"actions": actions})}
    )
    with pytest.raises(TooLargeError, match="template holds 4,000,000"):
        pack_document(too_big)


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
