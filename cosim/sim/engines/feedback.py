"""Feedback: what a transmitter knows of its channel, and the outer loop of its link adaptation.

A receiver reports its SINR when a flow starts and at the first channel sample of each report
interval; until the next report the transmitter chooses rates by it. With outer-loop link adaptation
each report also brings the acknowledgements of the attempts that have ended since the last one.
Where the rate model has no reports, the transmitter knows the channel as it is.
"""

import math

import numpy as np
from numpy.typing import NDArray

from cosim.radio.rate.base import Rate

Floats = NDArray[np.float64]


class Feedback:
    """What the transmitter of one flow knows.

    Args:
        rate: the rate model.
        interval_s: between channel samples.
        sample: that holds when the flow starts.

    Attributes:
        offset_db: of the outer loop.
        has_reports: whether the transmitter knows its channel by reports only.
        adapts: whether acknowledgements change the rate.
    """

    def __init__(self, rate: Rate, interval_s: float, sample: int) -> None:
        self.offset_db = 0.0
        self._rate = rate
        self._interval_s = interval_s
        self._report_s = rate.report_interval_s()
        self.has_reports = math.isfinite(self._report_s)
        self.adapts = rate.adapts and self.has_reports
        self._held: Floats | None = None  # [R, 1, C]
        self._held_report = -1
        self._seen = self.report(sample)  # whose acknowledgements were counted last
        self._num_acks = 0  # of all attempts that have ended by then
        self._num_nacks = 0

    def report(self, sample: int) -> int:
        """Return the sample that was reported last at `sample`."""
        if not self.has_reports:
            return sample
        return self._begins(self._report_number(sample))

    def next_report(self, sample: int) -> int:
        """Return the first sample after `sample` that is reported."""
        return self._begins(self._report_number(sample) + 1)

    def _report_number(self, sample: int) -> int:
        # A sample that falls on a report by exact arithmetic is to do so in float64.
        return math.floor(sample * self._interval_s / self._report_s * (1.0 + 1e-12))

    def _begins(self, report: int) -> int:
        return math.ceil(report * self._report_s / self._interval_s * (1.0 - 1e-12))

    def known(self, sinr: Floats, first: int) -> Floats:
        """Return what is known at samples `first`, ..., [R, K, C].

        Args:
            sinr: at these samples, [R, K, C].
            first: number of the first of them.
        """
        if not self.has_reports:
            return sinr
        num = sinr.shape[1]
        known = np.empty_like(sinr)
        begin = 0
        while begin < num:  # one report after the other
            end = min(self.next_report(first + begin) - first, num)
            report = self.report(first + begin)
            held = self._held is not None and report <= self._held_report
            known[:, begin:end] = self._held if held else sinr[:, begin : begin + 1]
            begin = end
        return known

    def hold(self, known: Floats, first: int, sample: int) -> None:
        """Hold on to what was known at `sample`, which has passed.

        Args:
            known: at samples `first`, ..., [R, K, C].
            first: number of the first of them.
            sample: one of them.
        """
        if self.has_reports:
            self._held = known[:, sample - first : sample - first + 1].copy()
            self._held_report = self.report(sample)

    def acknowledge(self, sample: int, num_acks: int, num_nacks: int) -> None:
        """Let the outer loop see a report, if there is a new one at `sample`.

        Args:
            sample: that holds from now on.
            num_acks: attempts of this flow that have ended well until now.
            num_nacks: and badly.
        """
        if not self.adapts:
            return
        report = self.report(sample)
        if report > self._seen:
            self.offset_db = self._rate.next_offset_db(
                self.offset_db, num_acks - self._num_acks, num_nacks - self._num_nacks
            )
            self._seen, self._num_acks, self._num_nacks = report, num_acks, num_nacks
