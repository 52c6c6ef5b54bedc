"""MiniStack with the faults cured that would make the local stack lie about AWS.

Runs in the private environment (see :mod:`millrace_local.environment`), never in the project's:
MiniStack pins botocore exactly. ``python -m millrace_local.launcher`` applies every cure and then
starts MiniStack's own server; a MiniStack other than the one the cures were written for is refused.
"""
