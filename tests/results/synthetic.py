"""A run folder made without running anything: the real world, simple clusters, plausible numbers.

Written through the recorder, so every table is as a run writes it. Rates are Shannon's over the
world's own fading, packets are repeated until they arrive.
"""

import numpy as np

from cosim.results.run import Run
from cosim.results.run_folder import RunFolder
from cosim.results.tables import Recorder
from cosim.scenario.tree import Scenario
from cosim.world.build import build_world

TASKS = ("boolq", "piqa", "siqa", "gsm8k", "arc", "code", "hellaswag", "dolly")
BITS = 2_000_000.0
DEADLINE_S = 3.0
STEP_S = 0.01
LOSS = 0.1
POWER_W = 0.2
NOISE_W = 4e-21 * 8.0 * 10e6
BAND_HZ = 10e6


def scenario(**keys):
    base = {
        "name": "synthetic",
        "area": {"kind": "disc", "radius": "200 m"},
        "devices": ({"group": "pedestrians", "count": 8},),
        "record": {"packets": True},
    }
    return Scenario.model_validate(base | keys)


def make_run(
    out_dir, *, num_rounds=15, packets=True, positions=True, gain=1.0, crash=False, **keys
):
    """Write a run folder and return it opened; `gain` scales what the devices learn."""
    chosen = scenario(**keys)
    with RunFolder.create(out_dir, chosen, command="cosim run synthetic.yaml") as folder:
        with Recorder(folder.path) as recorder:
            _Maker(chosen, recorder, num_rounds, packets, gain).fill()
            if positions:
                _positions(chosen, recorder, num_rounds * 22.0)
        if crash:
            raise RuntimeError("device 3 diverged")
    return Run(folder.path)


def _positions(chosen, recorder, end_s):
    world = build_world(chosen)
    devices = np.arange(world.num_devices)
    for t_s in np.arange(0.0, end_s, 1.0):
        x_m, y_m = world.positions_m(t_s).T
        recorder.extend("positions", t_s=t_s, device=devices, x_m=x_m, y_m=y_m)


