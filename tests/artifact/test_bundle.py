"""The built bundle: complete, small, and made for the machine that it will run on."""

import json
import re
import struct
import subprocess
import sys
import zipfile
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path

import pytest
from tests.support.app import FUNCTIONS
from tests.support.aws import ROOT, template

from millrace_local.bill import FILE, LAYERS
from millrace_local.build import host_architecture

LAYER_BYTES = 6 * 1024 * 1024
SCHEMAS_BYTES = 7 * 1024 * 1024
FUNCTION_BYTES = 8_000
SCHEMAS = "SchemasLayer"
ELF_MACHINES = {"x86_64": 0x3E, "arm64": 0xB7}
IN_THE_RUNTIME = {"boto3", "botocore", "s3transfer", "urllib3"}

IMPORT = """
import sys
sys.path[:0] = sys.argv[1:]
import app, millrace
assert callable(app.handler)
assert "site-packages" not in " ".join(sys.path)
sys.stdout.write(millrace.__file__)
"""


def layer_of(bundle: Path, name: str = "MillraceLayer") -> Path:
    """What /opt/python holds in Lambda."""
    return bundle / name / "python"


def functions_of(bundle: Path) -> dict[str, Path]:
    """The built folder of each function, by the name of its source folder."""
    resources = template()["Resources"]
    return {
        Path(resource["Properties"]["CodeUri"]).name: bundle / name
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def zipped_bytes(folder: Path) -> int:
    """The size of a folder as it is uploaded."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return len(buffer.getvalue())


def test_every_function_is_built(bundle: Path) -> None:
    """Each folder under functions/ is in the template, and holds its app.py and nothing else."""
    functions = functions_of(bundle)
    assert (
        set(functions) == set(FUNCTIONS) == {path.name for path in (ROOT / "functions").iterdir()}
    )
    for folder in functions.values():
        assert [path.name for path in folder.iterdir()] == ["app.py"]


@pytest.mark.parametrize("architecture", [host_architecture()], indirect=True)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_handler_imports_as_in_lambda(
    bundle: Path, lambda_runtime: Path, tmp_path: Path, name: str
) -> None:
    """With the layer, the runtime's boto3 and its own folder alone, in a bare interpreter."""
    folder = functions_of(bundle)[name]
    paths = [folder, layer_of(bundle), lambda_runtime]
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-I", "-S", "-B", "-c", IMPORT, *map(str, paths)],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(layer_of(bundle)))


def test_binaries_are_for_the_architecture_that_was_asked_for(
    bundle: Path, architecture: str
) -> None:
    """A wheel for another machine builds without a word and fails at the first import."""
    libraries = [*layer_of(bundle).rglob("*.so"), *layer_of(bundle, SCHEMAS).rglob("*.so")]
    assert {path.name.partition(".")[0] for path in libraries} >= {
        "_pydantic_core",
        "jsonschema_rs",
    }
    for library in libraries:
        head = library.read_bytes()[:20]
        (machine,) = struct.unpack("<H", head[18:20])
        assert (head[:4], machine) == (b"\x7fELF", ELF_MACHINES[architecture]), library.name


def test_what_judges_schemas_is_apart(bundle: Path) -> None:
    """Only the worker and the API fetch it; no other function pays for it."""
    assert not (layer_of(bundle) / "jsonschema_rs").exists()
    apart = {path.name.partition("-")[0] for path in layer_of(bundle, SCHEMAS).iterdir()}
    assert apart == {"jsonschema_rs", "requirements.txt"}
    with_it = {
        Path(resource["Properties"]["CodeUri"]).name
        for resource in template()["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
        and SCHEMAS in resource["Properties"].get("Layers", [])
    }
    assert with_it == {"api", "run_step"}
    assert zipped_bytes(layer_of(bundle, SCHEMAS)) < SCHEMAS_BYTES


def test_the_layer_holds_what_the_runtime_lacks_and_no_more(bundle: Path) -> None:
    """boto3 comes with Lambda; a second one would cost size and cold start."""
    packages = {path.name for path in layer_of(bundle).iterdir()}
    assert packages >= {"millrace", "pydantic", "jsonatapy", "aws_lambda_powertools", "tzdata"}
    assert not packages & IN_THE_RUNTIME
    locked = (ROOT / "layers/millrace/python/requirements.txt").read_text()
    names = set(re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE))
    assert not names & IN_THE_RUNTIME
    assert locked.count("--hash=sha256:") >= len(names)
    assert "://" not in locked


def test_the_bill_of_materials_names_what_ships(bundle: Path) -> None:
    """Each package in a layer, at its version, with its licence; nothing else is in there."""
    bill = json.loads((bundle / FILE).read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    named = {(each["name"].replace("-", "_"), each["version"]) for each in bill["components"]}
    shipped = {
        tuple(path.name.removesuffix(".dist-info").split("-"))
        for layer in LAYERS
        for path in layer_of(bundle, layer).glob("*.dist-info")
    }
    assert named == shipped
    assert all(each["licenses"] for each in bill["components"])
    for layer in LAYERS:
        packages = distributions(path=[str(layer_of(bundle, layer))])
        theirs = {file.parts[0] for package in packages for file in package.files or ()}
        others = {path.name for path in layer_of(bundle, layer).iterdir()} - theirs
        assert others <= {"millrace", "requirements.txt"}


def test_the_bundle_is_small(
    bundle: Path, architecture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cold start begins with fetching it."""
    layer = zipped_bytes(layer_of(bundle))
    functions = {name: zipped_bytes(folder) for name, folder in functions_of(bundle).items()}
    with capsys.disabled():
        sizes = ", ".join(f"{name} {size:,}" for name, size in functions.items())
        sys.stdout.write(f"\nzipped bytes for {architecture}: layer {layer:,}; {sizes}\n")
    assert layer < LAYER_BYTES
    assert max(functions.values()) < FUNCTION_BYTES
