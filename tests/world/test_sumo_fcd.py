"""SUMO floating car data, and what all traces share: the cut, merging, memory, one reading."""

import gzip
import tracemalloc

import numpy as np
import pytest
from trace_helpers import (
    by_entering,
    centre_m,
    interpolated_m,
    members_of,
    paths_of_trace,
    positions_m,
    presences_s,
    random_tracks,
)

from cosim.rng import Draws
from cosim.world.area.disc import Disc
from cosim.world.mobility import _spool, _trace
from cosim.world.mobility._source import Source, TraceError
from cosim.world.mobility.sumo_fcd import SumoFcd


def fcd(tracks, element=lambda name: "vehicle", extra=""):
    """Return a file of tracks, with speeds as SUMO writes them."""
    times_s = sorted({t for txy in tracks.values() for t in txy[:, 0]})
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<fcd-export>"]
    for t in times_s:
        lines.append(f'    <timestep time="{t:.2f}">')
        for name, txy in tracks.items():
            for _, x, y in txy[txy[:, 0] == t]:
                lines.append(
                    f'        <{element(name)} id="{name}" x="{x!r}" y="{y!r}" angle="0" {extra}/>'
                )
        lines.append("    </timestep>")
    return "\n".join([*lines, "</fcd-export>", ""]).replace("np.float64(", "").replace(")", "")


@pytest.fixture
def tracks():
    return random_tracks()


@pytest.fixture
def folder(tmp_path, tracks):
    (tmp_path / "a.xml").write_text(fcd(tracks), encoding="utf-8")
    return tmp_path


EXACT = SumoFcd(file="a.xml", tolerance_m=0.0, start_s=0.0)


def test_devices_follow_the_vehicles_in_order_of_entering(folder, tracks):
    names = by_entering(tracks)
    t_s = np.linspace(0.0, 70.0, 997)
    found_m = positions_m(EXACT, folder, t_s)
    assert found_m.shape == (len(names), t_s.size, 2)
    expected_m = np.stack([interpolated_m(tracks[name], t_s) for name in names]) - centre_m(tracks)
    np.testing.assert_allclose(found_m, expected_m, rtol=0, atol=1e-9)


def test_devices_are_present_from_the_first_sample_to_the_last(folder, tracks):
    expected = [(tracks[name][0, 0], tracks[name][-1, 0]) for name in by_entering(tracks)]
    assert presences_s(EXACT, folder) == expected


def test_time_zero_is_the_first_timestep_unless_said(tmp_path):
    late = {"a": np.array([[28800.0, 0, 0], [28801.0, 3.0, 4.0]])}
    (tmp_path / "a.xml").write_text(fcd(late), encoding="utf-8")
    assert presences_s(SumoFcd(file="a.xml"), tmp_path) == [(0.0, 1.0)]
    assert presences_s(SumoFcd(file="a.xml", start_s=28790.0), tmp_path) == [(10.0, 11.0)]


def test_gzip_is_told_by_its_first_bytes(folder, tracks):
    packed = gzip.compress((folder / "a.xml").read_bytes())
    (folder / "packed.xml.gz").write_bytes(packed)
    (folder / "packed.xml").write_bytes(packed)
    t_s = np.linspace(0.0, 60.0, 50)
    expected_m = positions_m(EXACT, folder, t_s)
    for name in ("packed.xml.gz", "packed.xml"):
        found_m = positions_m(EXACT.model_copy(update={"file": name}), folder, t_s)
        assert (found_m == expected_m).all()


def test_speed_is_bounded_by_what_it_says_and_no_less(folder, tracks):
    paths = paths_of_trace(EXACT, folder)
    for device, each in enumerate(members_of(EXACT, folder)):
        txy = tracks[by_entering(tracks)[device]]
        step = np.diff(txy, axis=0)
        fastest_mps = (np.hypot(step[:, 1], step[:, 2]) / step[:, 0]).max()
        slopes = paths.legs(device, 100.0).slope[:, 2]
        assert slopes.max() <= EXACT.max_speed_mps(each) == pytest.approx(fastest_mps, rel=1e-9)


