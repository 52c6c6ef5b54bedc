"""The ends of attempts and runs, and the sweeper."""

from millrace.config import Config
from millrace.tasks import Lifecycle
from millrace.wiring import aws_context

handler = Lifecycle(aws_context(Config.from_environment()))
