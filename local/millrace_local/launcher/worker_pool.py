"""A ceiling on Lambda workers, so that a burst cannot take all of a laptop's memory.

MiniStack starts a process for every invocation that finds none free and keeps it. Each takes about
35 to 70 MB and a cold start.
"""

import os
import threading
import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from millrace_local.launcher.patching import replace, verified

# A function that waits for another one holds its own worker meanwhile: waiting without end could
# be a deadlock. AWS, too, answers with a throttle, which callers retry.
WAIT_SECONDS = 25.0

# A cold start takes a core for half a second, a warm invocation mostly milliseconds, of which it
# waits for the stack or another function half of the time. So a function that has two workers for
# each core is better off waiting for one of them than starting more; only invocations that wait
# long (for a slow receiver, say) make more workers worth their start.
PATIENT_FROM_WORKERS = 2 * (os.cpu_count() or 1)

_free = threading.Condition(lambda_runtime._lock)


def _patience() -> float:
    return float(os.environ["MILLRACE_LAMBDA_PATIENCE"])


def _ceiling() -> int:
    return int(os.environ["MILLRACE_LAMBDA_WORKERS"])


def acquire_worker(
    func_name: str,
    config: dict[str, Any],
    code_zip: bytes,
    qualifier: str = "$LATEST",
    max_concurrency: int | None = None,  # noqa: ARG001 - MiniStack's signature
) -> tuple[Any, str]:
    """Lease a worker: a free one of this function, a new one, or one in the place of the idlest.

    A function with two workers for each core waits a little before it gets one more. With all
    workers busy, or idle for less than that (functions that call each other under load would end
    each other's workers all the time), wait; after ``WAIT_SECONDS`` answer ``(None, "func_cap")``,
    which MiniStack turns into AWS's TooManyRequestsException. The first worker of a function starts
    whatever the ceiling, or it might wait for ever while others are busy.
    """
    key = lambda_runtime._worker_key(func_name, config, qualifier)
    since = time.monotonic()
    deadline = since + WAIT_SECONDS
    evicted = None
    with _free:
        while True:
            pool = lambda_runtime._workers
            entries = pool.setdefault(key, [])
            idle = [worker for worker in entries if not worker.in_use]
            if idle:
                worker, reason = max(idle, key=lambda each: each.last_used), "reused"
                break
            patience = since + _patience() - time.monotonic()
            if len(entries) >= PATIENT_FROM_WORKERS and patience > 0:
                _free.wait(patience)
                continue
            if sum(map(len, pool.values())) >= _ceiling():
                evicted = _evict_idlest(pool, _patience() if entries else 0.0)
                if evicted is None and entries:
                    if time.monotonic() >= deadline:
                        return None, "func_cap"
                    _free.wait(min(_patience(), deadline - time.monotonic()))
                    continue
            worker, reason = (
                lambda_runtime._worker_class_for(config)(func_name, config, code_zip),
                "",
            )
            pool.setdefault(key, []).append(worker)
            break
        worker.in_use = True
        worker.last_used = time.time()
    # Outside the lock: ending a process takes a moment.
    lambda_runtime.kill_workers([evicted])
    return worker, reason or "spawn"


def _evict_idlest(pool: dict[str, list[Any]], unused_seconds: float) -> Any | None:  # noqa: ANN401 - MiniStack's worker
    """Take the worker that has been idle longest, and so long, out of the pool, if there is one."""
    before = time.time() - unused_seconds
    idle = [
        (each.last_used, key, each)
        for key, all_ in pool.items()
        for each in all_
        if not each.in_use and each.last_used <= before
    ]
    if not idle:
        return None
    _, key, worker = min(idle, key=lambda entry: entry[:2])
    pool[key].remove(worker)
    return worker


def release_worker(worker: Any) -> None:  # noqa: ANN401 - MiniStack's worker, or None
    """Return a leased worker and wake those who wait."""
    if worker is None:
        return
    with _free:
        worker.in_use = False
        worker.last_used = time.time()
        _free.notify_all()  # each waits for another function's worker


def cure() -> None:
    """Put the ceiling into MiniStack's pool."""
    verified(lambda_runtime, "invalidate_worker", "1be5d7f769f5")
    replace(
        lambda_runtime,
        "acquire_worker",
        acquire_worker,
        digest="5017d144adb5",
        importers=(lambda_svc,),
    )
    replace(
        lambda_runtime,
        "release_worker",
        release_worker,
        digest="25d5dd7d42b6",
        importers=(lambda_svc,),
    )
