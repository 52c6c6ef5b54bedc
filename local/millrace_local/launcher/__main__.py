"""Apply every cure, then run MiniStack's server."""

import gc
import sys

from ministack import app

from millrace_local.launcher import (
    cloudformation,
    lambda_worker,
    policies,
    schedules,
    step_functions,
    worker_pool,
)
from millrace_local.launcher.patching import ChangedMiniStackError


def main() -> int:
    """Serve until SIGTERM; 1 when MiniStack is not the version the cures are for."""
    try:
        for part in (
            lambda_worker,
            worker_pool,
            step_functions,
            schedules,
            cloudformation,
            policies,
        ):
            part.cure()
    except ChangedMiniStackError as changed:
        print(changed, file=sys.stderr)
        return 1
    # Requests and the functions that they wait for take turns: 5 ms, the default, is a long turn.
    sys.setswitchinterval(0.0005)
    # All that the stack holds stays; looking through it for garbage takes an eighth of its time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    app.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
