"""One run: the loop that moves, plans, trains, sends, aggregates and records.

The eight steps of a round are numbered in `_rounds`, in the order in which they happen.
"""

import itertools
from collections.abc import Generator
from pathlib import Path

import numpy as np
import simpy

from cosim.learning.learner import LearningSetting
from cosim.radio.packets import segment_bytes
from cosim.results.profile import Profile
from cosim.results.run import Run
from cosim.results.run_folder import RunFolder
from cosim.results.tables import Recorder
from cosim.results.undisturbed import undisturbed
from cosim.rng import Draws
from cosim.scenario.tree import Scenario
from cosim.sim.observer import Observer
from cosim.sim.protocols.base import Protocol
from cosim.sim.simulation import Simulation
from cosim.units import Span
from cosim.world.build import build_world


def _rounds(sim: Simulation, protocol: Protocol) -> Generator[simpy.Event, object, None]:
    """The loop. World and channels move by themselves: they are functions of time."""
    sim.evaluate(round=0)
    round = 0
    while sim.alive.any() and not _is_over(sim.scenario.duration, round):
        round += 1
        sim.open_books(round)  # 1. the world at time t
        sim.replan(round)  # 2. plan, if a trigger fired
        yield from protocol.train_and_send(sim, round)  # 3. train  4. packets  5. over the air
        protocol.aggregate(sim, round)  # 6. aggregate inside clusters
        yield from protocol.exchange(sim, round)  # 7. clusters exchange
        sim.close_books()  # 8. record; evaluate
        if sim.evaluation_is_due(round):
            sim.evaluate(round)


def _is_over(duration: Span, round: int) -> bool:
    return duration.rounds is not None and round >= duration.rounds


def simulate(
    scenario: Scenario,
    out_dir: Path,
    *,
    command: str = "",
    observer: Observer | None = None,
    profile: Profile | None = None,
    check: bool = False,
    force: bool = False,
) -> Run:
    """Run a scenario and return its run folder, opened.

    Args:
        scenario: what to run.
        out_dir: the folder that run folders are made in.
        command: what the user typed, for the manifest.
        observer: sees the run go by.
        profile: takes the wall time of each part.
        check: assert the invariants of the network while running; slower.
        force: run again even if there is a finished run of this scenario.

    Raises:
        cosim.results.run_folder.RunExists: this scenario has a finished run in `out_dir`.
        LearningError: the model or its data cannot be used, or a loss is not finite.
        KeyboardInterrupt: the user stopped it. In these two cases the folder holds the tables up
            to that instant, and its manifest says what happened.
    """
    profile = profile or Profile()
    with RunFolder.create(out_dir, scenario, command=command, force=force) as folder:
        recorder = Recorder(folder.path)
        try:
            with profile.part("set-up"):
                sim = _build(scenario, profile, recorder, observer or Observer(), check)
            with profile.part("event loop, network"):
                _run_events(sim)
            with profile.part("recording"):
                sim.learner.save(folder.path / "adapters")
        finally:
            with undisturbed():
                recorder.close()
    return Run(folder.path)


def _build(
    scenario: Scenario, profile: Profile, recorder: Recorder, observer: Observer, check: bool
) -> Simulation:
    transport = scenario.transport
    setting = LearningSetting(
        learning=scenario.learning,
        num_devices=scenario.num_devices,
        draws=Draws(scenario.seed).child("learning"),
        data_root=Path(scenario.data_root),
        segment_bytes=segment_bytes(transport.mtu_bytes, transport.header_bytes),
        test_examples=scenario.evaluate.examples,
    )
    sim = Simulation(
        scenario,
        profile.watch("channel", build_world(scenario)),
        profile.watch("learning", scenario.learning.pool.learner(setting)),
        profile.watch("recording", recorder),
        profile.watch("progress", observer),
        check=check,
    )
    sim.replanner = profile.watch("planning", sim.replanner)
    return sim


def _run_events(sim: Simulation) -> None:
    loop = sim.env.process(_rounds(sim, sim.scenario.protocol))
    sim.env.process(sim.replanner.watch())
    if sim.scenario.record.positions:
        sim.env.process(_record_positions(sim, sim.scenario.record.position_interval_s))
    end_s = sim.scenario.duration.time_s
    if end_s is None:
        sim.env.run(until=loop)
    else:
        sim.env.run(until=sim.env.timeout(end_s) | loop)
    sim.network.finish()
    if sim.books.open:  # a round that the end of the run has cut off
        sim.close_books()
    if not sim.is_evaluated:
        sim.evaluate(sim.books.round)


def _record_positions(sim: Simulation, interval_s: float) -> Generator[simpy.Event, object, None]:
    devices = np.arange(len(sim.groups))
    for sample in itertools.count(1):
        positions_m = sim.world.positions_m(sim.now_s)
        sim.recorder.extend(
            "positions",
            t_s=np.full(len(devices), sim.now_s),
            device=devices,
            x_m=positions_m[:, 0],
            y_m=positions_m[:, 1],
        )
        yield sim.env.timeout(sample * interval_s - sim.now_s)
