"""Where the wall time of a run goes. Simulated time never depends on it."""

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Profile:
    """Wall seconds by part; time inside a nested part counts for that part alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stack: list[str] = []
        self._since_s = time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside for `name`."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def begin(self, name: str) -> None:
        """Count what happens from now on for `name`, until `end`."""
        self._switch()
        self._stack.append(name)

    def end(self) -> None:
        """Count what happens from now on for the part that was interrupted by this one."""
        self._switch()
        self._stack.pop()

    def watch(self, name: str, target: T) -> T:
        """Return `target` with every call of its methods counted for `name`."""
        return _Watched(self, name, target)  # type: ignore[return-value]

    def _switch(self) -> None:
        now_s = time.perf_counter()
        if self._stack:
            part = self._stack[-1]
            self.seconds[part] = self.seconds.get(part, 0.0) + now_s - self._since_s
        self._since_s = now_s


class _Watched:
    """Stands before an object and times the calls of its methods."""

    def __init__(self, profile: Profile, name: str, target: object) -> None:
        self._profile = profile
        self._name = name
        self._target = target

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._target, attribute)
        if not callable(value):
            return value

        @functools.wraps(value)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._profile.begin(self._name)
            try:
                return value(*args, **kwargs)
            finally:
                self._profile.end()

        setattr(self, attribute, timed)  # the next look-up finds it at once
        return timed
