"""The trace of scenarios/sumo_trace.yaml is what this makes of two streets and a traffic light."""

import numpy as np
import pytest
from trace_helpers import members_of, presences_s

from cosim.plugin import scenarios_dir
from cosim.world.mobility.sumo_fcd import SumoFcd

FOLDER = scenarios_dir() / "traces"
FILE = "crossing.fcd.xml"
STREET_M, LANE_M, STOP_M = 400.0, 2.0, 12.0  # the light is in the middle, the stop line before it
RED_S = 30.0  # east-west has green in the first half of each minute, north-south in the second
AHEAD = {0: (1, 0), 1: (0, 1), 2: (-1, 0), 3: (0, -1)}  # east, north, west, south


def way_m(t_s: float, enter_s: float, speed_mps: float, red_first: bool) -> float:
    """Return how far a vehicle has come: at its speed, but for a red light at the stop line."""
    line_m = STREET_M / 2 - STOP_M
    arrival_s = enter_s + line_m / speed_mps
    into_s = arrival_s % (2 * RED_S)
    is_red = (into_s < RED_S) == red_first
    wait_s = RED_S - into_s % RED_S if is_red else 0.0
    if t_s <= arrival_s:
        return (t_s - enter_s) * speed_mps
    return line_m + max(0.0, t_s - arrival_s - wait_s) * speed_mps


def crossing() -> str:
    """Return SUMO floating car data of 12 vehicles, one more every 6 s, for 120 s."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<fcd-export>"]
    last_m = [0.0] * 12
    for t_s in range(121):
        lines.append(f'<timestep time="{t_s:.2f}">')
        for number in range(12):
            (ahead_x, ahead_y), speed_mps = AHEAD[number % 4], 10.0 + number % 3
            if t_s < 6 * number:
                continue
            s_m = way_m(t_s, 6.0 * number, speed_mps, red_first=number % 2 == 1)
            if s_m > STREET_M:
                continue
            x = STREET_M / 2 + ahead_x * (s_m - STREET_M / 2) + ahead_y * LANE_M
            y = STREET_M / 2 + ahead_y * (s_m - STREET_M / 2) - ahead_x * LANE_M
            lines.append(
                f'<vehicle id="car{number}" x="{x:.2f}" y="{y:.2f}" '
                f'speed="{s_m - last_m[number]:.2f}"/>'
            )
            last_m[number] = s_m
        lines.append("</timestep>")
    return "\n".join([*lines, "</fcd-export>", ""])


def test_the_shipped_file_can_be_made_again():
    assert (FOLDER / FILE).read_text(encoding="utf-8") == crossing()
    assert len(crossing()) < 50_000


def test_its_vehicles_come_one_after_the_other_and_stop_at_the_light():
    trace = SumoFcd(file=FILE)
    presence_s = presences_s(trace, FOLDER)
    assert [enter_s for enter_s, _ in presence_s] == [6.0 * number for number in range(12)]
    assert all(leave_s - enter_s >= 33.0 for enter_s, leave_s in presence_s)
    speeds_mps = [trace.max_speed_mps(each) for each in members_of(trace, FOLDER)]
    assert speeds_mps == pytest.approx(10.0 + np.arange(12) % 3, abs=0.02)