def test_a_path_is_the_same_whenever_and_however_far_it_is_read(folder):
    each = members_of(EXACT, folder)[2]
    first, again = (list(EXACT.path(Draws(seed), each)) for seed in (1, 2))
    half = EXACT.path(Draws(1), each)
    next(half)
    later = list(EXACT.path(Draws(1), each))
    for other in (again, later):
        for one, two in zip(first, other, strict=True):
            assert (one.t_s == two.t_s).all()
            assert (one.xy_m == two.xy_m).all()


def test_start_and_duration_cut_legs_where_they_are(folder, tracks):
    cut = EXACT.model_copy(update={"start_s": 12.25, "duration_s": 20.5})
    first_s, last_s = 12.25, 32.75
    part = {
        name: (max(txy[0, 0], first_s) - first_s, min(txy[-1, 0], last_s) - first_s)
        for name, txy in tracks.items()
        if min(txy[-1, 0], last_s) > max(txy[0, 0], first_s)
    }
    names = sorted(part, key=lambda name: part[name][0])
    assert len(names) > 1
    assert presences_s(cut, folder) == [part[name] for name in names]
    for device, name in enumerate(names):
        t_s = np.linspace(*part[name], 101)
        expected_m = interpolated_m(tracks[name], t_s + first_s) - centre_m(tracks)
        np.testing.assert_allclose(
            positions_m(cut, folder, t_s)[device], expected_m, rtol=0, atol=1e-9
        )


def first_stay(txy, region_m, step_s=1e-3):
    """The oracle: when a finely sampled path is first in a region, and then first out of it."""
    x0, y0, x1, y1 = region_m
    t_s = np.arange(txy[0, 0], txy[-1, 0] + step_s / 2, step_s)
    x, y = interpolated_m(txy, t_s).T
    inside = (x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)
    if not inside.any():
        return None
    enter = int(inside.argmax())
    after = ~inside[enter:]
    leave = enter + int(after.argmax()) if after.any() else t_s.size - 1
    return t_s[enter], t_s[leave]


def test_a_region_cuts_from_entering_to_first_leaving(tmp_path):
    """40 walks, most of which leave the region more than once; against sampling at 1 ms."""
    tracks = random_tracks(seed=3, count=40)
    (tmp_path / "a.xml").write_text(fcd(tracks), encoding="utf-8")
    region_m = (-150.0, -100.0, 200.0, 140.0)
    expected = {name: first_stay(txy, region_m) for name, txy in tracks.items()}
    names = sorted(
        (name for name, stay in expected.items() if stay), key=lambda name: expected[name][0]
    )
    assert 5 < len(names) < 35
    cut = EXACT.model_copy(update={"region_m": region_m})
    found = presences_s(cut, tmp_path)
    np.testing.assert_allclose(found, [expected[name] for name in names], rtol=0, atol=2e-3)
    for device, name in enumerate(names):
        t_s = np.linspace(*found[device], 101)
        expected_m = interpolated_m(tracks[name], t_s) - (25.0, 20.0)  # the region's centre
        found_m = positions_m(cut, tmp_path, t_s)[device]
        np.testing.assert_allclose(found_m, expected_m, rtol=0, atol=1e-9)
        assert (np.abs(found_m) <= np.array([175.0, 120.0]) + 1e-9).all()
        later_m = positions_m(cut, tmp_path, found[device][1] + np.array([0.0, 1.0, 5.0, 1e3]))
        assert (later_m[device] == later_m[device, 0]).all()


STRAIGHT = {
    "crosses": np.array([[0.0, -30.0, 0.0], [6.0, 30.0, 0.0]]),  # in at 2 s, out at 4 s
    "passes": np.array([[0.0, -30.0, 11.0], [6.0, 30.0, 11.0]]),
    "touches": np.array([[0.0, -20.0, 0.0], [3.0, 10.0, 30.0]]),  # a corner, at an instant
    "comes": np.array([[0.0, 0.0, -20.0], [4.0, 0.0, 0.0], [8.0, 0.0, 0.0]]),  # in at 2 s
    "starts on it": np.array([[0.0, 10.0, 0.0], [5.0, 0.0, 0.0], [9.0, 40.0, 0.0]]),
}


def test_a_region_in_closed_form(tmp_path):
    (tmp_path / "a.xml").write_text(fcd(STRAIGHT), encoding="utf-8")
    cut = EXACT.model_copy(update={"region_m": (-10.0, -10.0, 10.0, 10.0)})
    assert presences_s(cut, tmp_path) == [(0.0, 6.0), (2.0, 4.0), (2.0, 8.0)]
    stay = cut.model_copy(update={"min_stay_s": 2.5})
    assert presences_s(stay, tmp_path) == [(0.0, 6.0), (2.0, 8.0)]


