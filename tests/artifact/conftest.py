"""What `sam build` makes of the bundle, built once for all tests and again only if it changed."""

import fcntl
import sys
import venv
from pathlib import Path

import pytest
from tests.support.aws import ROOT

from millrace_local.build import build, source_digest
from millrace_local.config import Config

# Beside the other things that are made from the sources; not in git.
CACHE = ROOT / ".local" / "artifact"


def built_bundle(architecture: str) -> Path:
    """The folder with the layer and the functions as they would be uploaded."""
    state = CACHE / architecture
    state.mkdir(parents=True, exist_ok=True)
    config = Config(
        root=ROOT,
        state=state,
        environment=CACHE / "python",
        parameters={"Architecture": architecture},
    )
    # Two test processes may want it at once.
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (config.environment / "bin" / "python3.13").exists():
            # sam builds with the interpreter that Runtime names, and needs pip in it.
            venv.create(config.environment, with_pip=True)
        return build(config, source_digest(config)).parent


@pytest.fixture(scope="session", params=["x86_64", "arm64"])
def architecture(request: pytest.FixtureRequest) -> str:
    """Both that the template offers; wheels for the other one are fetched, not run."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="session")
def bundle(architecture: str) -> Path:
    """The built bundle for an architecture."""
    return built_bundle(architecture)


@pytest.fixture(scope="session")
def lambda_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Lambda runtime has beside the standard library: boto3 and its dependencies."""
    runtime = tmp_path_factory.mktemp("runtime")
    installed = next(Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    names = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six.py")
    for name in names:
        (runtime / name).symlink_to(installed / name)
    return runtime
