"""What a Lambda worker may import: the function, its layers, and what AWS's runtime contains.

MiniStack unpacks code and layers anew for each worker, so that each cold start compiles every
module again. Here one directory per archive, named by its digest, serves all workers and keeps the
compiled modules.
"""

import hashlib
import io
import os
import shutil
import sys
import tempfile
import time
import zipfile
from importlib.metadata import distribution
from pathlib import Path

# boto3 and all it needs: what AWS's python3.13 runtime has beside the standard library.
RUNTIME_DISTRIBUTIONS = (
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "six",
    "urllib3",
)
UNUSED_AFTER_SECONDS = 24 * 3600


def unpack(archive: bytes, cache: Path) -> Path:
    """Return the directory with the archive's content, unpacking it when it is not there yet."""
    target = cache / hashlib.sha256(archive).hexdigest()[:32]
    if not target.is_dir():
        staging = Path(tempfile.mkdtemp(dir=cache, prefix="unpacking-"))
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            files.extractall(staging)
        try:
            staging.rename(target)
        except OSError:  # another worker of the same function was faster
            shutil.rmtree(staging)
    os.utime(target)
    return target


def forget_unused(cache: Path) -> None:
    """Remove archives that no worker has used for a day; earlier deployments leave them behind."""
    for entry in cache.iterdir():
        if time.time() - entry.stat().st_mtime > UNUSED_AFTER_SECONDS:
            shutil.rmtree(entry)


def layer_paths(layer: Path) -> list[str]:
    """Return what a layer adds to ``sys.path``, in AWS's order."""
    major, minor = sys.version_info[:2]
    candidates = [layer / f"python/lib/python{major}.{minor}/site-packages", layer / "python"]
    return [str(path) for path in candidates if path.is_dir()]


def link_runtime_packages(target: Path) -> None:
    """Fill ``target`` with links to this environment's boto3 and nothing else.

    The private environment holds more (pydantic among it) than AWS offers; a handler must not find
    there what its layer lacks.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in RUNTIME_DISTRIBUTIONS:
        found = distribution(name)
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "/"}}
        for top in sorted(tops - {"__pycache__"}):
            (target / top).symlink_to(Path(str(found.locate_file(top))))
