"""Short ways to a world, its paths and a member of a group."""

from cosim.rng import Draws
from cosim.world.mobility.base import Member
from cosim.world.paths import Paths
from cosim.world.world import Body, ChannelModels, World


def member(area, device=0, count=1, group=0, **options) -> Member:
    """Return a device that is the only one, or the `device`-th, of its group."""
    return Member(device, device, count, group, area, **options)


def paths_of(mobilities, area, seed=1) -> Paths:
    """Return the paths of one device for each mobility model."""
    members = [member(area, device, len(mobilities)) for device in range(len(mobilities))]
    return Paths(Draws(seed), mobilities, members)


def world_of(mobilities, area, path_loss, fading, carrier_hz=3.5e9, seed=1, **channel) -> World:
    """Return a world of one device for each mobility model."""
    bodies = [
        Body(mobility, index=index, count=len(mobilities))
        for index, mobility in enumerate(mobilities)
    ]
    models = ChannelModels(path_loss, fading, carrier_hz=carrier_hz, **channel)
    return World(Draws(seed), area, bodies, models)
