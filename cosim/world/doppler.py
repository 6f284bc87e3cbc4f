"""Doppler: the phase that two devices' motion has turned their channel through.

    D(t) = integral from 0 to t of |v_i - v_j| / wavelength      in cycles

The relative velocity is constant between the knots of either path, so that D is a polyline with
breakpoints at the knots of both.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.world.paths import Paths
from cosim.world.polylines import Legs, Polylines


class DopplerPhases(Polylines):
    """One row for each link that was asked for: its Doppler phase, the shift in Hz as the slope.

    Args:
        paths: the devices' paths.
        wavelength_m: of the carrier.
    """

    def __init__(self, paths: Paths, wavelength_m: float) -> None:
        super().__init__(width=1)
        self._paths = paths
        self._wavelength_m = wavelength_m
        self._row_of: dict[int, int] = {}  # low * num_devices + high -> row
        self._links: list[int] = []

    def cycles(self, low: ArrayLike, high: ArrayLike, t_s: ArrayLike) -> NDArray[np.float64]:
        """Return D [...] of the links (low, high), low <= high; arguments broadcast to [...]."""
        links = np.asarray(low) * len(self._paths) + np.asarray(high)
        keys = links.ravel().tolist()
        new = [key for key in dict.fromkeys(keys) if key not in self._row_of]
        self._row_of.update(zip(new, range(len(self), len(self) + len(new)), strict=True))
        self._links.extend(new)
        self._add(len(new))
        rows = np.array([self._row_of[key] for key in keys], dtype=np.int64)
        return self.at(rows.reshape(links.shape), t_s)[..., 0]

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
