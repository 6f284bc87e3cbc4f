"""A train: one flow's past and future on the air, as the fast engine (`packet_train`) keeps it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.radio.sampling import sample_index
from cosim.radio.service import Service
from cosim.sim.engines.air import Air, Signals
from cosim.sim.engines.feedback import Feedback
from cosim.sim.engines.flow import Flow
from cosim.sim.engines.losses import Losses

Floats = NDArray[np.float64]

FIRST_LOOK = 64
"""Channel samples of a first look, at least: as cheap as one, and enough for a short flow."""

_CHANGE_LOOK = 4  # times as far as the last look was of use


@dataclass(frozen=True, slots=True)
class Look:
    """What a flow looks ahead at: samples `first`, ..., from `start_s` on.

    Attributes:
        start_s: where the past ends.
        first: the sample that holds then.
        sinr: with all of the band, [R, K, C].
        known: what the transmitter knows of it, [R, K, C].
    """

    start_s: float
    first: int
    sinr: Floats
    known: Floats

    @property
    def num(self) -> int:
        """How many samples."""
        return int(self.sinr.shape[1])


class Train:
    """One flow's past and future on the air."""

    def __init__(self, flow: Flow, air: Air, known: Losses, sample: int) -> None:
        self.flow = flow
        self.losses = known
        self.signals = Signals(air, flow)
        self.feedback = Feedback(air.rate, flow.sample_interval_s, sample)
        self.past: list[Service] = []
        self.ahead: Service | None = None
        self.seen: Look | None = None  # what `ahead` was found from
        self.look = FIRST_LOOK
        self.next_s = math.inf  # its end, if `ends`, or that of the look
        self.ends = False
        self.share: float | Floats = 0.0
        self.power_w = 0.0  # in `ahead`
        self.duty: float | Floats = 0.0  # likewise, in each piece or in all
        self.is_always_on = False  # likewise: something is sent all the time
        self.settled_j = 0.0  # radiated in the past
        self.remaining_bits = 0.0  # when flows of a domain with slots last started or ended

    def start_s(self, now_s: float) -> float:
        """Return where the past ends."""
        return self.past[-1].end_s if self.past else now_s

    def expect_change(self, now_s: float) -> None:
        """Look less far where a change cut a look short: the next may come as soon."""
        if self.seen is not None:
            used = sample_index(now_s, self.flow.sample_interval_s) - self.seen.first
            self.look = min(self.look, max(_CHANGE_LOOK * used, FIRST_LOOK))

    def wanted(self, first: int) -> int:
        """Return how many samples to look at from `first` on: those read already, if worth it."""
        read = self.signals.end - first
        return read if self.look <= 4 * read <= 16 * self.look else self.look

    def most(self, start_s: float, first: int) -> int:
        """Return how many samples there may be from `start_s` on."""
        flow = self.flow
        if math.isinf(flow.sample_interval_s):
            return 1
        most = int((flow.deadline_s - start_s) / flow.sample_interval_s) + 2
        if self.feedback.adapts:  # acknowledgements change the rate at the next report
            most = min(most, self.feedback.next_report(first) - first)
        return most

    def radiated_j(self, done: Service) -> float:
        """Return what is radiated in the first part of what is ahead."""
        if self.is_always_on:
            return self.power_w * (done.end_s - done.start_s)
        lasts_s, sends = np.diff(done.time_s), done.rate_bps > 0.0
        duty = self.duty if isinstance(self.duty, float) else self.duty[: len(lasts_s)]
        return self.power_w * float((lasts_s * sends * duty).sum())

    def service(self) -> Service | None:
        """Return the service since the oldest part that is kept."""
        return Service.join(self.past) if self.past else None
