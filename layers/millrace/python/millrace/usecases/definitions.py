"""A flow of the domain as the compiler's input."""

from collections.abc import Sequence

from millrace import compiler
from millrace.domain.flow import FlowSettings
from millrace.domain.step import Step


def to_definition(settings: FlowSettings, steps: Sequence[Step]) -> compiler.Definition:
    """What the compiler needs to know of a flow and its steps; actions are none of its business.

    Retries of a synchronous flow are refused with the settings, all of them at once, so here there
    are none.
    """
    retry = compiler.FlowRetry(
        max_attempts=settings.retry_max_attempts,
        delay_minutes=settings.retry_delay_minutes,
        exponential=settings.retry_uses_exponential_backoff,
    )
    return compiler.Definition(
        steps=tuple(_to_step(step) for step in steps),
        is_synchronous=settings.is_synchronous,
        flow_retry=compiler.FlowRetry() if settings.is_synchronous else retry,
    )


def _to_step(step: Step) -> compiler.Step:
    return compiler.Step(
        id=step.id,
        name=step.name,
        type=step.type,
        depends_on=step.depends_on,
        is_skipped=step.is_skipped,
        on_failure=step.strategy("failure"),
        on_partial_success=step.strategy("partial_success"),
        retry=compiler.Retry(
            max_attempts=step.retry.max_attempts,
            interval_seconds=step.retry.interval_seconds,
            backoff_rate=step.retry.backoff_rate,
            max_delay_seconds=step.retry.max_delay_seconds,
            jitter=step.retry.jitter,
        ),
        timeout_seconds=step.timeout_seconds,
    )