def test_a_device_stands_at_its_first_point_before_and_at_its_last_after(tmp_path):
    (tmp_path / "a.xml").write_text(fcd(STRAIGHT), encoding="utf-8")
    cut = EXACT.model_copy(update={"region_m": (-10.0, -10.0, 10.0, 10.0)})
    found_m = positions_m(cut, tmp_path, [0.0, 1.9, 3.0, 4.1, 1e6])
    assert found_m[1].tolist() == [[-10, 0], [-10, 0], [0, 0], [10, 0], [10, 0]]


def test_an_origin_can_be_named(tmp_path):
    (tmp_path / "a.xml").write_text(fcd(STRAIGHT), encoding="utf-8")
    named = EXACT.model_copy(update={"origin_m": (5.0, -2.0)})
    assert positions_m(named, tmp_path, [0.0])[0, 0].tolist() == [-35.0, 2.0]


def test_groups_of_one_file_share_its_coordinates(tmp_path, tracks):
    element = {"v0": "person", "v1": "container"}
    text = fcd(tracks, lambda name: element.get(name, "vehicle"))
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    t_s = np.linspace(0.0, 60.0, 100)
    for elements, names in (
        (("person",), ["v0"]),
        (("vehicle",), [name for name in by_entering(tracks) if name not in element]),
        (("person", "vehicle", "container"), by_entering(tracks)),
    ):
        group = EXACT.model_copy(update={"elements": elements})
        expected_m = [interpolated_m(tracks[name], t_s) - centre_m(tracks) for name in names]
        np.testing.assert_allclose(positions_m(group, tmp_path, t_s), expected_m, rtol=0, atol=1e-9)


def test_a_vehicle_and_a_person_may_have_the_same_name(tmp_path):
    tracks = {"crosses": STRAIGHT["crosses"], "other": STRAIGHT["passes"]}
    text = fcd(tracks, lambda name: "person" if name == "other" else "vehicle")
    (tmp_path / "a.xml").write_text(text.replace("other", "crosses"), encoding="utf-8")
    both = EXACT.model_copy(update={"elements": ("vehicle", "person")})
    assert positions_m(both, tmp_path, [3.0])[:, 0].tolist() == [[0.0, -5.5], [0.0, 5.5]]


def test_only_some_types(tmp_path):
    kinds = {"crosses": "bus", "passes": "car", "comes": "bus"}
    text = fcd({name: STRAIGHT[name] for name in kinds})
    for name, kind in kinds.items():
        text = text.replace(f'id="{name}"', f'id="{name}" type="{kind}"')
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    buses = EXACT.model_copy(update={"types": ("bus",)})
    assert buses.num_members(tmp_path) == 2
    trams = EXACT.model_copy(update={"types": ("buss",)})
    with pytest.raises(TraceError, match=r"got types bus, car; did you mean 'bus'\?"):
        trams.num_members(tmp_path)


def meanders(count=8, steps=400):
    """Return tracks whose velocity changes a little from second to second."""
    generator = np.random.default_rng(2)
    change = generator.normal(0.0, 0.03, (count, steps, 2))
    xy_m = np.round(np.cumsum(np.cumsum(change, axis=1), axis=1), 2)
    t_s = np.arange(float(steps))
    return {f"v{number}": np.column_stack([t_s, each]) for number, each in enumerate(xy_m)}


@pytest.mark.parametrize(("tolerance_m", "most_knots"), [(0.0, 400), (0.01, 390), (0.5, 100)])
def test_merging_stays_within_the_tolerance(tmp_path, tolerance_m, most_knots):
    tracks = meanders()
    (tmp_path / "a.xml").write_text(fcd(tracks), encoding="utf-8")
    merged = EXACT.model_copy(update={"tolerance_m": tolerance_m})
    t_s = np.linspace(0.0, 399.0, 4001)
    expected_m = [interpolated_m(txy, t_s) - centre_m(tracks) for txy in tracks.values()]
    error_m = np.abs(positions_m(merged, tmp_path, t_s) - expected_m)
    assert error_m.max() <= tolerance_m + 1e-9
    for each in members_of(merged, tmp_path):
        knots = sum(stretch.t_s.size for stretch in merged.path(Draws(1), each))
        assert knots <= most_knots
        assert merged.max_speed_mps(each) <= EXACT.max_speed_mps(each) * (1 + 1e-12)


