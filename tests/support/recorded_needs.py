"""Records what the functions ask of AWS in the functional tests, and compares it at the end.

Both ways: what a role does not allow AWS would refuse, which the simulated one does not; what no
test needs is too much. The latter only all functional tests together can tell, when they have
passed. Each worker of pytest-xdist hands over what it has seen.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import wraps
from pathlib import Path
from typing import Any, Final, Protocol

import pytest
from botocore.handlers import BUILTIN_HANDLERS
from botocore.model import OperationModel
from tests.support.aws import ROOT
from tests.support.aws_requests import Need, needs, needs_of_missing_object
from tests.support.grants import denied, grants, unused

from millrace.observability import Observed

FOLDER: Final = ROOT / "tests" / "functional"
_OUTPUT: Final = "needs"
_PARAMS: Final = "millrace_params"
_running: ContextVar[str | None] = ContextVar("running", default=None)
"""The function whose handler is at work."""


class _Worker(Protocol):
    """What pytest-xdist tells of a worker that has ended."""

    workeroutput: dict[str, Any]


class RecordedNeeds:
    """A plugin of pytest."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._needed: dict[str, set[Need]] = {}
        self._told: list[str] = []
        self._compared = 0

    def watch(self) -> None:
        """From here on, whatever handler and client there will be."""
        BUILTIN_HANDLERS.append(("provide-client-params", self._asked))
        BUILTIN_HANDLERS.append(("after-call.s3", self._answered))
        Observed.__call__ = _named(Observed.__call__)  # type: ignore[method-assign]
        ThreadPoolExecutor.submit = _inherited(ThreadPoolExecutor.submit)  # type: ignore[method-assign]

    def _asked(
        self, params: dict[str, Any], model: OperationModel, context: dict[str, Any], **_: object
    ) -> None:
        context[_PARAMS] = params
        if _running.get() is not None:
            self._note(needs(model.service_model.service_name, model.name, params))

    def _answered(self, parsed: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        if parsed.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
            self._note(needs_of_missing_object(context[_PARAMS]))

    def _note(self, found: set[Need]) -> None:
        function = _running.get()
        if function is not None:
            self._needed.setdefault(function, set()).update(found)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: _Worker) -> None:
        """Take over what a worker of pytest-xdist has seen."""
        handed_over = getattr(node, "workeroutput", {}).get(_OUTPUT, {})
        for function, found in handed_over.items():
            known = self._needed.setdefault(function, set())
            known.update(
                Need(action, resource, tuple((key, value) for key, value in keys))
                for action, resource, keys in found
            )

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Hand over, or compare."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = {
                function: [(need.action, need.resource, need.keys) for need in sorted(found)]
                for function, found in self._needed.items()
            }
        elif self._needed:
            self._compare(whole=exitstatus == pytest.ExitCode.OK and _all_ran(self._config))
            if self._told:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _compare(self, *, whole: bool) -> None:
        allowed = grants()
        self._told = [f"AWS would refuse {each}" for each in denied(self._needed, allowed)]
        if whole:
            self._compared = len(allowed)
            too_much = unused(self._needed, allowed)
            self._told += [f"no functional test needs {each}" for each in too_much]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what the comparison has found."""
        if self._told:
            terminalreporter.section("ROLES IN template.yaml", red=True, bold=True)
            for line in self._told:
                terminalreporter.line(line, red=True)
        elif self._compared:
            terminalreporter.line(
                f"roles of functions: {self._compared} permissions, none missing, each needed by a "
                f"test or with a reason"
            )


def _all_ran(config: pytest.Config) -> bool:
    """Whether nothing of the functional tests was left out."""
    folders = [Path(config.invocation_params.dir, argument).resolve() for argument in config.args]
    chosen = [config.getoption(name, None) for name in ("keyword", "markexpr", "lf", "deselect")]
    return any(FOLDER.is_relative_to(folder) for folder in folders) and not any(chosen)


def _named(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def named(self: Observed, *args: Any) -> Any:  # noqa: ANN401 - as the handler's
        before = _running.set(self._function)
        try:
            return call(self, *args)
        finally:
            _running.reset(before)

    return named


def _inherited(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    """What a handler has its threads do is its own doing."""

    @wraps(submit)
    def inherited(
        self: ThreadPoolExecutor, work: Callable[..., object], /, *args: object, **kwargs: object
    ) -> Future[Any]:
        return submit(self, copy_context().run, work, *args, **kwargs)

    return inherited
