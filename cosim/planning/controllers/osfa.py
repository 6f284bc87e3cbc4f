"""OSFA: P3's one-stage controller, which takes the rank as it is."""

from cosim.planning.controllers._lyapunov import LyapunovController


class Osfa(LyapunovController):
    """TSFA without its offline stage: density and shares by drift plus penalty, round by round."""
