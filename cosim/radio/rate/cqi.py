"""CQI: the rate of the modulation and code that the receiver's channel quality index asks for.

The index is the highest row of 3GPP TS 36.213, table 7.2.3-1 or -2, whose SNR for 10 % block
errors is reached; see `cosim/radio/cqi.py`. The rate is that row's efficiency times the bandwidth,
less a fraction for control and reference signals.

Outer-loop link adaptation takes an offset from the reported SNR. A packet that is not acknowledged
raises it by `step`, one that is acknowledged lowers it by step b / (1 - b). With a share p of
packets lost it moves by step (p - (1 - p) b / (1 - b)) = step (p - b) / (1 - b) a packet: it rests
where p = b, the target, whatever makes the thresholds wrong (old reports, long packets). Sampath,
Kumar and Holtzman, IEEE VTC 1997.
"""

from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from cosim.radio.cqi import TABLES, TableName, num_reached
from cosim.radio.eesm import eesm
from cosim.radio.rate.base import Floats, Rate
from cosim.units import Decibels, Seconds


class Cqi(Rate):
    """The CQI table of LTE and NR, with outer-loop link adaptation.

    Row 0 is out of range: where the report does not reach row 1, nothing is sent, whatever the
    offset. Where it does, at least row 1 is sent, so that acknowledgements go on coming and the
    outer loop finds back from any offset.

    Attributes:
        table: by its highest modulation.
        outer_loop: whether the offset follows acknowledgements.
        target_bler: b, the share of packets that the outer loop lets be lost.
        step_db: up-step of the outer loop (own choice; 0.1 to 1 dB are common).
        max_offset_db: the offset stays within this of 0 dB (own choice).
        report_period_s: of the receiver's channel quality reports; TS 36.213, 7.2.2 has 2 to
            160 ms (FDD), a frame is 10 ms.
        overhead: fraction of the band that carries control and reference signals.
    """

    table: TableName = "64qam"
    outer_loop: bool = True
    target_bler: Annotated[float, Field(gt=0, lt=1)] = 0.1
    step_db: Annotated[Decibels, Field(gt=0)] = 0.1
    max_offset_db: Annotated[Decibels, Field(ge=0)] = 10.0
    report_period_s: Annotated[Seconds, Field(gt=0)] = 0.01
    overhead: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def adapts(self) -> bool:
        """Whether the outer loop is on."""
        return self.outer_loop

    def bps(
        self, snr: Floats, bandwidth_hz: ArrayLike, share: ArrayLike, offset_db: ArrayLike = 0.0
    ) -> Floats:
        """Return the efficiency of the row that SNR less offset reaches, times the bandwidth."""
        levels, offset_db = TABLES[self.table].snr, np.atleast_1d(offset_db)
        rows = num_reached(levels, snr)
        if offset_db.any():
            # Row 1 is the report's to grant, whatever the offset.
            offered = num_reached(levels, snr / 10.0 ** (offset_db / 10.0))
            rows = np.where(rows > 0, np.maximum(offered, 1), 0)
        per_hertz = np.array((0.0, *TABLES[self.table].efficiency)) * (1.0 - self.overhead)
        return np.asarray(per_hertz.take(rows) * np.asarray(bandwidth_hz, float))

    def efficiency(self, rate_bps: Floats, bandwidth_hz: ArrayLike) -> Floats:
        """Return the row's efficiency: that of the part of the band that carries data."""
        return super().efficiency(rate_bps, bandwidth_hz) / (1.0 - self.overhead)

    def effective_snr(self, snr: Floats, weight: Floats | None = None) -> Floats:
        """Return the EESM of the blocks with the beta of the row that it reaches, [...].

        Beta grows with the row, and EESM with beta, so that `bps` finds the same row again.
        Bisection finds a row r which EESM(beta_r) reaches and for which EESM(beta_(r+1)) is below
        the level of row r + 1; on extremely selective channels there may be several.
        """
        table = TABLES[self.table]
        beta = np.array(table.beta)
        reached = np.full(snr.shape[:-1], -1)  # rows from 0 here; -1 stands for none
        missed = np.full(snr.shape[:-1], len(beta))
        for _ in range(len(beta).bit_length()):  # 15 rows: 16, 8, 4, 2, 1 between the two
            middle = (reached + missed) // 2
            good = eesm(snr, beta[middle], weight) >= table.snr[middle]
            reached = np.where(good, middle, reached)
            missed = np.where(good, missed, middle)
        return eesm(snr, beta[np.maximum(reached, 0)], weight)

    def next_offset_db(self, offset_db: float, num_acks: int, num_nacks: int) -> float:
        """Return the offset after acknowledgements: up by `step` for each that is missing."""
        down_db = self.step_db * self.target_bler / (1.0 - self.target_bler)
        moved_db = offset_db + self.step_db * num_nacks - down_db * num_acks
        return min(max(moved_db, -self.max_offset_db), self.max_offset_db)

    def report_interval_s(self) -> float:
        """Return the period of the receiver's reports."""
        return self.report_period_s
