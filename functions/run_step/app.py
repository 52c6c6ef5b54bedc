"""The worker that state machines call for each step."""

from millrace.config import Config
from millrace.tasks import StepWorker
from millrace.wiring import aws_context

handler = StepWorker(aws_context(Config.from_environment()))
