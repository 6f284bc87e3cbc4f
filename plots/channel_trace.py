"""Gain of one link over a time window: instantaneous and averaged over fading."""

import math
import sys
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from cosim.results.draw import main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.results.run import Run
from cosim.units import Seconds
from cosim.world.fading.base import Fading
from cosim.world.world import World
from plots import style

Floats = NDArray[np.float64]

POINTS_PER_CYCLE = 32  # of the Doppler phase: a fade is some tenths of a cycle wide
MIN_POINTS, MAX_POINTS = 500, 20_000
FLOOR_DB = 45.0  # below the mean; a deeper fade is cut off at the border
CYCLES = 30.0  # of the Doppler phase in the default window: more fades cannot be told apart
LONGEST_S = 10.0  # default window, however slow the devices are
NOTE_SHARE = 0.12  # of the axes' height, kept free for the note


class ChannelTrace(Figure):
    """Gain of a link in dB over time, with its Doppler shift.

    Attributes:
        link: the two devices; None for the first link of the first plan.
        start_s: start of the window.
        length_s: its length; None for about thirty cycles of the Doppler phase, at most 10 s.
    """

    link: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    start_s: Annotated[Seconds, Field(ge=0)] = 0.0
    length_s: Annotated[Seconds, Field(gt=0)] | None = None

    @field_validator("link")
    @classmethod
    def _joins_two(cls, link: tuple[int, int] | None) -> tuple[int, int] | None:
        if link is not None and link[0] == link[1]:
            raise PydanticCustomError(
                "link", "expected two devices, got {device} twice", {"device": link[0]}
            )
        return link

    def draw(self, runs: Sequence[Run]) -> Drawing:
        """Draw the gain and annotate Doppler shift and distance."""
        import pandas as pd  # noqa: PLC0415

        run = runs[0]
        world = run.world
        src, dst = self._link(run)
        end_s = self.start_s + (self.length_s or _default_s(world, src, dst, self.start_s))
        turns = np.diff(world.doppler_cycles(src, dst, np.array([self.start_s, end_s])))[0]
        points = int(np.clip(POINTS_PER_CYCLE * turns, MIN_POINTS, MAX_POINTS))
        t_s = np.linspace(self.start_s, end_s, points)
        gain_db = 10.0 * np.log10(np.maximum(world.gain(src, dst, t_s), np.finfo(float).tiny))
        mean_db = 10.0 * np.log10(world.mean_gain(src, dst, t_s))
        doppler_hz = np.gradient(world.doppler_cycles(src, dst, t_s), t_s)
        distance_m = world.distance_m(src, dst, t_s)
        with style.page(style.COLUMN_IN, 2.1) as page:
            axes = page.subplots()
            axes.plot(t_s, gain_db, color=style.BLUE, linewidth=0.8, label="instantaneous")
            axes.plot(t_s, mean_db, color=style.VERMILLION, linestyle="--", label="mean")
            low_db = max(gain_db.min(), mean_db.min() - FLOOR_DB)
            high_db = max(gain_db.max(), mean_db.max()) + 2.0
            axes.set_ylim(low_db - NOTE_SHARE * (high_db - low_db) - 1.0, high_db)
            axes.set_xlim(self.start_s, end_s)
            axes.set_xlabel("Simulated time (s)")
            axes.set_ylabel(f"Gain of link {src}\u2013{dst} (dB)")
            axes.grid(visible=True)
            note = f"{_range(distance_m)} m apart"
            if _follows_motion(run.scenario.channel.fading):
                carrier = f"{world.carrier_hz / 1e9:g} GHz"
                note = f"$f_\\mathrm{{D}}$ = {_range(doppler_hz)} Hz at {carrier}, {note}"
            style.tag(axes, note, "lower left")
            style.legend_above(axes, columns=2)
            data = {"t_s": t_s, "gain_db": gain_db, "mean_gain_db": mean_db}
            data |= {"doppler_hz": doppler_hz, "distance_m": distance_m}
            return Drawing(page, pd.DataFrame(data).assign(src=src, dst=dst))

    def _link(self, run: Run) -> tuple[int, int]:
        num_devices = run.world.num_devices
        if self.link is None:
            links = run.links
            if links.empty:
                raise FigureError(f"run {run.path} has no links; name one with `link: [0, 1]`")
            first = links.iloc[0]
            return int(first["src"]), int(first["dst"])
        if max(self.link) >= num_devices:
            raise FigureError(
                f"link: expected two devices of 0 to {num_devices - 1}, got {list(self.link)}"
            )
        return self.link


def _default_s(world: World, src: int, dst: int, start_s: float) -> float:
    """Return the length of a window of `CYCLES`, rounded down to 1, 2 or 5 of a power of ten."""
    first_s = 0.01 * LONGEST_S
    cycles = np.diff(world.doppler_cycles(src, dst, np.array([start_s, start_s + first_s])))[0]
    length_s = min(CYCLES * first_s / cycles, LONGEST_S) if cycles > 0 else LONGEST_S
    power = 10.0 ** math.floor(math.log10(length_s))
    return power * max(step for step in (1, 2, 5) if step * power <= length_s * (1 + 1e-9))


def _follows_motion(fading: Fading) -> bool:
    """Return whether fading is the faster the larger the Doppler shift is."""
    return fading.sample_interval_s(10.0) != fading.sample_interval_s(20.0)


def _range(values: Floats) -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    same = low == high or math.isclose(values.min(), values.max(), rel_tol=0.02)
    return f"{values.mean():.3g}" if same else f"{low}\u2013{high}"


if __name__ == "__main__":
    sys.exit(main(ChannelTrace))
