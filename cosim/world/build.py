"""The world of a scenario."""

from cosim.rng import Draws
from cosim.scenario.tree import Scenario
from cosim.world.world import World


def build_world(scenario: Scenario) -> World:
    """Return the world that a scenario describes; the same scenario gives the same world.

    Devices are numbered group after group, and each moves by its group's mobility model.
    """
    channel = scenario.channel
    return World(
        draws=Draws(scenario.seed),
        area=scenario.area,
        mobilities=[group.mobility for group in scenario.devices for _ in range(group.count)],
        path_loss=channel.path_loss,
        fading=channel.fading,
        carrier_hz=channel.carrier_hz,
        sample_interval_s=channel.sample_interval_s,
    )
