"""Packets per second of both engines, beside ns.py and ns-3 in the same run.

    python tests/benchmarks/bench_packets.py [--repeats N]
        [--nspy PYTHON] [--ns3 PYTHON] [--peers DIR]

Packets of 1460 B of data and 40 B of header, 10 % of the transmissions lost and repeated; rate by
Shannon on 10 MHz, sampled and integrated:

    block, Jakes 2 m/s, 30 m/s   240 Mbit over one fading link; the speed is the relative one
    cell, proportional fair      8 devices send 24 Mbit each to one base station; slots of 1 ms
    10 clusters, reuse 1         10 links of 24 Mbit each, which disturb each other

The peers send packets over one link of fixed rate without loss or fading (`--peers` holds
nspy_port.py and ns3_p2p.py; each PYTHON has its peer installed). Runs alternate (A B A B), times
are medians, and ratios are medians of the ratios within one round. Packets count once however
often they are sent.
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
from cosim.world.mobility.static import Static
from cosim.world.path_loss.log_distance import LogDistance
from cosim.world.world import Body, ChannelModels, World

BIG_BYTES = 30_000_000  # 240 Mbit
SHARED_BYTES = 3_000_000  # 24 Mbit
SMALL_BYTES = 30_000  # 240 kbit, 21 packets
HEADER_BYTES = 40
ENGINES = ("packet_train", "per_packet")


def build_world(mobilities, fading, radius_m=200.0):
    """Return a world in which what is prepared once per seed is ready."""
    channel = ChannelModels(LogDistance(), fading)
    bodies = [Body(mobility) for mobility in mobilities]
    world = World(Draws(1), Disc(radius_m=radius_m), bodies, channel)
    world.gain(0, 1, [0.0, 1e4])
    return world


def mover(speed_mps):
    """Return a device at one speed."""
    return RandomWaypoint(speed_mps=(speed_mps, speed_mps))


def build_network(world, engine, flows, mtu=1500, bases=(), **spectrum):
    """Return an event loop and a network on it."""
    env = simpy.Environment()
    transport = {"engine": engine, "mtu": f"{mtu} B", "header": f"{HEADER_BYTES} B"}
    network = Network(
        env,
        world,
        [Radio()] * world.num_devices,
        Spectrum.model_validate(spectrum),
        Link.model_validate({"error": {"kind": "fixed", "rate": 0.1}}),
        Transport.model_validate(transport | {"deadline": "1 h"}),
        Draws(1),
        on_flow=flows.append,
        is_base=[device in bases for device in range(world.num_devices)],
    )
    return env, network


def send(world, engine, links, num_bytes, mtu=1500, **options):
    """Send over links at once; return wall seconds and packets."""
    flows = []
    env, network = build_network(world, engine, flows, mtu, **options)
    start = time.perf_counter()
    sent = [
        network.send(Payload("update", src, dst, 0, num_bytes, mtu - HEADER_BYTES), 0.2)
        for src, dst in links
    ]
    env.run(until=env.all_of(sent))
    wall_s = time.perf_counter() - start
    assert all(flow.outcome == "delivered" for flow in flows)
    return wall_s, sum(flow.num_packets for flow in flows)


def works():
    """Return the works by name: a function of engine and MTU."""
    one = [(0, 1)]
    block = build_world([mover(2.0), Static()], Rayleigh())
    slow = build_world([mover(2.0), Static()], RayleighJakes())
    fast = build_world([mover(30.0), Static()], RayleighJakes())
    cell = build_world([*[mover(2.0)] * 8, Static()], RayleighJakes())
    pairs = build_world([*[mover(2.0)] * 10, *[Static()] * 10], RayleighJakes(), 500.0)
    return {
        "block": lambda engine, mtu=1500: send(block, engine, one, BIG_BYTES, mtu),
        "Jakes 2 m/s": lambda engine, mtu=1500: send(slow, engine, one, BIG_BYTES, mtu),
        "Jakes 30 m/s": lambda engine, mtu=1500: send(fast, engine, one, BIG_BYTES, mtu),
        "cell, proportional fair": lambda engine, mtu=1500: send(
            cell,
            engine,
            [(device, 8) for device in range(8)],
            SHARED_BYTES,
            mtu,
            bases=(8,),
            domain="per_cell",
            rule="proportional_fair",
        ),
        "10 clusters, reuse 1": lambda engine, mtu=1500: send(
            pairs,
            engine,
            [(device, device + 10) for device in range(10)],
            SHARED_BYTES,
            mtu,
            interference="co_channel",
        ),
    }


def send_rounds(world, mtu=1500, num_rounds=20):
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

    env, network = build_network(world, "packet_train", flows, mtu)
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

    peers = {}
    if args.nspy:
        peers["ns.py"] = (args.nspy, args.peers / "nspy_port.py")
    if args.ns3:
        peers["ns-3"] = (args.ns3, args.peers / "ns3_p2p.py")
    all_works = works()
    rates, halved = {}, {}
    for _ in range(args.repeats):
        for name, work in all_works.items():
            for engine in ENGINES:
                # A fast run is too short to time alone: the median of ten.
                runs = [work(engine) for _ in range(10 if engine == "packet_train" else 1)]
                wall_s, num_packets = statistics.median(run[0] for run in runs), runs[0][1]
                rates.setdefault((name, engine), []).append(num_packets / wall_s)
            walls = [(work("packet_train")[0], work("packet_train", 770)[0]) for _ in range(10)]
            full, half = (statistics.median(column) for column in zip(*walls, strict=True))
            halved.setdefault(name, []).append(half / full)
        for name, command in peers.items():
            rates.setdefault((name, ""), []).append(peer_rate(*command))

    print(f"10 % loss, median of {args.repeats} alternated rounds")
    print(f"{'work':<26}{'engine':<14}{'packets/s':>12}{'x per_packet':>14}", end="")
    print("".join(f"{'x ' + name:>10}" for name in peers))
    for (name, engine), values in rates.items():
        print(f"{name:<26}{engine:<14}{statistics.median(values):>12,.0f}", end="")
        reference = rates.get((name, "per_packet"))
        print(f"{median_ratio(values, reference):>14.1f}" if reference else f"{'':>14}", end="")
        print("".join(f"{median_ratio(values, rates[peer, '']):>10.1f}" for peer in peers))

    print("\nHalving the MTU (header kept), packet_train: wall time x")
    for name, values in halved.items():
        print(f"{name:<42}{statistics.median(values):>6.2f}")
    world = build_world([mover(2.0)] * 8, RayleighJakes())
    send_rounds(world, num_rounds=2)
    full, half = [], []
    for _ in range(args.repeats):
        wall_s, num_flows = send_rounds(world)
        full.append(wall_s / num_flows)
        half.append(send_rounds(world, 770)[0] / num_flows)
    print(f"{'8 devices, 240 kbit a flow, Jakes':<42}{median_ratio(half, full):>6.2f}", end="")
    print(f"   ({1e6 * statistics.median(full):.0f} us a flow)")


if __name__ == "__main__":
    main()
