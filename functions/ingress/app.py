"""Public webhooks and callbacks: verified, recorded durably, then answered."""

from millrace.config import Config
from millrace.http.ingress import Ingress
from millrace.wiring import aws_context

handler = Ingress(aws_context(Config.from_environment()))
