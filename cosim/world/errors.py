"""What a user has to mend in what a world is made of."""


class WorldError(ValueError):
    """A world that cannot be: a file that cannot be used, a path outside the area."""