def test_merging_leaves_one_knot_for_each_change_of_velocity(tmp_path):
    """An hour at 13.37 m/s with two decimals, a stop of an hour, and on at another speed."""
    t_s = np.arange(0.0, 10801.0)
    x_m = np.interp(t_s, [0, 3600, 7200, 10800], [0, 48132.0, 48132.0, 50000.0])
    track = np.column_stack([t_s, np.round(x_m, 2), np.zeros(t_s.size)])
    (tmp_path / "a.xml").write_text(fcd({"a": track}), encoding="utf-8")
    (each,) = members_of(SumoFcd(file="a.xml"), tmp_path, area=Disc(radius_m=50e3))
    knots = list(SumoFcd(file="a.xml").path(Draws(1), each))
    assert sum(stretch.t_s.size for stretch in knots) <= 8
    error_m = interpolated_m(track, t_s)[:, 0] - np.interp(
        t_s, np.concatenate([k.t_s for k in knots]), np.concatenate([k.xy_m for k in knots])[:, 0]
    )
    assert np.ptp(error_m) <= 0.02 + 1e-9  # 1 cm on either side of the origin's shift


def test_a_file_is_read_once_for_all_devices_and_again_when_it_has_changed(
    folder, tracks, monkeypatch
):
    opened = []

    class Counted(Source):
        def __init__(self, path):
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr(_trace, "Source", Counted)
    mobility = EXACT.model_copy(update={"min_stay_s": 0.123})  # its recording is nobody else's
    for each in members_of(mobility, folder):
        mobility.max_speed_mps(each)
        list(mobility.path(Draws(1), each))
    assert len(opened) == 1
    one = {"v0": np.concatenate([tracks["v0"], [[99.0, 0.0, 0.0]]])}
    (folder / "a.xml").write_text(fcd(one), encoding="utf-8")
    assert mobility.model_copy(update={"max_gap_s": 100.0}).num_members(folder) == 1


def zigzag(steps, vehicles=5):
    """Write a file whose legs cannot be merged."""
    lines = ["<fcd-export>"]
    for t in range(steps):
        lines.append(f'<timestep time="{t}">')
        lines += [f'<vehicle id="{v}" x="{400 + 9 * (t % 2)}" y="{v}"/>' for v in range(vehicles)]
        lines.append("</timestep>")
    return "\n".join([*lines, "</fcd-export>"])


def test_memory_does_not_grow_with_the_length_of_the_trace(tmp_path, monkeypatch):
    """Read and followed to the end; 20,000 knots of 24 bytes would be 480 kB, 5,000 are 120 kB."""
    monkeypatch.setattr(_spool, "_MOST_WAITING", 500)
    monkeypatch.setattr(_spool, "_STRETCH", 100)
    peaks = []
    for steps in (200, 1000, 4000):  # the first warms up what is imported and cached on the way
        name = f"{steps}.xml"
        (tmp_path / name).write_text(zigzag(steps), encoding="utf-8")
        mobility = SumoFcd(file=name)
        tracemalloc.start()
        members = members_of(mobility, tmp_path)
        for each in members:
            assert mobility.max_speed_mps(each) == 9.0
            assert sum(knots.t_s.size for knots in mobility.path(Draws(1), each)) == steps
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 30e3


def test_blocks_come_back_in_order_from_a_full_spool(tmp_path, folder, tracks, monkeypatch):
    t_s = np.linspace(0.0, 60.0, 300)
    expected_m = positions_m(EXACT, folder, t_s)
    expected_mps = [EXACT.max_speed_mps(each) for each in members_of(EXACT, folder)]
    monkeypatch.setattr(_spool, "_MOST_WAITING", 3)
    monkeypatch.setattr(_spool, "_STRETCH", 1)
    again = EXACT.model_copy(update={"min_stay_s": 1e-6})
    assert (positions_m(again, folder, t_s) == expected_m).all()
    assert [again.max_speed_mps(each) for each in members_of(again, folder)] == expected_mps


