"""Small traces as numbers, the paths that come of them, and interpolation as the oracle."""

from pathlib import Path

import numpy as np
from world_helpers import member

from cosim.rng import Draws
from cosim.world.area.rectangle import Rectangle
from cosim.world.paths import Paths

WIDE = Rectangle(width_m=20e3, height_m=20e3)


def members_of(mobility, folder, count=None, area=WIDE):
    """Return the devices of a group that follows a trace, all by default."""
    count = mobility.num_members(Path(folder)) if count is None else count
    return [member(area, index, count, data_root=Path(folder)) for index in range(count)]


def paths_of_trace(mobility, folder, count=None, area=WIDE) -> Paths:
    members = members_of(mobility, folder, count, area)
    return Paths(Draws(1), [mobility] * len(members), members)


def positions_m(mobility, folder, t_s):
    """Return where all devices are at times [T]: [N, T, 2]."""
    paths = paths_of_trace(mobility, folder)
    return paths.at(np.arange(len(paths))[:, np.newaxis], np.asarray(t_s)[np.newaxis])[..., :2]


def presences_s(mobility, folder):
    return [mobility.presence_s(each) for each in members_of(mobility, folder)]


def interpolated_m(txy, t_s):
    """The oracle: straight lines between samples [K, 3], the ends held."""
    return np.stack([np.interp(t_s, txy[:, 0], txy[:, axis]) for axis in (1, 2)], axis=-1)


def random_tracks(seed=7, count=6, steps=60):
    """Return {name: [K, 3]}: walks on a 1 s grid that begin and end at times of their own."""
    generator = np.random.default_rng(seed)
    tracks = {}
    for number in range(count):
        first, last = np.sort(generator.choice(steps, 2, replace=False))
        last = max(last, first + 1)
        t_s = np.arange(first, last + 1.0)
        walk_m = generator.uniform(-300, 300, 2) + np.cumsum(
            generator.uniform(-20, 20, (t_s.size, 2)), axis=0
        )
        tracks[f"v{number}"] = np.column_stack([t_s, np.round(walk_m, 2)])
    return tracks


def centre_m(tracks):
    """Return the centre of the box that holds all positions."""
    xy_m = np.concatenate([txy[:, 1:] for txy in tracks.values()])
    return (xy_m.min(axis=0) + xy_m.max(axis=0)) / 2.0


def by_entering(tracks):
    """Return the names in order of entering; of those that enter together, as they are given."""
    return sorted(tracks, key=lambda name: tracks[name][0, 0])
