"""Experiments along a key: values, lines, and what goes in step."""

import pytest

from cosim.results.along import along, only_key, texts_by
from cosim.results.figure import FigureError
from cosim.scenario.tree import Scenario


def scenario(method="lora", count=8, **keys):
    base = {
        "learning": {"method": {"kind": method} if isinstance(method, str) else method},
        "devices": ({"count": count},),
    }
    return Scenario.model_validate(base | keys)


def test_a_grid_has_a_line_for_each_of_the_other_key():
    counts = (20, 5, 10)
    points = [scenario(method, count) for method in ("lora", "ffa_lora") for count in counts]
    found = along(points, "devices.0.count")
    assert [line.label for line in found.lines] == ["method=lora", "method=ffa_lora"]
    assert [line.places for line in found.lines] == [(1, 2, 0), (4, 5, 3)]  # in order of numbers
    assert [found.values[place].number for place in found.lines[1].places] == [5, 10, 20]
    assert found.is_numeric
    assert found.dimension is None


def test_keys_in_step_with_the_axis_make_no_lines():
    points = [
        scenario(count=count, area={"kind": "disc", "radius": radius})
        for count, radius in ((5, "100 m"), (10, "140 m"), (20, "200 m"))
    ]
    for key in ("devices.0.count", "area.radius"):
        found = along(points, key)
        assert [(line.label, line.places) for line in found.lines] == [("", (0, 1, 2))]
    assert [value.text for value in found.values] == ["100 m", "140 m", "200 m"]
    assert found.dimension.unit == "m"


def test_a_key_that_varies_with_both_needs_by():
    limits = {("lora", 5): 1.0, ("lora", 10): 0.9, ("ffa_lora", 5): 0.1, ("ffa_lora", 10): 0.2}
    points = [
        scenario(method, count, topology={"planner": {"kind": "agnes", "max_collision": limit}})
        for (method, count), limit in limits.items()
    ]
    assert len(along(points, "devices.0.count").lines) == 4
    found = along(points, "devices.0.count", by=("learning.method",))
    assert [(line.label, line.places) for line in found.lines] == [
        ("lora", (0, 1)),
        ("ffa_lora", (2, 3)),
    ]
    with pytest.raises(FigureError, match=r"got two, which differ in .*planner.max_collision"):
        along([*points, scenario("lora", 5)], "devices.0.count", by=("learning.method",))


def test_lines_by_a_number_say_whose_it_is():
    points = [
        scenario({"kind": "lora", "rank": rank}, count) for rank in (4, 8) for count in (5, 10)
    ]
    found = along(points, "devices.0.count", by=("learning.method.rank",))
    assert [line.label for line in found.lines] == ["rank=4", "rank=8"]


def test_a_range_is_its_middle_and_one_value_is_none():
    def walking(low, high):
        speed = {"kind": "random_waypoint", "speed": (f"{low} m/s", f"{high} m/s")}
        return Scenario.model_validate({"devices": ({"mobility": speed},)})

    found = along([walking(2, 6), walking(1, 1)], "devices.0.mobility.speed")
    assert [(each.number, each.is_range) for each in found.values] == [(4.0, True), (1.0, False)]
    assert found.values[0].text == "[2, 6] m/s"
    assert found.lines[0].places == (1, 0)
    assert found.dimension.unit == "m/s"


def test_kinds_are_names_with_the_keys_in_which_they_differ():
    def split(kind, **keys):
        return scenario(learning={"tasks": {"partition": {"kind": kind} | keys}})

    points = [split("shards", per_device=2), split("iid"), split("shards", per_device=4)]
    texts = texts_by(points, ("learning.tasks.partition",))
    assert texts == ["shards, per_device=2", "iid", "shards, per_device=4"]
    found = along(points, "learning.tasks.partition")
    assert not found.is_numeric
    assert found.lines[0].places == (0, 1, 2)  # as they come
    assert only_key(points) == "learning.tasks.partition"


def test_what_is_not_there_is_said():
    points = [scenario("lora", 5), scenario("ffa_lora", 5)]
    with pytest.raises(FigureError, match=r"'devices.0.number'; there are .*devices.0.count"):
        along(points, "devices.0.number")
    with pytest.raises(FigureError, match=r"differ in devices.0.count, got 5 in all; .*method"):
        along(points, "devices.0.count")
    with pytest.raises(FigureError, match=r"differ in learning\.method, devices\.0\.count"):
        only_key([*points, scenario("lora", 6)])


def test_lines_by_several_keys_are_told_apart():
    found = [
        Scenario.model_validate(
            {
                "devices": ({"group": "a", "count": a}, {"group": "b", "count": b}),
                "record": {"packets": a == 2},
            }
        )
        for a, b in ((2, 3), (3, 2))
    ]
    assert texts_by(found, ("devices.0.count", "devices.1.count")) == [
        "devices.0.count=2, devices.1.count=3",
        "devices.0.count=3, devices.1.count=2",
    ]
    assert texts_by(found, ("record.packets", "devices.0.count")) == [
        "packets=true, count=2",
        "packets=false, count=3",
    ]


def test_what_the_scenario_does_not_tell_is_said():
    one, other = scenario("lora", 2), scenario("lora", 4)
    with pytest.raises(FigureError, match="got two of the same scenario, run with other files"):
        along([one, other, one], "devices.0.count")
    named = other.model_copy(update={"name": "another"})
    with pytest.raises(FigureError, match=r"got two, which differ in name; name it as `by`, or "):
        along([one, other, named], "devices.0.count")