STEP = '<timestep time="{t}"><vehicle id="a" x="{x}" y="0"/></timestep>'
ONE, TWO = STEP.format(t=0, x=500), STEP.format(t=1, x=510)
WRONG = {
    "truncated": (f"<fcd-export>\n{ONE}\n<timestep ti", r"a.xml:3: expected well-formed XML"),
    "another file": ("<routes>\n</routes>", r"a.xml:1: .*<fcd-export>, got a file of <routes>"),
    "no XML": ("t,id,x,y\n0,a,1,2\n", r"a.xml:1: expected well-formed XML"),
    "no file at all": ("", r"a.xml.*expected well-formed XML.*no element found"),
    "no timestep": ("<fcd-export/>", r"a.xml:1: expected a <timestep>, got none"),
    "no vehicle": (
        '<fcd-export>\n<timestep time="0"/>\n</fcd-export>',
        r"a.xml: expected positions of vehicles, got none",
    ),
    "one sample": (
        f"<fcd-export>{ONE}</fcd-export>",
        r"got none; in the file, vehicles are there from 0 s to 0 s, x 500 to 500 m, y 0 to 0 m",
    ),
    "no time": ("<fcd-export>\n<timestep/></fcd-export>", r"a.xml:2: .*with time, got none"),
    "a clock": (
        '<fcd-export>\n<timestep time="0:01:00"/></fcd-export>',
        r"a.xml:2: expected a number for time in seconds, got '0:01:00'",
    ),
    "time goes back": (
        f"<fcd-export>\n{TWO}\n{ONE}</fcd-export>",
        r"a.xml:3: expected times that increase from timestep to timestep, got 0 s after 1 s",
    ),
    "a time twice": (f"<fcd-export>\n{ONE}\n{ONE}</fcd-export>", r"a.xml:3: .*got 0 s after 0 s"),
    "NaN": (
        f"<fcd-export>{ONE}\n{STEP.format(t=1, x='nan')}</fcd-export>",
        r"a.xml:2: expected finite numbers for vehicle 'a', got t = 1.0, x = nan, y = 0.0",
    ),
    "infinity": (f"<fcd-export>\n{STEP.format(t=1, x='inf')}</fcd-export>", r"a.xml:2: .*x = inf"),
    "NaN time": (f"<fcd-export>\n{STEP.format(t='nan', x=1)}</fcd-export>", r"a.xml:2: .*got nan"),
    "no number": (
        f"<fcd-export>{ONE}\n{STEP.format(t=1, x='1,5')}</fcd-export>",
        r"a.xml:2: expected a number for x, got '1,5'",
    ),
    "no x": (
        '<fcd-export><timestep time="0">\n<vehicle id="a" y="0"/></timestep></fcd-export>',
        r"a.xml:2: expected <vehicle> with id, x and y, got id, y",
    ),
    "twice": (
        '<fcd-export><timestep time="3"><vehicle id="a" x="500" y="0"/>\n'
        '<vehicle id="a" x="501" y="0"/></timestep></fcd-export>',
        r"a.xml:2: expected vehicle 'a' once at 3 s, got it twice",
    ),
    "a gap": (
        f"<fcd-export>\n{ONE}\n{STEP.format(t=11, x=9)}</fcd-export>",
        r"a.xml:3: expected a sample of vehicle 'a' at least every 10 s \(max_gap\), got none "
        r"from 0 s to 11 s",
    ),
    "geo option": (
        '<!-- <configuration>\n<fcd-output.geo value="true"/></configuration> -->\n'
        f"<fcd-export>{ONE}{TWO}</fcd-export>",
        r"expected positions in metres, got degrees \(fcd-output.geo is set\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_place(tmp_path, case):
    text, message = WRONG[case]
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    with pytest.raises(TraceError, match=message):
        SumoFcd(file="a.xml").num_members(tmp_path)


def test_a_geo_option_that_is_off_is_none(tmp_path):
    text = f'<!-- <fcd-output.geo value="false"/> -->\n<fcd-export>{ONE}{TWO}</fcd-export>'
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    assert SumoFcd(file="a.xml").num_members(tmp_path) == 1


def slow_lane(step):
    """A vehicle at 14 m/s, by its speed, whose positions change by `step` each second."""
    steps = [
        f'<timestep time="{t}"><vehicle id="a" x="{6 + step * t}" y="51" speed="14"/></timestep>'
        for t in range(12)
    ]
    return "\n".join(["<fcd-export>", *steps, "</fcd-export>"])


def test_degrees_are_told_by_the_speeds(tmp_path):
    (tmp_path / "a.xml").write_text(slow_lane(14 / 111e3), encoding="utf-8")
    with pytest.raises(TraceError, match=r"a.xml:10: expected positions in metres, got numbers"):
        SumoFcd(file="a.xml").num_members(tmp_path)
    (tmp_path / "b.xml").write_text(slow_lane(14.0), encoding="utf-8")
    assert SumoFcd(file="b.xml").num_members(tmp_path) == 1


def test_a_gap_may_be_joined_or_lie_outside_the_cut(tmp_path):
    gap = {"a": np.array([[0.0, 0, 500], [1.0, 1, 500], [31.0, 31, 500], [32.0, 32, 500]])}
    (tmp_path / "a.xml").write_text(fcd(gap), encoding="utf-8")
    joined = SumoFcd(file="a.xml", max_gap_s=30.0)
    assert presences_s(joined, tmp_path) == [(0.0, 32.0)]
    assert presences_s(SumoFcd(file="a.xml", start_s=31.0), tmp_path) == [(0.0, 1.0)]
    assert presences_s(SumoFcd(file="a.xml", duration_s=1.0), tmp_path) == [(0.0, 1.0)]


def test_reading_stops_after_the_cut_where_the_rest_cannot_matter(tmp_path):
    text = fcd({"a": np.column_stack([np.arange(100.0), np.arange(100.0), np.zeros(100)])})
    (tmp_path / "a.xml").write_text(text.replace("</fcd-export>", "<broken"), encoding="utf-8")
    cut = SumoFcd(file="a.xml", duration_s=20.5)
    with pytest.raises(TraceError, match="well-formed"):
        cut.num_members(tmp_path)
    known = cut.model_copy(update={"origin_m": (0.0, 0.0)})
    assert presences_s(known, tmp_path) == [(0.0, 20.5)]


def test_a_truncated_or_broken_gzip(folder):
    packed = gzip.compress((folder / "a.xml").read_bytes())
    (folder / "a.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "b.gz").write_bytes(packed[:40] + b"garbage" + packed[47:])
    for name in ("a.gz", "b.gz"):
        with pytest.raises(TraceError, match=rf"{name}:\d+: expected a whole gzip file"):
            SumoFcd(file=name).num_members(folder)


def test_a_file_that_is_not_there(folder):
    with pytest.raises(TraceError, match=r"aa.xml: .*does not exist; did you mean 'a.xml'\?"):
        SumoFcd(file="aa.xml").num_members(folder)
    with pytest.raises(TraceError, match="got a directory"):
        SumoFcd(file=".").num_members(folder)


def test_an_empty_cut_says_what_there_is(folder, tracks):
    with pytest.raises(
        TraceError, match=r"from 900 s to inf s.*got none; in the file, vehicles are"
    ):
        EXACT.model_copy(update={"start_s": 900.0}).num_members(folder)


def test_more_devices_than_vehicles(folder):
    for ask in (EXACT.max_speed_mps, EXACT.presence_s, lambda each: EXACT.path(Draws(1), each)):
        with pytest.raises(TraceError, match=r"at most 6 devices.*a group of 7; leave out `count`"):
            ask(members_of(EXACT, folder, count=7)[0])
    few = paths_of_trace(EXACT, folder, count=2)
    assert (few.at([0, 1], 30.0) == paths_of_trace(EXACT, folder).at([0, 1], 30.0)).all()


def test_a_vehicle_out_of_the_area(folder, tracks):
    small = members_of(EXACT, folder, area=Disc(radius_m=20.0))
    with pytest.raises(TraceError, match=r"got vehicle 'v\d' at .*such as \{kind: rectangle"):
        EXACT.max_speed_mps(small[0])
    half_m = np.ptp(np.concatenate([each[:, 1:] for each in tracks.values()]), axis=0) / 2
    message = rf"width: {np.ceil(2 * half_m[0]):.0f} m, height: {np.ceil(2 * half_m[1]):.0f} m"
    with pytest.raises(TraceError, match=message):
        list(EXACT.path(Draws(1), small[0]))


def test_a_region_must_have_a_size():
    with pytest.raises(ValueError, match=r"x0 < x1 and y0 < y1"):
        SumoFcd.model_validate({"file": "a", "region": ("0 m", "0 m", "0 m", "9 m")})
