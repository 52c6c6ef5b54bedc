"""Adapters for what runs and fires: Step Functions and EventBridge Scheduler."""
