"""Path loss `measured`: gains from a file, measured or ray-traced.

    src,dst,t_s,gain_db
    0,1,0.0,-71.3
    0,1,0.1,-72.0

PL(t) = -gain(t), linear in dB between samples or held until the next. What is in the file is the
whole channel but for fading and shadowing, which can be set to none or come on top.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.on_disk import OnDisk
from cosim.units import Decibels, Seconds
from cosim.world.errors import WorldError
from cosim.world.path_loss._gains import Columns, Gains, read_gains
from cosim.world.path_loss.base import Floats, Geometry, PathLoss


class Measured(PathLoss):
    """Gains from a CSV file with a header, rows in any order.

    A channel is the same both ways: samples of i to j and of j to i are samples of one link, and
    two at one time must be equal. Devices are numbered as in the scenario, from 0 on.

    Attributes:
        file: path of the file, looked up under `data_root`.
        src, dst, time, gain: names of its columns: the two ends, the time in s, the gain in dB.
        between: `linear` in dB from sample to sample, or `hold` each until the next.
        missing_db: what a link that the file does not have, or a time outside its samples, means:
            `hold` for the first and the last sample (a link without any is an error); `error`,
            with a file that goes on beyond the run for as long as a transfer may take; or the loss.
        interval_s: how often the channel is sampled; None for the least spacing in the file with
            `hold`, and a tenth of it with `linear`.
    """

    file: Annotated[str, OnDisk()]
    src: str = "src"
    dst: str = "dst"
    time: str = "t_s"
    gain: str = "gain_db"
    between: Literal["linear", "hold"] = "linear"
    missing_db: Literal["error", "hold"] | Decibels = "hold"
    interval_s: Annotated[Seconds, Field(gt=0)] | None = None

    def loss_db(self, geometry: Geometry) -> Floats:
        """-gain of each link at its time.

        Raises:
            ValueError: the file cannot be read, or misses a link or a time; the message says where.
        """
        gains = self._gains(geometry.data_root)
        shape = np.shape(geometry.distance_m)
        low = np.broadcast_to(np.asarray(geometry.low), shape).ravel()
        high = np.broadcast_to(np.asarray(geometry.high), shape).ravel()
        t_s = np.broadcast_to(np.asarray(geometry.t_s, dtype=float), shape).ravel()
        gain_db, is_known, is_within = gains.at(low, high, t_s, self.between == "linear")
        is_missing = ~is_known if self.missing_db == "hold" else ~(is_known & is_within)
        if is_missing.any():
            if isinstance(self.missing_db, str):
                first = int(np.argmax(is_missing))
                raise WorldError(
                    gains.absence(int(low[first]), int(high[first]), float(t_s[first]))
                    + "; complete the file, or set `missing` of path_loss `measured`"
                )
            gain_db = np.where(is_missing, -self.missing_db, gain_db)
        return np.asarray(-gain_db).reshape(shape)

    def survey(self, num_devices: int, data_root: Path) -> None:
        """Look whether the file speaks of these devices.

        Raises:
            WorldError: a device has no link in the file, and `missing` does not say what that
                means, or the file has others in its place.
        """
        path = data_root / self.file
        found = self._gains(data_root).devices()
        absent = np.setdiff1d(np.arange(num_devices), found)
        others = found[found >= num_devices]
        if absent.size and (isinstance(self.missing_db, str) or others.size):
            got = f"none of {_some(absent)}"
            got += f", but some of {_some(others)}" if others.size else ""
            raise WorldError(
                f"{path}: expected gains of all devices, 0 to {num_devices - 1}, got {got}; "
                "devices are numbered from 0, group after group; complete the file, or set "
                "`missing` of path_loss `measured` to a gain"
            )

    def sample_interval_s(self, data_root: Path = Path()) -> float:
        """`interval`, or the least spacing of a link's samples."""
        if self.interval_s is not None:
            return self.interval_s
        spacing_s = self._gains(data_root).spacing_s
        return spacing_s if self.between == "hold" else spacing_s / 10.0

    def _gains(self, data_root: Path) -> Gains:
        columns = Columns(self.src, self.dst, self.time, self.gain)
        return read_gains(data_root / self.file, columns)


def _some(devices: NDArray[np.int64]) -> str:
    """Return the first of some devices and how many more there are."""
    more = f" and {devices.size - 1} more" if devices.size > 1 else ""
    return f"device {devices[0]}{more}"
