"""From clusters to planned links: who sends to whom, at what power, in what time.

Inside a cluster every pair in range is a link in both directions. Between two clusters that have
a pair in range, the pair of best gain are the gateways.

    delay = Q / ((W / n) log2(1 + p g / (N0 F W / n)))        (P1, equation 10; any rate model)

n is the number of links that share the band: the |u_i| outgoing links of the transmitter, or all
links of its cluster. The noise is that over the share.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cosim.collision import collision_rates
from cosim.planning.view import Bools, Floats, Ints, Links, Plan, PlanView
from cosim.radio import budget


@dataclass(frozen=True)
class Pairs:
    """Directed links whose power is not decided yet, [L] each, sorted by `src`, then `dst`.

    Attributes:
        src, dst: transmitter and receiver.
        mean_gain: linear gain averaged over fading.
        fanout: number of outgoing links that the transmitter has.
        sharing: number of links that share the band with this one, itself included.
    """

    src: Ints
    dst: Ints
    mean_gain: Floats
    fanout: Ints
    sharing: Ints


Casting = Literal["unicast", "multicast", "best"]
"""How a device's update goes to its neighbours; see `constraints.Limits`."""

Power = Callable[[Pairs], Floats]
"""A power rule: returns the transmit power of each link in watts, [L]."""


def num_sharing(shared_by: str, size: int) -> int:
    """Return how many links share the band in a cluster of `size` devices all in range."""
    return size - 1 if shared_by == "per_transmitter" else size * (size - 1)


def equal_power(view: PlanView) -> Power:
    """Return the rule that divides a device's power equally among its links: p_max / |u_i|."""
    return lambda pairs: view.max_power_w[pairs.src] / pairs.fanout


def assemble(
    view: PlanView,
    cluster: Ints,
    power: Power,
    reasons: tuple[str, ...],
    casting: Casting = "unicast",
) -> Plan:
    """Return the plan whose clusters are given.

    Args:
        view: what is planned for.
        cluster: cluster number of each device, or -1, [N].
        power: the power rule of links inside clusters; gateways send at full power.
        reasons: why.
        casting: how updates go to the neighbours.
    """
    inside = _inside(view, cluster)
    links, multicast = _cast(view, inside, _links(view, inside, power(inside)), casting)
    return Plan(
        index=view.index,
        t_s=view.t_s,
        round=view.round,
        cluster=cluster,
        links=links,
        multicast=multicast,
        gateways=gateways(view, cluster),
        density=view.density.copy(),
        collision_rate=collision_rates(view.density, cluster),
        reasons=reasons,
    )


def gateways(view: PlanView, cluster: Ints) -> Links:
    """Return the best link between any two clusters that have a pair in range, both directions.

    Ties in gain go to the lowest numbers. A gateway sends at full power, and its predicted delay
    is that of its update over the whole band: what it takes while it sends to one cluster only.
    """
    a, b = cluster[view.low], cluster[view.high]
    between = np.flatnonzero((a != b) & (a >= 0) & (b >= 0))
    a, b = a[between], b[between]
    couple = np.minimum(a, b) * view.num_devices + np.maximum(a, b)
    order = np.argsort(couple)
    between, couple = between[order], couple[order]
    begins = np.flatnonzero(np.diff(couple, prepend=-1))
    if len(begins):
        gain = view.mean_gain[between]
        most = np.maximum.reduceat(gain, begins)
        is_best = gain == np.repeat(most, np.diff(begins, append=len(gain)))
        # Pairs are sorted: the first of those that are best has the lowest numbers.
        best = np.minimum.reduceat(np.where(is_best, between, len(view.low)), begins)
    else:
        best = between
    ones = np.ones(2 * len(best), dtype=np.int64)
    pairs = Pairs(*_both_ways(view, best), fanout=ones, sharing=ones)
    return _links(view, pairs, view.max_power_w[pairs.src])


def _cast(view: PlanView, inside: Pairs, unicast: Links, casting: Casting) -> tuple[Links, Bools]:
    """Return the links, and which devices multicast over theirs.

    A multicast has the band of one flow instead of those of all links, full power, and the rate of
    its worst receiver.
    """
    several = inside.fanout > 1
    if casting == "unicast" or not several.any():
        return unicast, np.zeros(view.num_devices, dtype=np.bool_)
    each = replace(inside, sharing=np.maximum(inside.sharing // inside.fanout, 1))
    links = _links(view, each, view.max_power_w[inside.src])
    slowest_s, alone_s = np.zeros(view.num_devices), np.zeros(view.num_devices)
    np.maximum.at(slowest_s, inside.src, links.predicted_delay_s)
    np.maximum.at(alone_s, inside.src, unicast.predicted_delay_s)
    chosen = several & ((casting == "multicast") | (slowest_s < alone_s)[inside.src])
    multicast = np.zeros(view.num_devices, dtype=np.bool_)
    multicast[inside.src[chosen]] = True
    mixed = Links(
        src=inside.src,
        dst=inside.dst,
        power_w=np.where(chosen, links.power_w, unicast.power_w),
        mean_gain=inside.mean_gain,
        predicted_delay_s=np.where(chosen, slowest_s[inside.src], unicast.predicted_delay_s),
    )
    return mixed, multicast


def _inside(view: PlanView, cluster: Ints) -> Pairs:
    """Return both directions of every pair that is inside a cluster."""
    same = np.flatnonzero((cluster[view.low] == cluster[view.high]) & (cluster[view.low] >= 0))
    src, dst, mean_gain = _both_ways(view, same)
    fanout = np.bincount(src, minlength=view.num_devices)[src]
    if view.shared_by == "per_transmitter":
        sharing = fanout
    else:
        sharing = np.bincount(cluster[src])[cluster[src]] if len(src) else fanout
    return Pairs(src, dst, mean_gain, fanout=fanout, sharing=sharing)


def _both_ways(view: PlanView, pairs: Ints) -> tuple[Ints, Ints, Floats]:
    """Return (src, dst, mean_gain) of both directions of some of the view's pairs, sorted."""
    src = np.concatenate([view.low[pairs], view.high[pairs]])
    dst = np.concatenate([view.high[pairs], view.low[pairs]])
    order = np.argsort(src * view.num_devices + dst)
    return src[order], dst[order], np.tile(view.mean_gain[pairs], 2)[order]


def _links(view: PlanView, pairs: Pairs, power_w: Floats) -> Links:
    """Return links of known power, with their predicted delays."""
    delay_s = np.empty(len(pairs.src))
    # The rate model takes one bandwidth at a time; only few numbers of sharing links occur.
    for sharing in np.unique(pairs.sharing).tolist():
        at = np.flatnonzero(pairs.sharing == sharing)
        src, dst = pairs.src[at], pairs.dst[at]
        bandwidth_hz = view.bandwidth_hz / sharing
        noise_w = view.noise_w_per_hz[dst] * bandwidth_hz
        snr = budget.snr(power_w[at], pairs.mean_gain[at], noise_w)
        bps = view.rate.bps(snr, bandwidth_hz, 1.0 / sharing)
        delay_s[at] = budget.delay_s(view.payload_bits[src], bps)
    return Links(pairs.src, pairs.dst, power_w, pairs.mean_gain, delay_s)
