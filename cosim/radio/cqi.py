"""CQI tables: what modulation and code carry, and the SNR that they need for 10 % block errors.

Efficiencies are those of 3GPP TS 36.213, tables 7.2.3-1 (to 64-QAM) and 7.2.3-2 (to 256-QAM).

3GPP gives no SNRs. Those here were measured by simulation over AWGN with one antenna and ideal
channel knowledge: the 5G NR LDPC code (TS 38.212) at each row's modulation and code rate, blocks
of 6144 bits (3072 for code rates below 1/3), 20 iterations of belief propagation (Sionna 2.2);
good to about 0.1 dB. The values that are widely used for LTE (-6.9 dB at row 1, 19.8 dB at row
15; of unknown origin) lie 0.2 to 1 dB above, about what a real receiver loses, for which its noise
figure may stand.

EESM's betas are those that 5G-LENA (ns-3) and Sionna ship for the NR modulation and coding scheme
of the same efficiency; neither says how they were calibrated. Row 1 has none there, and takes
that of the lowest.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TableName = Literal["64qam", "256qam"]
"""Which table: by its highest modulation."""

# Values at which counting level by level beats a search in the levels.
_MANY = 2048


@dataclass(frozen=True)
class CqiTable:
    """Rows 1 to 15, ascending; row 0 is out of range.

    Attributes:
        efficiency: bit/s/Hz.
        snr_db: SNR at which 10 % of the blocks are lost.
        beta: of the exponential effective SNR mapping.
    """

    efficiency: tuple[float, ...]
    snr_db: tuple[float, ...]
    beta: tuple[float, ...]

    @cached_property
    def snr(self) -> Floats:
        """`snr_db`, linear, [15]."""
        return np.asarray(10.0 ** (np.array(self.snr_db) / 10.0))

    def gap_db(self, efficiency: Floats) -> Floats:
        """Return how far a modulation and code of this efficiency is from capacity.

        It is the SNR that it needs less that of capacity, 2^efficiency - 1, in dB: a row's by
        `snr_db`, between rows linear in the efficiency, beyond the ends that of the end.
        """
        row = num_reached(np.array(self.efficiency), efficiency)
        start_db, slope_db = self._gap_pieces
        return np.asarray(start_db.take(row) + slope_db.take(row) * efficiency)

    @cached_property
    def _gap_pieces(self) -> tuple[Floats, Floats]:
        """Gap at efficiency 0 and slope of the line below row 1, from row 1 to 2, ..., [16]."""
        efficiency = np.array(self.efficiency)
        row_db = np.array(self.snr_db) - 10.0 * np.log10(np.expm1(efficiency * np.log(2.0)))
        slope_db = np.concatenate([[0.0], np.diff(row_db) / np.diff(efficiency), [0.0]])
        start_db = np.append(row_db[0], row_db) - slope_db * np.append(0.0, efficiency)
        return start_db, slope_db


# Rows of both tables.
_LOW = ((0.1523, -7.9, 1.60), (0.3770, -4.0, 1.63), (0.8770, 0.3, 1.73))
_QPSK = (_LOW[0], (0.2344, -6.1, 1.60), _LOW[1], (0.6016, -1.7, 1.67), _LOW[2], (1.1758, 2.2, 1.79))
_QAM16 = ((1.4766, 4.1, 4.27), (1.9141, 6.0, 5.16), (2.4063, 7.9, 6.16))
_QAM64 = (
    (2.7305, 9.7, 10.97),
    (3.3223, 11.6, 14.96),
    (3.9023, 13.5, 19.33),
    (4.5234, 15.5, 24.51),
    (5.1152, 17.5, 29.94),
)
_TOP_QAM64 = ((5.5547, 19.4, 34.28),)
_QAM256 = (
    (5.5547, 19.0, 65.0),
    (6.2266, 21.1, 92.48),
    (6.9141, 23.1, 118.74),
    (7.4063, 25.0, 132.54),
)
_Rows = tuple[tuple[float, float, float], ...]


def _table(rows: _Rows) -> CqiTable:
    efficiency, snr_db, beta = zip(*rows, strict=True)
    return CqiTable(efficiency, snr_db, beta)


TABLES: dict[TableName, CqiTable] = {
    "64qam": _table((*_QPSK, *_QAM16, *_QAM64, *_TOP_QAM64)),
    "256qam": _table((*_LOW, *_QAM16, *_QAM64, *_QAM256)),
}


def num_reached(levels: Floats, values: Floats) -> NDArray[np.integer[Any]]:
    """Return how many of the ascending `levels` [N], N < 256, each value reaches."""
    if values.size < _MANY:
        return np.searchsorted(levels, values, side="right")
    count = np.zeros(values.shape, dtype=np.uint8)
    reached = np.empty(values.shape, dtype=np.bool_)
    for level in levels:
        np.greater_equal(values, level, out=reached)
        np.add(count, reached.view(np.uint8), out=count)
    return count
