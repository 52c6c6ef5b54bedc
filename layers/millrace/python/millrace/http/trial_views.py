"""Answers about tests of flows; apart from the others, since few requests need their models."""

from typing import Any, Self

from pydantic import Field

from millrace.domain.base import Model, Moment
from millrace.domain.trial import StepOutcome, StepTrial, Trial, TrialStatus
from millrace.usecases.resources import fields_of


class _TrialFields(Model):
    """What results of tests tell, alone and in lists."""

    id: str
    flow_id: str
    version_id: str
    version_number: int
    virtual_environment_id: str | None
    status: TrialStatus
    triggered_by: str = Field(description="Token id of who tested.")
    started_at: Moment
    duration_ms: int
    expires_at: Moment = Field(description="When the result is forgotten.")


class TrialSummary(_TrialFields):
    """The result of a test without the records of its steps."""

    steps: tuple[StepOutcome, ...]

    @classmethod
    def of(cls, trial: Trial) -> Self:
        """The view of a stored result."""
        steps = tuple(StepOutcome(**fields_of(step, StepOutcome)) for step in trial.steps)
        return cls(**_trial_fields(trial), steps=steps)


class TrialView(_TrialFields):
    """The result of a test."""

    steps: tuple[StepTrial, ...]

    @classmethod
    def of(cls, trial: Trial) -> Self:
        """The view of a stored result."""
        return cls(**_trial_fields(trial), steps=trial.steps)


def _trial_fields(trial: Trial) -> dict[str, Any]:
    return fields_of(trial, _TrialFields) | {
        "triggered_by": trial.created_by,
        "started_at": trial.created_at,
    }
