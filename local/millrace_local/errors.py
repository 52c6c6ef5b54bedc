"""The one kind of failure that the local stack explains to its user."""


class LocalStackError(Exception):
    """Something a user can put right; the message is one line that says what to do."""
