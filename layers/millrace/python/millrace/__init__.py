"""Millrace: integration flows compiled into Step Functions state machines."""
