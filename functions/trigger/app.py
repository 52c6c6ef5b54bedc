"""Schedules that fire, and messages of queues."""

from millrace.config import Config
from millrace.tasks import EventTrigger
from millrace.wiring import aws_context

handler = EventTrigger(aws_context(Config.from_environment()))
