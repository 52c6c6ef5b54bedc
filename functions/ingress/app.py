"""Public webhooks and callbacks: verified, recorded durably, then answered."""

import ulid  # noqa: F401 - each accepted request makes an id, and its sender waits

from millrace.config import Config
from millrace.http.ingress import Ingress
from millrace.observability import Observed
from millrace.wiring import aws_context

handler = Observed("ingress", Ingress(aws_context(Config.from_environment())))
