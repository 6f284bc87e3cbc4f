"""What a person sees while a run goes on."""

import io
import math

from rich.console import Console

from cosim.progress import LiveProgress
from cosim.scenario.tree import Scenario
from cosim.sim.observer import RoundRecord


def record(loss: float) -> RoundRecord:
    return RoundRecord(
        round=3,
        t_s=12.5,
        start_s=10.0,
        loss_mean=loss,
        bits_sent=0.0,
        bits_delivered=0.0,
        energy_j=0.0,
        num_clusters=1,
        collision_rate=0.0,
        num_late=0,
        num_lost_packets=0,
        num_plans=1,
        num_devices=1,
        num_trainings=1,
        num_merged=0,
        staleness_mean=float("nan"),
    )


def shown(loss: float, width: int) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    with LiveProgress(Scenario(), console) as progress:
        progress.on_round(record(loss))
    return console.file.getvalue()


def test_what_does_not_exist_is_not_shown():
    assert "round 3  t = 12.5 s  loss 0.500  round took 2.50 s" in shown(0.5, 120)
    without = shown(math.nan, 120)
    assert "round 3  t = 12.5 s  round took 2.50 s" in without
    assert "nan" not in without


def test_a_narrow_terminal_cuts_the_line():
    text = shown(0.5, 50)
    assert "round 3  t = 12.5 s" in text
    assert text.count("\n") == 1
