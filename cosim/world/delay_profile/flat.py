"""Delay profile `flat`: one path, so that the channel is the same all over the band."""

from cosim.world.delay_profile.base import DelayProfile, Taps


class Flat(DelayProfile):
    """No frequency selectivity."""

    def taps(self) -> Taps | None:
        """None."""
        return None
