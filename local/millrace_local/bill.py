"""The software bill of materials of a built bundle: CycloneDX JSON, from what is in its layers.

Read from the packages that the build has installed, not from what was asked for. The hashes are
those that the lock accepts a package by. Nothing in it depends on when or where it was made.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from millrace_local.errors import LocalStackError

FILE: Final = "bill-of-materials.cdx.json"
LAYERS: Final = {"MillraceLayer": "millrace", "SchemasLayer": "schemas"}
"""The built folder of each, and its folder under layers/."""

type Json = dict[str, Any]


def write_bill(root: Path, built: Path) -> Path:
    """Write the bill beside the built template and return its path."""
    path = built / FILE
    path.write_text(json.dumps(bill_of_materials(root, built), indent=2) + "\n")
    return path


def bill_of_materials(root: Path, built: Path) -> Json:
    """The bill of what was built from the sources in `root`. Raises LocalStackError."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    bundle = {
        "type": "application",
        "bom-ref": f"{name}@{version}",
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": project["license"]}}],
    }
    components = sorted(_components(root, built), key=lambda each: str(each["bom-ref"]))
    references = [each["bom-ref"] for each in components]
    content = {
        "metadata": {"component": bundle},
        "components": components,
        "dependencies": [{"ref": bundle["bom-ref"], "dependsOn": references}],
    }
    serial = uuid5(NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **content,
    }


def _components(root: Path, built: Path) -> Iterator[Json]:
    for folder, layer in LAYERS.items():
        locked = locked_hashes((root / f"layers/{layer}/python/requirements.txt").read_text())
        for installed in distributions(path=[str(built / folder / "python")]):
            name = re.sub(r"[-_.]+", "-", installed.name).lower()
            hashes = locked.get((name, installed.version))
            if not hashes:
                raise LocalStackError(f"{folder} holds {name} {installed.version}, not as locked")
            yield _component(name, installed, hashes)


def _component(name: str, installed: Distribution, hashes: list[str]) -> Json:
    purl = f"pkg:pypi/{name}@{installed.version}"
    files = {
        "type": "distribution",
        "url": purl,
        "comment": "the files that the lock accepts; one of them was installed",
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in hashes],
    }
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": installed.version,
        "purl": purl,
        "licenses": _licenses(installed.metadata),  # type: ignore[arg-type]  # it is a Message
        "externalReferences": [files],
    }


def _licenses(metadata: Message) -> list[Json]:
    """As an SPDX expression where the package has one, else in its own words."""
    expression = metadata.get("License-Expression")
    if expression:
        return [{"expression": expression}]
    words = metadata.get("License") or "not told"
    return [{"license": {"name": words.splitlines()[0]}}]


def locked_hashes(lock: str) -> dict[tuple[str, str], list[str]]:
    """The SHA-256 hashes that a requirements file accepts, by name and version."""
    found: dict[tuple[str, str], list[str]] = {}
    for pin in re.split(r"^(?=[a-z])", lock, flags=re.MULTILINE):
        if head := re.match(r"([a-z0-9-]+)==([^\s;\\]+)", pin):
            found[head[1], head[2]] = re.findall(r"--hash=sha256:([0-9a-f]{64})", pin)
    return found
