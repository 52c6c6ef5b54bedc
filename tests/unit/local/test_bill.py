"""The bill of materials: what CycloneDX asks of it, and what it is read from."""

import re
from pathlib import Path
from uuid import UUID

import pytest
from tests.support.aws import ROOT

from millrace_local.bill import bill_of_materials, locked_hashes
from millrace_local.errors import LocalStackError

LOCKS = sorted(ROOT.glob("layers/*/python/requirements.txt"))
TOOLS = ("requirements-dev.txt", "local/requirements.txt", "local/checkov.txt")
ALL_LOCKS = [*LOCKS, *(ROOT / tool for tool in TOOLS)]


def install(built: Path, name: str, version: str, licence: str) -> None:
    """What pip leaves of a package in the layer that all functions share."""
    folder = built / "MillraceLayer" / "python" / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{licence}\n"
    )


def version_of(name: str) -> str:
    """As it is locked."""
    lock = (ROOT / "layers/millrace/python/requirements.txt").read_text()
    (found,) = (version for locked, version in locked_hashes(lock) if locked == name)
    return found


def test_a_package_is_named_by_what_was_installed(tmp_path: Path) -> None:
    """With version, package URL, licence, and the hashes that the lock accepts it by."""
    version = version_of("typing-extensions")
    install(tmp_path, "typing_extensions", version, "License-Expression: PSF-2.0")
    install(tmp_path, "jmespath", version_of("jmespath"), "License: MIT")
    bill = bill_of_materials(ROOT, tmp_path)
    jmespath, typing = bill["components"]
    assert jmespath["licenses"] == [{"license": {"name": "MIT"}}]
    purl = f"pkg:pypi/typing-extensions@{version}"
    assert (typing["name"], typing["version"], typing["purl"]) == (
        "typing-extensions",
        version,
        purl,
    )
    assert typing["licenses"] == [{"expression": "PSF-2.0"}]
    (files,) = typing["externalReferences"]
    assert {each["alg"] for each in files["hashes"]} == {"SHA-256"}
    lock = (ROOT / "layers/millrace/python/requirements.txt").read_text()
    assert all(f"--hash=sha256:{each['content']}" in lock for each in files["hashes"])


def test_it_has_what_the_specification_requires(tmp_path: Path) -> None:
    """CycloneDX 1.6: format, version, serial number, types and names, unique references."""
    install(tmp_path, "jmespath", version_of("jmespath"), "License: MIT")
    bill = bill_of_materials(ROOT, tmp_path)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    UUID(bill["serialNumber"].removeprefix("urn:uuid:"))
    described = [bill["metadata"]["component"], *bill["components"]]
    assert [each["type"] for each in described] == ["application", "library"]
    assert all(each["name"] and each["version"] for each in described)
    references = [each["bom-ref"] for each in described]
    assert len({*references}) == len(references)
    assert bill["dependencies"] == [{"ref": references[0], "dependsOn": references[1:]}]


def test_the_same_bundle_has_the_same_bill(tmp_path: Path) -> None:
    """So that two builds can be compared; another version is another bill."""
    install(tmp_path, "jmespath", version_of("jmespath"), "License: MIT")
    first = bill_of_materials(ROOT, tmp_path)
    assert bill_of_materials(ROOT, tmp_path) == first
    install(tmp_path, "jsonpatch", version_of("jsonpatch"), "License: BSD")
    assert bill_of_materials(ROOT, tmp_path)["serialNumber"] != first["serialNumber"]


def test_what_is_not_as_locked_fails_the_build(tmp_path: Path) -> None:
    """A package that came from elsewhere is not shipped unseen."""
    install(tmp_path, "jmespath", "0.0.1", "License: MIT")
    with pytest.raises(LocalStackError, match=r"jmespath 0\.0\.1, not as locked"):
        bill_of_materials(ROOT, tmp_path)


@pytest.mark.parametrize("lock", ALL_LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_lock_has_hashes_and_no_addresses(lock: Path) -> None:
    """Of each package one at least; each machine says for itself where it fetches from."""
    text = lock.read_text()
    pins = re.findall(r"^[a-zA-Z][^\s;]*", text, re.MULTILINE)
    assert pins
    assert all(re.fullmatch(r"[a-z0-9-]+(\[[a-z,-]+\])?==\S+", pin) for pin in pins)
    for pin in re.split(r"^(?=[a-zA-Z])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in pin, pin
    assert "://" not in text
    assert "index-url" not in text
