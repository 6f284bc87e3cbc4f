"""Deadlines: every sending expires the same time after its start, so the oldest is the next."""

from collections import OrderedDict
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
        self._waiting: OrderedDict[int, Sending] = OrderedDict()  # by number and deadline
        self._timer = Timer(env, self._pass)

    def add(self, sending: Sending) -> None:
        """Wait for the deadline of a sending that starts now."""
        self._waiting[sending.number] = sending
        self._arm()

    def forget(self, sending: Sending) -> None:
        """Let go of a sending that has ended."""
        self._waiting.pop(sending.number, None)

    def clear(self) -> None:
        """Wait for none."""
        self._waiting.clear()
        self._timer.cancel()

    def _pass(self, at_s: float) -> None:
        """A deadline has come; it may be that of a sending long ended."""
        while self._waiting and self._oldest().deadline_s <= at_s:
            _, sending = self._waiting.popitem(last=False)
            self._expire(sending, at_s)
        self._arm()

    def _oldest(self) -> Sending:
        return next(iter(self._waiting.values()))

    def _arm(self) -> None:
        # One event at a time, at the deadline of one that may have ended since: setting a timer
        # anew for each sending would leave an event behind for each.
        if self._waiting and not self._timer.pending:
            self._timer.set(self._oldest().deadline_s)