class _Maker:
    def __init__(self, chosen, recorder, num_rounds, packets, gain):
        self.world = build_world(chosen)
        self.recorder = recorder
        self.num_rounds = num_rounds
        self.packets = packets
        self.gain = gain
        self.random = np.random.default_rng(chosen.seed)
        self.n = self.world.num_devices
        self.flow = 0
        self.plan = -1
        self.t_s = 0.0

    def fill(self):
        self._evaluate(0)
        for round in range(1, self.num_rounds + 1):
            if (round - 1) % 5 == 0:
                self._plan()
            self._round(round)
            if round % 2 == 0:
                self._evaluate(round)
        for device in range(self.n):
            self.recorder.add(
                "energy",
                t_s=self.t_s,
                device=device,
                transmit_j=1.0,
                receive_j=0.5,
                compute_j=20.0,
                idle_j=0.0,
                left_j=np.inf,
            )

    def _plan(self):
        self.plan += 1
        at_m = self.world.positions_m(self.t_s)
        centres = at_m[np.argsort(at_m[:, 0])[[1, self.n // 2, self.n - 2]]]
        for _ in range(5):
            near = np.linalg.norm(at_m[:, None] - centres[None], axis=-1).argmin(axis=1)
            centres = np.stack(
                [
                    at_m[near == c].mean(axis=0) if (near == c).any() else centres[c]
                    for c in (0, 1, 2)
                ]
            )
        self.cluster = np.unique(near, return_inverse=True)[1]
        heads = [np.flatnonzero(self.cluster == c)[0] for c in range(self.cluster.max() + 1)]
        self.links = [
            (i, j)
            for i in range(self.n)
            for j in range(self.n)
            if i != j and self.cluster[i] == self.cluster[j]
        ]
        self.gateways = [(i, j) for i in heads for j in heads if i != j]
        trigger = "on_start" if self.plan == 0 else "on_change"
        for device in range(self.n):
            self.recorder.add(
                "plans",
                plan=self.plan,
                t_s=self.t_s,
                trigger=trigger,
                device=device,
                cluster=int(self.cluster[device]),
                is_gateway=device in heads,
                density=0.1,
            )
        for src, dst in self.links + self.gateways:
            self.recorder.add(
                "links",
                plan=self.plan,
                src=src,
                dst=dst,
                power_w=POWER_W,
                mean_gain_db=float(10 * np.log10(self.world.mean_gain(src, dst, self.t_s))),
                predicted_delay_s=1.0,
            )
        self.recorder.add("events", t_s=self.t_s, kind="plan", device=-1, detail=trigger)

    def _round(self, round):
        start_s, sent, delivered, late = self.t_s, 0.0, 0.0, 0
        ready_s = start_s + self.random.uniform(3.0, 9.0, self.n)
        for device in range(self.n):
            self.recorder.add(
                "trainings",
                device=device,
                round=round,
                start_s=start_s,
                end_s=ready_s[device],
                num_tokens=5120,
                flops=1e12,
                loss=1.0,
                density=0.1,
                energy_j=5.0 * (ready_s[device] - start_s),
            )
        self.recorder.extend(
            "controls",
            round=round,
            t_s=start_s,
            device=np.arange(self.n),
            density=0.5 / round + 0.01 * np.arange(self.n),
            weight=1.0 / self.n,
            queue_s=0.1 * (round - 1),
            delay_s=1.0 / round,
            measured_s=np.nan if round == 1 else 1.1 / (round - 1),
        )
        ends = [*ready_s]
        for kind, links in (("update", self.links), ("exchange", self.gateways)):
            if kind == "exchange" and round % 5:
                continue
            begins_s = dict.fromkeys(range(self.n), max(ends)) if kind == "exchange" else ready_s
            for src, dst in links:
                share = sum(1 for link in links if link[0] == src)
                end_s, on_air, arrived, outcome = self._send(
                    round, kind, src, dst, float(begins_s[src]), share
                )
                ends.append(end_s)
                sent, delivered, late = (
                    sent + on_air,
                    delivered + arrived,
                    late + (outcome == "expired"),
                )
        self.t_s = max(ends)
        self.recorder.add(
            "merges",
            round=round,
            t_s=self.t_s,
            device=0,
            src=1,
            sent_round=round,
            staleness=0,
            weight=0.5,
        )
        self.recorder.add(
            "rounds",
            round=round,
            start_s=start_s,
            t_s=self.t_s,
            num_devices=self.n,
            num_trainings=self.n,
            num_merged=1,
            staleness_mean=0.0,
            num_plans=self.plan + 1,
            num_clusters=int(self.cluster.max() + 1),
            loss_mean=2.0 * np.exp(-round / 8.0),
            bits_sent=sent,
            bits_delivered=delivered,
            energy_j=300.0,
            collision_rate=0.08,
            num_late=late,
            num_lost_packets=0,
        )

    def _send(self, round, kind, src, dst, start_s, share):
        segment, header = 8 * 1460.0, 8 * 40.0
        num = int(-(-BITS // segment))
        air = np.full(num, segment + header)
        air[-1] = BITS - (num - 1) * segment + header
        attempts = self.random.geometric(1 - LOSS, num)
        # Now and then a transfer loses three packets for good.
        num_lost = 3 if self.flow % 37 == 9 else 0
        missing = self.random.choice(num, num_lost, replace=False)
        attempts[missing] = 8
        steps_s = start_s + np.arange(0.0, DEADLINE_S + STEP_S, STEP_S)
        snr = POWER_W * self.world.gain(src, dst, steps_s) / (NOISE_W / share)
        rate = BAND_HZ / share * np.log2(1 + snr) / 20
        served = np.concatenate([[0.0], np.cumsum(rate[:-1]) * STEP_S])
        edges_s = np.interp(np.concatenate([[0.0], np.cumsum(attempts * air)]), served, steps_s)
        done = np.cumsum(attempts * air) <= served[-1]
        outcome = "expired" if not done.all() else "partial" if num_lost else "delivered"
        done[missing] = False
        # The packet that the deadline cuts was begun, so it has a row too.
        count = num if outcome != "expired" else int(done.sum()) + 1
        if self.packets:
            self.recorder.extend(
                "packets",
                flow=self.flow,
                packet=np.arange(count),
                start_s=edges_s[:count],
                end_s=np.minimum(edges_s[1 : count + 1], start_s + DEADLINE_S),
                num_attempts=attempts[:count],
                delivered=done[:count],
            )
        end_s = float(edges_s[-1]) if outcome != "expired" else start_s + DEADLINE_S
        on_air = float((attempts * air)[done].sum())
        self.recorder.add(
            "flows",
            flow=self.flow,
            round=round,
            kind=kind,
            src=src,
            dst=dst,
            start_s=start_s,
            end_s=end_s,
            payload_bits=BITS,
            num_packets=num,
            num_attempts=int(attempts[:count].sum()),
            num_lost=count - int(done.sum()),
            num_unsent=num - count,
            outcome=outcome,
            energy_j=POWER_W * (end_s - start_s),
            air_bits=on_air,
            delivered_bits=float(BITS * done.mean()),
        )
        self.flow += 1
        return end_s, on_air, float(BITS * done.mean()), outcome

    def _evaluate(self, round):
        for device in range(self.n):
            for number, task in enumerate(TASKS):
                own = number == device % len(TASKS)
                top = (0.92 if own else 0.62 - 0.03 * ((device - number) % 5)) - 0.04 * (number % 3)
                base = 0.25 + 0.05 * (number % 4)
                grown = base + self.gain * (top - base) * (
                    1 - np.exp(-round / (4.0 if own else 9.0))
                )
                accuracy = float(np.clip(grown + self.random.normal(0, 0.015), 0, 1))
                self.recorder.add(
                    "evaluations",
                    round=round,
                    t_s=self.t_s,
                    device=device,
                    task=task,
                    own=own,
                    accuracy=accuracy,
                    loss=1.0 - accuracy,
                )
            self.recorder.add("measures", **self._measured(round, device))
            self.recorder.add(
                "layers",
                round=round,
                t_s=self.t_s,
                device=device,
                layer="layers.0.q_proj",
                trained_a=0.0,
                trained_b=0.1 if round else 1.0,
                sent_a=0.0,
                sent_b=0.1 if round else np.nan,
            )

    def _measured(self, round, device):
        members = int(np.sum(self.cluster == self.cluster[device])) if round else 1
        paired = members > 1
        return {
            "round": round,
            "t_s": self.t_s,
            "device": device,
            "cluster": int(self.cluster[device]) if round else -1,
            "num_devices": members,
            "collision_predicted": 0.01 * (members - 1),
            "collision_rate": 0.011 * (members - 1),
            "product_collision": 0.02 * members if paired else np.nan,
            "orthogonality": 0.2 + 0.01 * device if paired else np.nan,
            "num_merged": members,
            "aggregation_gap": 0.3 + 0.01 * round if paired else np.nan,
            "covariance_term": 0.1 * round if paired else np.nan,
            "kept_cosine": 1.0 - 0.5 / round if round else np.nan,
            "kept_fraction": 1.0 + 0.2 / round if round else np.nan,
            "forgetting": 0.001 * round,
            "flops": 2e12,
            "bits_sent": 1e6,
        }
