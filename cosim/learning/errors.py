"""Errors of learning that a user can mend; each message says what was expected and found."""


class LearningError(Exception):
    """A model, its data or its training cannot go on."""


class InputError(LearningError):
    """What the user gave, a model, data or a setting, cannot be used: nothing was simulated."""
