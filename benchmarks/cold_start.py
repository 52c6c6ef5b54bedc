"""The CPU of a cold start: fresh interpreters that import a handler as Lambda lays it out.

The layer's packages are copied as `sam build` ships them, without bytecode, which nothing may write
in Lambda; boto3 is the runtime's and has its own. The same figures with bytecode stand beside them.
"""

import compileall
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from re import MULTILINE, findall
from typing import Final

from tests.support.app import Event
from tests.support.aws import ENVIRONMENT, ROOT

RUNTIME: Final = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six.py")
PROBE: Final = """
import sys
sys.path[:0] = {paths!r}
import json, resource

def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

imported = cpu()
from {module} import handler
imported = cpu() - imported

from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

def send(session, request):
    answer = AWSResponse(request.url, 200, {{}}, None)
    answer._content = bodies.pop(0).encode()
    return answer

URLLib3Session.send = send
bodies = {bodies!r}
event = {event!r}
first = cpu()
answer = handler(event, None)
first = cpu() - first
assert answer["statusCode"] == 200, answer
print(json.dumps([1000 * imported, 1000 * first]))
"""

type Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class FirstRequest:
    """A request that reads one item, and what DynamoDB answered to its calls."""

    event: Event
    bodies: Sequence[str]


def cold_starts(ours: FirstRequest, baseline: FirstRequest, runs: int) -> dict[str, Figures]:
    """Median milliseconds of CPU to import each handler, and to answer the first request.

    The ratios are medians too, each of two starts that followed one another. DynamoDB's answers are
    replayed at the socket. The baseline makes its client at import, the API when it first needs it;
    so the sum of both is shown as well.
    """
    requests = {"app": ours, "baseline_handler": baseline}
    with tempfile.TemporaryDirectory() as folder:
        runtime, layer = Path(folder, "runtime"), Path(folder, "layer")
        lay_out(runtime, layer)
        figures = {"as deployed": _measure(runtime, layer, requests, runs)}
        compileall.compile_dir(layer, quiet=2)
        figures["with bytecode"] = _measure(runtime, layer, requests, runs)
    return figures


def lay_out(runtime: Path, layer: Path) -> None:
    """The two folders that Lambda puts on the path beside the function's own."""
    installed = Path(str(distribution("pydantic").locate_file("")))
    runtime.mkdir()
    for name in RUNTIME:
        (runtime / name).symlink_to(installed / name)
    locked = (ROOT / "layers/millrace/python/requirements.txt").read_text()
    names = {
        Path(str(file)).parts[0]
        for package in findall(r"^([a-z0-9-]+)==", locked, MULTILINE)
        for file in distribution(package).files or ()
        if not str(file).startswith("..")
    }
    ignore = shutil.ignore_patterns("__pycache__")
    for name in sorted(names - {"__pycache__"}):
        if (installed / name).is_dir():
            shutil.copytree(installed / name, layer / name, ignore=ignore)
        else:
            layer.mkdir(exist_ok=True)
            shutil.copy(installed / name, layer / name)
    shutil.copytree(ROOT / "layers/millrace/python/millrace", layer / "millrace", ignore=ignore)
    shutil.copy(ROOT / "functions/api/app.py", layer)
    shutil.copy(ROOT / "benchmarks/baseline_handler.py", layer)


def _measure(
    runtime: Path, layer: Path, requests: Mapping[str, FirstRequest], runs: int
) -> Figures:
    # In turns, so that a busy machine slows both alike; the first round warms the disk.
    rounds = [
        [_probe([str(layer), str(runtime)], *request) for request in requests.items()]
        for _ in range(runs + 1)
    ][1:]
    ours, theirs = zip(*rounds, strict=True)
    return {
        "import ms": _middle(imported for imported, _ in ours),
        "baseline import ms": _middle(imported for imported, _ in theirs),
        "import ratio": _middle(one / other for (one, _), (other, _) in rounds),
        "first request ms": _middle(first for _, first in ours),
        "baseline first request ms": _middle(first for _, first in theirs),
        "both ratio": _middle(sum(one) / sum(other) for one, other in rounds),
    }


def _middle(figures: Iterable[float]) -> float:
    return round(statistics.median(figures), 3)


def _probe(paths: list[str], module: str, request: FirstRequest) -> list[float]:
    """Milliseconds to import a handler, and for its first answer."""
    script = PROBE.format(
        paths=paths, module=module, event=request.event, bodies=list(request.bodies)
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-I", "-S", "-B", "-c", script],
        env={**ENVIRONMENT, "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    times: list[float] = json.loads(done.stdout)
    return times
