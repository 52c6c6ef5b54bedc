"""Tries to deliver notifications."""

from millrace.config import Config
from millrace.observability import Observed
from millrace.tasks import NotificationTry
from millrace.wiring import aws_context, aws_messenger

_config = Config.from_environment()
handler = Observed("notify", NotificationTry(aws_context(_config), aws_messenger(_config)))
