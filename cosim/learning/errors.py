"""Errors of learning that a user can mend; each message says what was expected and found."""


class LearningError(Exception):
    """A model, its data or its training cannot go on."""
