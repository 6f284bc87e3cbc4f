"""Errors of a run that a user can do something about."""


class StandstillError(Exception):
    """A run would go on for ever without time passing."""
