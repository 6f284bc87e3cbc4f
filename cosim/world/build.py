"""The world of a scenario."""

from pathlib import Path

from cosim.rng import Draws
from cosim.scenario.tree import Scenario
from cosim.world.errors import WorldError
from cosim.world.world import Body, ChannelModels, World


def build_world(scenario: Scenario) -> World:
    """Return the world that a scenario describes; the same scenario gives the same world.

    Devices are numbered group after group, and each moves by its group's mobility model.

    Raises:
        WorldError: a mobility model cannot be used in the area, or a file not at all.
    """
    channel = scenario.channel
    bodies = [
        Body(group.mobility, group.radio.height_m, index, count, number)
        for number, (group, count) in enumerate(
            zip(scenario.devices, scenario.group_sizes, strict=True)
        )
        for index in range(count)
    ]
    models = ChannelModels(
        path_loss=channel.path_loss,
        fading=channel.fading,
        shadowing=channel.shadowing,
        delay_profile=channel.delay_profile,
        carrier_hz=channel.carrier_hz,
        sample_interval_s=channel.sample_interval_s,
    )
    root = Path(scenario.data_root)
    try:
        world = World(Draws(scenario.seed), scenario.area, bodies, models, data_root=root)
        world.positions_m(0.0)
    except ValueError as error:  # from a model that is asked for its first point
        raise WorldError(str(error)) from error
    return world
