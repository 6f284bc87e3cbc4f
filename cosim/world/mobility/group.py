"""Mobility `group`: devices that stay around a reference point which moves.

Reference point group mobility (Hong, Gerla, Pei and Chiang, "A group mobility model for ad hoc
wireless networks", ACM MSWiM 1999). The reference point moves by a model of its own, `leader`; all
members of a group of devices share its path, being addressed by the group's number. A member is at

    reference(t) + offset(t),   |offset| <= radius

Every `renew` seconds a member draws a new offset uniform over the disc of that radius, and its
offset moves there evenly until the next is drawn. Members renew at phases of their own, uniform at
time 0, when the offset is under way like at any other time: so at all times the offset has the law
of (1 - F) O + F O' with F uniform on [0, 1] and O, O' uniform over the disc. The sum of two paths
of straight legs is one, with the knots of both.

The reference point moves in the area less a margin of the radius, so members stay in the area
(with a leader that stays in its own). The area must be wide enough for that.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.plugin import Kind
from cosim.rng import Draws
from cosim.units import Metres, Seconds
from cosim.world.area.base import Area
from cosim.world.area.disc import Disc
from cosim.world.mobility._legs import stretch_sizes
from cosim.world.mobility.base import Knots, Member, Mobility, Survey
from cosim.world.mobility.random_waypoint import RandomWaypoint


class Group(Mobility):
    """Reference point group mobility; stationary from time 0 if its leader is.

    The defaults of radius and renewal are assumptions of ours.

    Attributes:
        leader: how the reference point moves: any mobility, with its keys; of a trace, its first
            vehicle.
        radius_m: how far members are from the reference point at most.
        renew_s: how often a member draws a new offset.
    """

    leader: Annotated[Any, Kind("mobility")] = RandomWaypoint()
    radius_m: Annotated[Metres, Field(gt=0)] = 10.0
    renew_s: Annotated[Seconds, Field(gt=0)] = 10.0

    def max_speed_mps(self, member: Member) -> float:
        """The leader's bound, and across the disc in the time of one renewal."""
        leader_mps = float(self.leader.max_speed_mps(self._leader(member)))
        return leader_mps + 2.0 * self.radius_m / self.renew_s

    def survey(self, area: Area, count: int, data_root: Path) -> Survey:
        """The leader's in its area, and what the offsets add.

        Raises:
            ValueError: the area is too narrow for the radius, or the leader cannot be used in what
                the radius leaves of it.
        """
        self.leader.survey(area, 1, data_root)
        try:
            self.leader.survey(_inset(area, self.radius_m), 1, data_root)
        except ValueError as error:
            raise ValueError(
                f"{error} (the leader keeps a radius of {self.radius_m:g} m from the border)"
            ) from error
        return super().survey(area, count, data_root)

    def presence_s(self, member: Member) -> tuple[float, float]:
        """The leader's: a group is there while its reference point is."""
        enter_s, leave_s = self.leader.presence_s(self._leader(member))
        return enter_s, leave_s

    def path(self, draws: Draws, member: Member) -> Iterator[Knots]:
        """Yield the point at time 0, then the knots of some renewals after the other.

        Raises:
            ValueError: the area is too narrow for the radius.
        """
        leader = self._leader(member)
        reference = _Reference(self.leader.path(draws.child("group_leader", member.group), leader))
        generator = draws.generator("group_offset", member.device)
        disc = _disc(self.radius_m)
        phase = generator.random()
        before_m, after_m = disc.place(generator.random((2, 2)))
        begin_s, begin_m = 0.0, before_m + phase * (after_m - before_m)
        reference.read(0.0)
        yield Knots(np.zeros(1), reference.at(np.zeros(1)) + begin_m)
        renewals, first_m = 0, after_m[np.newaxis]
        for size in stretch_sizes(first=1):
            renewed_s = (np.arange(renewals + 1, renewals + size + 1) - phase) * self.renew_s
            drawn_m = disc.place(generator.random((size - len(first_m), 2)))
            offsets_m = np.concatenate([first_m, drawn_m])
            offset = Knots(np.append(begin_s, renewed_s), np.vstack([begin_m, offsets_m]))
            yield _sum(reference, offset)
            begin_s, begin_m = float(renewed_s[-1]), offsets_m[-1]
            renewals, first_m = renewals + size, first_m[:0]

    def _leader(self, member: Member) -> Member:
        """Return the reference point as its model sees it: the one device of its own draws."""
        area = _inset(member.area, self.radius_m)
        return Member(0, 0, 1, member.group, area, member.data_root)


@lru_cache(maxsize=64)
def _inset(area: Area, margin_m: float) -> Area:
    """Return `area.inset`, made once for all members of a group."""
    return area.inset(margin_m)


@lru_cache(maxsize=64)
def _disc(radius_m: float) -> Disc:
    """Return the disc of offsets, made once for all members of a group."""
    return Disc(radius_m=radius_m)


class _Reference:
    """The reference point's path, read as far as needed and kept from the last point on."""

    def __init__(self, path: Iterator[Knots]) -> None:
        self._path = path
        self._known = next(path)

    def read(self, until_s: float) -> None:
        """Read all knots up to a time, and one beyond unless the path ends."""
        read = [self._known]
        while read[-1].t_s[-1] <= until_s:
            stretch = next(self._path, None)
            if stretch is None:
                break
            read.append(stretch)
        t_s = np.concatenate([knots.t_s for knots in read])
        self._known = Knots(t_s, np.concatenate([knots.xy_m for knots in read]))

    def at(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the points [K, 2] at times [K] that are read and not dropped."""
        known = self._known
        return np.stack([np.interp(t_s, known.t_s, axis_m) for axis_m in known.xy_m.T], axis=1)

    def knots(self, after_s: float, until_s: float) -> Knots:
        """Return the knots with after_s < t <= until_s, both read and not dropped."""
        begin, end = np.searchsorted(self._known.t_s, [after_s, until_s], side="right")
        return Knots(self._known.t_s[begin:end], self._known.xy_m[begin:end])

    def drop(self, until_s: float) -> None:
        """Forget what is before the leg that goes on at a time."""
        begin = int(np.searchsorted(self._known.t_s, until_s, side="right")) - 1
        self._known = Knots(self._known.t_s[begin:], self._known.xy_m[begin:])


def _sum(reference: _Reference, offset: Knots) -> Knots:
    """Return the knots of reference + offset after the offset's first knot up to its last."""
    begin_s, end_s = float(offset.t_s[0]), float(offset.t_s[-1])
    reference.read(end_s)
    own = reference.knots(begin_s, end_s)
    offset_m = [np.interp(own.t_s, offset.t_s, axis_m) for axis_m in offset.xy_m.T]
    renewed_s = offset.t_s[1:]
    xy_m = [own.xy_m + np.stack(offset_m, axis=1), reference.at(renewed_s) + offset.xy_m[1:]]
    t_s = np.concatenate([own.t_s, renewed_s])
    order = np.argsort(t_s, kind="stable")
    reference.drop(end_s)
    return Knots(t_s[order], np.concatenate(xy_m)[order])
