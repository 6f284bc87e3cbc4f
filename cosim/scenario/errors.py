"""A user's mistakes: one line each, with where it is and what would be right."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """Where something was written.

    Attributes:
        source: a file as the user named it, or `override key=value`.
        line, column: from 1; 0 where the source has no lines.
        rank: order among the sources of one scenario: its file, the files it extends, overrides.
        key: the dotted key that the source names itself, as an override does.
    """

    source: str
    line: int = 0
    column: int = 0
    rank: int = 0
    key: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Problem:
    """One mistake.

    Attributes:
        mark: where it was written.
        path: the dotted path of the key; empty for the file as a whole.
        message: what was expected, what was found, the nearest valid name.
    """

    mark: Mark
    path: str
    message: str

    def __str__(self) -> str:
        if self.path in ("", self.mark.key):
            return f"{self.mark}: {self.message}"
        return f"{self.mark}{' ' if self.mark.line else ': '}{self.path}: {self.message}"


class ScenarioError(ValueError):
    """A scenario that cannot be used; its text has one line for each problem, by position."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems: tuple[Problem, ...] = tuple(
            sorted(unique, key=lambda problem: _position(problem.mark))
        )
        super().__init__("\n".join(map(str, self.problems)))


def _position(mark: Mark) -> tuple[int, int, int]:
    return mark.rank, mark.line, mark.column
