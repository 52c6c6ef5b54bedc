"""Whether the second interpreter of machines, which needs Node, takes part in a test run."""

import os
from pathlib import Path
from shutil import which

FOLDER = Path(__file__).parents[1] / "functional" / "node"


def is_left_out() -> bool:
    """On a machine without Node, and never in CI: there its tests fail rather than be missed."""
    return which("node") is None and not os.environ.get("CI")
