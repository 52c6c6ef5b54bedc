"""The version that a run is pinned to, as the run takes it."""

from collections.abc import Collection
from typing import Final

from millrace.domain.flow import Version
from millrace.domain.run import Run
from millrace.usecases.context import Context

VERSIONS_KEPT: Final = 16
"""Versions that a warm function keeps, each up to some MB."""


def run_version(context: Context, run: Run) -> Version:
    """The version a run is pinned to; steps that the run leaves out are marked as skipped.

    Steps of a version never change, so it is read once. What a version says of its deployment may
    be of some time ago.
    """
    key = (run.workspace_id, run.flow_id, run.version_id)
    version = context.pinned.get(key)
    if version is None:
        version = context.resources.get(
            Version, run.workspace_id, run.version_id, parent_id=run.flow_id
        )
        keep(context.pinned, key, version)
    return limited(version, run.steps_to_run)


def known_version(context: Context, run: Run) -> Version | None:
    """The same with all its steps, if it was read before."""
    return context.pinned.get((run.workspace_id, run.flow_id, run.version_id))


def keep[K, V](known: dict[K, V], key: K, value: V) -> None:
    """Keep what has to do with a version; where room is short, what was kept first goes."""
    if len(known) >= VERSIONS_KEPT:
        known.pop(next(iter(known)))
    known[key] = value


def limited(version: Version, steps_to_run: Collection[str] | None) -> Version:
    """The version with the other steps marked as skipped; None leaves out none."""
    if steps_to_run is None:
        return version
    steps = (
        step if step.id in steps_to_run else step.model_copy(update={"is_skipped": True})
        for step in version.steps
    )
    return version.model_copy(update={"steps": tuple(steps)})
