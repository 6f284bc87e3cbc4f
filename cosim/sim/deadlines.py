"""Deadlines: every sending expires the same time after its start, so the oldest is the next."""

from collections import deque
from collections.abc import Callable

import simpy

from cosim.sim.engines.base import Timer
from cosim.sim.transfers import Sending


class Deadlines:
    """Calls for those that are open when their deadline comes.

    Args:
        env: the event loop.
        expire: called with a sending and the time of its deadline.
    """

    def __init__(self, env: simpy.Environment, expire: Callable[[Sending, float], None]) -> None:
        self._expire = expire
        self._waiting: deque[Sending] = deque()  # in the order of their deadlines
        self._timer = Timer(env, self._pass)

    def add(self, sending: Sending) -> None:
        """Wait for the deadline of a sending that starts now."""
        self._forget_closed()
        self._waiting.append(sending)
        self._arm()

    def clear(self) -> None:
        """Wait for none."""
        self._waiting.clear()
        self._timer.cancel()

    def _pass(self, at_s: float) -> None:
        """The oldest deadline has come; it may be that of a sending long ended."""
        while self._waiting and self._waiting[0].deadline_s <= at_s:
            sending = self._waiting.popleft()
            if not sending.has_ended:
                self._expire(sending, at_s)
        self._forget_closed()
        self._arm()

    def _forget_closed(self) -> None:
        while self._waiting and self._waiting[0].has_ended:
            self._waiting.popleft()

    def _arm(self) -> None:
        # One event at a time, at the deadline of one that may have ended since: setting a timer
        # anew for each sending would leave an event behind for each.
        if self._waiting and not self._timer.pending:
            self._timer.set(self._waiting[0].deadline_s)
