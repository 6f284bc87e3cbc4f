"""One run: the loop that moves, plans, trains, sends, aggregates and records.

The eight steps of a round are numbered in `_rounds`, in the order in which they happen.
"""

import gc
import itertools
import math
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import simpy

from cosim.learning.errors import InputError, LearningError
from cosim.learning.learner import LearningSetting
from cosim.radio.packets import segment_bytes
from cosim.results.profile import Profile
from cosim.results.run import Run
from cosim.results.run_folder import RunFolder
from cosim.results.tables import Recorder
from cosim.results.undisturbed import undisturbed
from cosim.rng import Draws
from cosim.scenario.tree import Scenario
from cosim.sim.background import start_background
from cosim.sim.controlling import CONTROL_EVENT, rank_chooser
from cosim.sim.errors import StandstillError
from cosim.sim.observer import Observer
from cosim.sim.positions import recorded_positions
from cosim.sim.protocols.base import Protocol
from cosim.sim.simulation import Simulation
from cosim.units import Span
from cosim.world.build import build_world

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
_MOST_ROUNDS_AT_ONCE = 1000  # after which a run of some duration will not get there


def _rounds(sim: Simulation, protocol: Protocol) -> Generator[simpy.Event, object, None]:
    """The loop. World and channels move by themselves: they are functions of time."""
    with _bad_input():  # examples that the model cannot be asked
        sim.evaluate(0, protocol.judged(sim))
    last_s, num_still = -math.inf, 0
    for round in itertools.count(1):
        if _is_over(sim.scenario.duration, round - 1, sim.now_s):
            return
        yield from protocol.until_next_round(sim)
        num_still = num_still + 1 if sim.now_s == last_s else 0
        last_s = sim.now_s
        if num_still > _MOST_ROUNDS_AT_ONCE and sim.scenario.duration.rounds is None:
            raise StandstillError(
                f"{num_still} rounds in a row took no time, at t = {last_s:.6g} s: expected a "
                "training that takes some, or a transfer that is waited for, got neither; give "
                "devices a compute time, or a synchronous protocol a protocol.round_interval, or "
                "say the duration in rounds"
            )
        while not sim.alive.any() and sim.next_entry_s < math.inf:
            yield sim.env.timeout(sim.next_entry_s - sim.now_s)
        if not sim.alive.any() or _is_over(sim.scenario.duration, round - 1, sim.now_s):
            return
        sim.open_round(round)  # 1. the world at time t
        sim.replan(round)  # 2. plan, if a trigger fired; control
        protocol.control(sim, round)
        yield from protocol.train_and_send(sim, round)  # 3. train  4. packets  5. over the air
        protocol.aggregate(sim, round)  # 6. aggregate inside clusters
        yield from protocol.exchange(sim, round)  # 7. clusters exchange
        sim.close_round()  # 8. record; evaluate
        if sim.evaluation_is_due(round):
            sim.evaluate(round, protocol.judged(sim))


def _is_over(duration: Span, rounds: int, now_s: float) -> bool:
    """Return whether so many rounds, or so much time, is all that there is to be."""
    if duration.rounds is not None:
        return rounds >= duration.rounds
    assert duration.time_s is not None
    return now_s >= duration.time_s


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
        InputError: the model or its data cannot be used, as far as can be told before the first
            event; no folder is left.
        LearningError: a loss is not finite, or the memory is used up.
        KeyboardInterrupt: the user stopped it. In these two cases the folder holds the tables up
            to that instant, and its manifest says what happened.
    """
    with RunFolder.create(out_dir, scenario, command=command, force=force) as folder:
        recorder = Recorder(folder.path)
        try:
            with _part(profile, "set-up"), _bad_input():
                sim = _build(scenario, profile, recorder, observer or Observer(), check)
            with _part(profile, "event loop, network"), _rare_collections():
                _run_events(sim)
            with _part(profile, "recording"):
                sim.learner.save(folder.path / "adapters")
        finally:
            with undisturbed():
                recorder.close()
    return Run(folder.path)


@contextmanager
def _bad_input() -> Iterator[None]:
    """Tell what a user gave that cannot be used from what fails when a run goes on."""
    try:
        yield
    except LearningError as error:
        raise InputError(str(error)) from error


def _part(profile: Profile | None, name: str) -> AbstractContextManager[None]:
    return nullcontext() if profile is None else profile.part(name)


def _build(
    scenario: Scenario, profile: Profile | None, recorder: Recorder, observer: Observer, check: bool
) -> Simulation:
    transport, world = scenario.transport, build_world(scenario)

    def tell(detail: str) -> None:
        recorder.add("events", t_s=0.0, kind=CONTROL_EVENT, device=-1, detail=detail)

    setting = LearningSetting(
        learning=scenario.learning,
        num_devices=scenario.num_devices,
        local=scenario.local_trainings(),
        draws=Draws(scenario.seed).child("learning"),
        data_root=Path(scenario.data_root),
        segment_bytes=segment_bytes(transport.mtu_bytes, transport.header_bytes),
        test_examples=scenario.evaluate.examples,
        servers=scenario.servers,
        sends_movements=scenario.protocol.sends_movements,
        choose_rank=rank_chooser(scenario, world, tell),
    )
    learner = scenario.learning.pool.learner(setting)
    if profile is None:
        return Simulation(scenario, world, learner, recorder, observer, check=check)
    sim = Simulation(
        scenario,
        profile.watch("channel", world),
        profile.watch("learning", learner),
        profile.watch("recording", recorder),
        profile.watch("progress", observer),
        check=check,
    )
    sim.replanner = profile.watch("planning", sim.replanner)
    sim.controlling = profile.watch("planning", sim.controlling)
    return sim


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for cycles of garbage less often than by default.

    An event loop makes millions of small objects, holds hundreds of thousands of them at a time and
    leaves hardly a cycle: with the default of 700 it would spend a sixth of a run on looking.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _run_events(sim: Simulation) -> None:
    protocol: Protocol = sim.scenario.protocol.model_copy(deep=True)
    loop = sim.env.process(_rounds(sim, protocol))
    sim.env.process(sim.replanner.watch())
    start_background(sim)
    record = sim.scenario.record
    with recorded_positions(sim, record.position_interval_s) if record.positions else nullcontext():
        end_s = sim.scenario.duration.time_s
        sim.env.run(until=loop if end_s is None else sim.env.timeout(end_s) | loop)
    sim.network.finish()
    sim.books.energy(sim.energy, sim.scenario.num_devices)
    if sim.books.is_open:  # a round that the end of the run has cut off
        sim.close_round()
    if not sim.books.is_evaluated:
        sim.evaluate(sim.books.round, protocol.judged(sim))
