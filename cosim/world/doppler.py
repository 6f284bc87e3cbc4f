"""Doppler: the phase that two devices' motion has turned their channel through.

    D(t) = integral from 0 to t of |v_i - v_j| / wavelength      in cycles

The relative velocity is constant between the knots of either path, so that D is a polyline with
breakpoints at the knots of both.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.world.paths import Paths
from cosim.world.polylines import Legs, Polylines

# Links are forgotten when so many others were asked for since: a phase is a pure function of time
# and can be worked out again, and a run of many hours meets millions of links.
_KEPT = 65_536


class DopplerPhases(Polylines):
    """One row for each link that was lately asked for: its phase, the shift in Hz as the slope.

    Args:
        paths: the devices' paths.
        wavelength_m: of the carrier.
        kept: links that are kept at least.
    """

    def __init__(self, paths: Paths, wavelength_m: float, kept: int = _KEPT) -> None:
        super().__init__(width=1)
        self._paths = paths
        self._wavelength_m = wavelength_m
        self._kept = kept
        # low * num_devices + high -> row, of the last `kept` links or more, and of those before
        # them. A link that is asked for again moves to the newer ones.
        self._newer: dict[int, int] = {}
        self._older: dict[int, int] = {}
        self._free: list[int] = []
        self._links: list[int] = []

    def cycles(
        self,
        low: ArrayLike,
        high: ArrayLike,
        t_s: ArrayLike,
        span: tuple[float, float] | None = None,
    ) -> NDArray[np.float64]:
        """Return D [...] of the links (low, high), low <= high; arguments broadcast to [...].

        `span` are the first and the last of the times, for a caller that knows them.
        """
        links = np.asarray(low) * len(self._paths) + np.asarray(high)
        if len(self._newer) > self._kept:
            self._forget_older()
        if links.size == 1:
            rows = np.full(links.shape, self._row(links.item()))
        else:
            keys, inverse = np.unique(links, return_inverse=True)
            each = np.array([self._row(key) for key in keys.tolist()], dtype=np.int64)
            rows = each[inverse].reshape(links.shape)
        return self.at(rows, t_s, span)[..., 0]

    def _row(self, link: int) -> int:
        """Return the row of a link, a new one if it has none."""
        row = self._newer.get(link)
        if row is not None:
            return row
        row = self._older.pop(link, None)
        if row is None:
            if not self._free:
                self._free.append(len(self))
                self._add(1)
                self._links.append(link)
            row = self._free.pop()
            self._links[row] = link
        self._newer[link] = row
        return row

    def _forget_older(self) -> None:
        for row in self._older.values():
            self._forget(row)
        self._free.extend(self._older.values())
        self._older, self._newer = self._newer, {}

    def _more(self, row: int, known: Legs, until_s: float) -> Legs:
        """Merge the knots of both paths from `known.end_s` to where the shorter one is known."""
        low, high = divmod(self._links[row], len(self._paths))
        paths = [self._paths.legs(device, until_s) for device in (low, high)]
        end_s = min(path.end_s for path in paths)
        bounds = [path.start_s.searchsorted((known.end_s, end_s)) for path in paths]
        start_s = np.unique(
            np.concatenate([path.start_s[a:b] for path, (a, b) in zip(paths, bounds, strict=True)])
        )
        first, second = (
            path.slope[path.start_s.searchsorted(start_s, "right") - 1] for path in paths
        )
        relative_mps = first[:, :2] - second[:, :2]
        shift_hz = np.hypot(relative_mps[:, 0], relative_mps[:, 1]) / self._wavelength_m
        # Continue the sum where the known legs stop, one leg after the other, so that it rounds
        # the same however far it is carried at a time.
        begun = known.start_s.size > 0
        before_s = known.start_s[-1:] if begun else np.zeros(1)
        before_hz = known.slope[-1] if begun else np.zeros(1)
        before = known.value[-1] if begun else np.zeros(1)
        durations_s = np.diff(np.concatenate([before_s, start_s]))
        turns = durations_s * np.concatenate([before_hz, shift_hz])[: start_s.size]
        cycles = np.cumsum(np.concatenate([before, turns]))[1:]
        return Legs(start_s, cycles[:, np.newaxis], shift_hz[:, np.newaxis], end_s)
