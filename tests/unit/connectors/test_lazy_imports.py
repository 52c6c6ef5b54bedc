"""The API pays for connectors when it needs one."""

import subprocess
import sys


def test_the_wiring_imports_no_connector() -> None:
    """A cold start builds the context without any; the first use brings what it needs."""
    script = (
        "import sys, millrace.http.api, millrace.wiring; "
        "print([name for name in sys.modules if 'connectors.' in name or 'jsonata' in name])"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "['millrace.connectors.registry']"


def test_requests_about_flows_do_not_pay_for_results_of_tests() -> None:
    """Their models and the stores in memory come with the first test."""
    script = (
        "import sys, millrace.http.api, millrace.wiring, millrace.http.routes.flows; "
        "print([name for name in sys.modules if 'trial' in name or 'storage.memory' in name])"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
