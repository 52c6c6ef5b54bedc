"""Schedules that fire, and messages of queues."""

from millrace.config import Config
from millrace.observability import Observed
from millrace.tasks import EventTrigger
from millrace.wiring import aws_context

handler = Observed("trigger", EventTrigger(aws_context(Config.from_environment())))
