"""A world of tabulated gains, and a network over it that keeps every record."""

import math
from typing import ClassVar

import numpy as np
import pytest
import simpy

from cosim.boundary import Payload
from cosim.radio.error.base import PacketError
from cosim.radio.packets import segment_bytes
from cosim.radio.sharing.base import Division, SharingRule
from cosim.rng import Draws
from cosim.scenario.tree import Link, Radio, Spectrum, Transport
from cosim.sim.network import Network

FAST = {"kind": "fixed", "rate": "8 Mbps"}  # one byte per microsecond
NO_HEADER = {"mtu": "1000 B", "header": "0 B"}
BOTH = pytest.mark.parametrize("engine", ["packet_train", "per_packet"])
NOISE_W = 10 ** ((-174 + 9 - 30) / 10) * 10e6  # of a hand-held device in 10 MHz


def steady(num_devices=4, **kwargs):
    """A world whose links never change."""
    return TableWorld(num_devices, [1e-9], **kwargs)


class TableWorld:
    """Devices on a line; the gain of a link at sample k is entry k of its table, repeated."""

    def __init__(self, num_devices, gains, interval_s=math.inf, spacing_m=0.0, is_selective=False):
        self.is_selective = is_selective
        self.num_devices = num_devices
        self._gains = gains  # one array for all links, or by (low, high)
        self._interval_s = interval_s
        self._spacing_m = spacing_m
        self.num_read = 0

    def distance_m(self, src, dst, t_s):
        return np.abs(np.asarray(src) - np.asarray(dst)) * float(self._spacing_m)

    def sample_interval_s(self, src, dst):
        interval_s = self._interval_s
        return (
            interval_s[min(src, dst), max(src, dst)] if isinstance(interval_s, dict) else interval_s
        )

    def finest_sample_interval_s(self, device):
        others = (other for other in range(self.num_devices) if other != device)
        return min(self.sample_interval_s(device, other) for other in others)

    def strongest(self, device, candidates, t_s):
        return int(candidates[np.argmax(self.mean_gain(device, candidates, t_s))])

    def mean_gain(self, src, dst, t_s):
        tables = [self._table(src, each) for each in np.atleast_1d(dst)]
        return np.array([np.mean(table) for table in tables])

    def _table(self, src, dst):
        low, high = min(src, dst), max(src, dst)
        return np.asarray(
            self._gains.get((low, high), [0.0]) if isinstance(self._gains, dict) else self._gains
        )

    def block_gain(self, src, dst, t_s, offset_hz):
        """A ripple over the band, of each link its own."""
        turn = np.asarray(offset_hz) / 3e5 + min(src, dst) + 2.0 * max(src, dst)
        return self.gain(src, dst, t_s)[:, np.newaxis] * (1.0 + 0.9 * np.cos(turn))

    def gain(self, src, dst, t_s):
        low, high = min(src, dst), max(src, dst)
        table = self._table(low, high)
        interval_s = self.sample_interval_s(low, high)
        t_s = np.asarray(t_s, float)
        self.num_read += t_s.size
        if math.isinf(interval_s):
            return np.full(t_s.shape, float(table.flat[0]))
        # Instants that are not this link's own, of interferers and slots, see what holds then.
        samples = np.floor(t_s / interval_s * (1.0 + 1e-12)).astype(int)
        return table[samples % len(table)].astype(float)


class LogisticError(PacketError):
    """A toy whose loss falls with the SNR and grows with the packet's size."""

    depends_on_snr: ClassVar[bool] = True
    middle: float = 3.0

    def probability(self, snr, packet_bits, efficiency):
        return (
            1.0
            / (1.0 + np.exp(np.log(np.maximum(snr, 1e-9) / self.middle) * 2.0))
            * (packet_bits / (packet_bits + 2000.0))
        )


class ThresholdError(PacketError):
    """Lost below an SNR, safe from it on."""

    least_snr: float = 1.0

    def probability(self, snr, packet_bits, efficiency):
        return np.where(snr < self.least_snr, 1.0, 0.0)


class Turns(SharingRule):
    """A slot of the whole band to the flow that had the fewest so far; it remembers how many."""

    exclusive: ClassVar[bool] = True
    slot_s: float | None = 0.001

    def divide(self, demand):
        turns = np.where(np.isnan(demand.memory), 0.0, demand.memory)
        shares = np.zeros((demand.num_flows, demand.num_slots, 1))
        after = np.empty((demand.num_flows, demand.num_slots))
        for slot in range(demand.num_slots):
            chosen = int(np.argmin(turns))
            shares[chosen, slot] = 1.0
            turns[chosen] += 1.0
            after[:, slot] = turns
        return Division(shares, after)


class Run:
    """A network whose records are kept."""

    def __init__(
        self,
        world,
        *,
        engine="packet_train",
        rate="shannon",
        error="none",
        seed=1,
        packets=True,
        check=True,
        spectrum=(),
        combining="none",
        is_base=None,
        reach_m=math.inf,
        radios=None,
        **transport,
    ):
        self.env = simpy.Environment()
        self.flows, self.packets, self.sends, self.deliveries = [], [], [], {}
        self.receives = []
        self.transport = Transport.model_validate(
            {"engine": engine, "propagation": False} | transport
        )
        self.network = Network(
            self.env,
            world,
            radios or [Radio(tx_power_dbm=40.0)] * world.num_devices,
            Spectrum.model_validate(dict(spectrum)),
            Link.model_validate({"rate": rate, "error": error, "combining": combining}),
            self.transport,
            Draws(seed),
            on_flow=self.flows.append,
            on_packets=self.packets.append if packets else None,
            on_transmit=lambda device, change: self.sends.append((self.env.now, device, change)),
            on_receive=lambda device, change: self.receives.append((self.env.now, device, change)),
            is_base=is_base,
            reach_m=reach_m,
            check=check,
        )

    def payload(self, src, dst, num_bytes):
        segment = segment_bytes(self.transport.mtu_bytes, self.transport.header_bytes)
        return Payload("update", src, dst, 0, num_bytes, segment)

    def send(self, src, dst, num_bytes, power_w=0.2):
        return self.multicast(src, [dst], num_bytes, power_w)[0]

    def multicast(self, src, receivers, num_bytes, power_w=0.2):
        payloads = [self.payload(src, dst, num_bytes) for dst in receivers]
        transfers = self.network.multicast(payloads, power_w)
        for transfer in transfers:
            self._keep(transfer)
        return transfers

    def flow(self, number):
        """The row of a transfer."""
        return next(record for record in self.flows if record.flow == number)

    def ends_s(self):
        """When each transfer ended, in the order of starts."""
        return [record.end_s for record in sorted(self.flows, key=lambda record: record.flow)]

    def outcomes(self):
        """How each transfer ended, in the order of starts."""
        return [record.outcome for record in sorted(self.flows, key=lambda record: record.flow)]

    def packets_of(self, number):
        """The packets' rows of a transfer."""
        return next(record for record in self.packets if record.flow == number)

    def _keep(self, transfer):
        def keep(event):
            self.deliveries[transfer.number] = (self.env.now, event.value)

        if transfer.callbacks is None:
            keep(transfer)
        else:
            transfer.callbacks.append(keep)

    def at(self, t_s, action):
        timeout = self.env.timeout(t_s - self.env.now)
        timeout.callbacks.append(lambda _: action())
