"""Packets per second of both engines, beside ns.py and ns-3 in the same run.

    python tests/benchmarks/bench_packets.py [--repeats N]
        [--nspy PYTHON] [--ns3 PYTHON] [--peers DIR]

The work: 240 Mbit over one fading link, 1460 B of data and 40 B of header a packet, 10 % of the
transmissions lost and repeated; rate by Shannon on 10 MHz, sampled and integrated. The peers send
packets over one link of fixed rate without loss or fading (`--peers` holds nspy_port.py and
ns3_p2p.py; each PYTHON has its peer installed). Runs alternate (A B A B), times are medians, and
ratios are medians of the ratios within one round. Packets count once however often they are sent.
"""

import argparse
import statistics
import subprocess
import time
from pathlib import Path

import simpy

from cosim.boundary import Payload
from cosim.rng import Draws
from cosim.scenario.tree import Link, Radio, Spectrum, Transport
from cosim.sim.network import Network
from cosim.world.area.disc import Disc
from cosim.world.fading.rayleigh import Rayleigh
from cosim.world.fading.rayleigh_jakes import RayleighJakes
from cosim.world.mobility.random_waypoint import RandomWaypoint
from cosim.world.path_loss.log_distance import LogDistance
from cosim.world.world import Body, ChannelModels, World

BIG_BYTES = 30_000_000  # 240 Mbit
SMALL_BYTES = 30_000  # 240 kbit, 21 packets
HEADER_BYTES = 40


def build_world(num_devices, fading):
    """Return pedestrians within 200 m."""
    mobility = RandomWaypoint(speed_mps=(1.0, 3.0), pause_s=(0.0, 10.0))
    channel = ChannelModels(LogDistance(), fading)
    world = World(Draws(1), Disc(radius_m=200.0), [Body(mobility)] * num_devices, channel)
    world.gain(0, 1, [0.0, 1e4])  # what is prepared once per seed is not what is measured
    return world


def build_network(world, engine, mtu, flows):
    """Return an event loop and a network on it."""
    env = simpy.Environment()
    transport = {"engine": engine, "mtu": f"{mtu} B", "header": f"{HEADER_BYTES} B"}
    network = Network(
        env,
        world,
        [Radio()] * world.num_devices,
        Spectrum(),
        Link.model_validate({"error": {"kind": "fixed", "rate": 0.1}}),
        Transport.model_validate(transport),
        Draws(1),
        on_flow=flows.append,
    )
    return env, network


def send_one(world, engine, mtu=1500):
    """Send 240 Mbit from 0 to 1; return wall seconds and packets."""
    flows = []
    payload = Payload("update", 0, 1, 0, BIG_BYTES, mtu - HEADER_BYTES)
    env, network = build_network(world, engine, mtu, flows)
    start = time.perf_counter()
    env.run(until=network.send(payload, 0.2))
    wall_s = time.perf_counter() - start
    assert flows[0].outcome == "delivered"
    return wall_s, flows[0].num_packets


def send_rounds(world, engine, mtu=1500, num_rounds=20):
    """Let two clusters of four exchange 240 kbit, all to all; return wall seconds and flows."""
    flows = []
    pairs = [(i, j) for i in range(8) for j in range(8) if i != j and i // 4 == j // 4]

    def rounds(env, network):
        for number in range(num_rounds):
            payloads = [
                Payload("update", i, j, number, SMALL_BYTES, mtu - HEADER_BYTES) for i, j in pairs
            ]
            yield simpy.AllOf(env, [network.send(payload, 0.2) for payload in payloads])
            yield env.timeout(0.5)

    env, network = build_network(world, engine, mtu, flows)
    start = time.perf_counter()
    env.run(until=env.process(rounds(env, network)))
    return time.perf_counter() - start, len(flows)


def peer_rate(python, script):
    """Run a peer and return its packets per second."""
    done = subprocess.run([python, script], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    return float(words[words.index("packets_per_s") + 1])


def median_ratio(ours, theirs):
    """Return the median over rounds of ours / theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def main():
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--nspy", help="Python with ns.py")
    parser.add_argument("--ns3", help="Python with ns-3")
    parser.add_argument("--peers", type=Path, default=Path(), help="folder of the peers' scripts")
    args = parser.parse_args()

    worlds = {"block fading": build_world(2, Rayleigh()), "Jakes": build_world(2, RayleighJakes())}
    rates = {}
    halved = {name: [] for name in worlds}
    peers = {}
    if args.nspy:
        peers["ns.py"] = (args.nspy, args.peers / "nspy_port.py")
    if args.ns3:
        peers["ns-3"] = (args.ns3, args.peers / "ns3_p2p.py")
    for _ in range(args.repeats):
        for name, world in worlds.items():
            for engine in ("packet_train", "per_packet"):
                # A fast run is too short to time alone: the median of ten.
                runs = [
                    send_one(world, engine) for _ in range(10 if engine == "packet_train" else 1)
                ]
                wall_s, num_packets = statistics.median(run[0] for run in runs), runs[0][1]
                rates.setdefault((name, engine), []).append(num_packets / wall_s)
            walls = [(send_one(world, "packet_train", 1500)[0],
                      send_one(world, "packet_train", 770)[0]) for _ in range(10)]  # fmt: skip
            halved[name].append(statistics.median(b for _, b in walls)
                                / statistics.median(a for a, _ in walls))  # fmt: skip
        for name, command in peers.items():
            rates.setdefault((name, ""), []).append(peer_rate(*command))

    print(f"240 Mbit, 10 % loss, median of {args.repeats} alternated rounds")
    columns = list(peers)
    print(f"{'link':<14}{'engine':<14}{'packets/s':>12}{'x per_packet':>14}", end="")
    print("".join(f"{'x ' + name:>10}" for name in columns))
    for (name, engine), values in rates.items():
        print(f"{name:<14}{engine:<14}{statistics.median(values):>12,.0f}", end="")
        reference = rates.get((name, "per_packet"))
        print(f"{median_ratio(values, reference):>14.1f}" if reference else f"{'':>14}", end="")
        print("".join(f"{median_ratio(values, rates[peer, '']):>10.1f}" for peer in columns))

    print("\nHalving the MTU (header kept), packet_train: wall time x")
    for name, values in halved.items():
        print(f"{'240 Mbit, ' + name:<42}{statistics.median(values):>6.2f}")
    world = build_world(8, RayleighJakes())
    send_rounds(world, "packet_train", num_rounds=2)
    full, half = [], []
    for _ in range(args.repeats):
        wall_s, num_flows = send_rounds(world, "packet_train")
        full.append(wall_s / num_flows)
        half.append(send_rounds(world, "packet_train", 770)[0] / num_flows)
    print(f"{'8 devices, 240 kbit a flow, Jakes':<42}{median_ratio(half, full):>6.2f}", end="")
    print(f"   ({1e6 * statistics.median(full):.0f} us a flow)")


if __name__ == "__main__":
    main()
