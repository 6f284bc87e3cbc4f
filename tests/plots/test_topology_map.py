"""The map shows the plans, and every device and number on it can be told."""

import numpy as np
import pytest
from plot_helpers import drawn, legend_of

from cosim.results.run import Run
from plots import topology_map


def test_map_shows_the_plans_and_the_worlds_positions(run):
    data = drawn("topology_map", [run]).data
    made_s = run.plans.drop_duplicates("plan")["t_s"].tolist()
    assert data["t_s"].unique().tolist() == made_s
    for t_s, rows in data.groupby("t_s"):
        np.testing.assert_allclose(rows[["x_m", "y_m"]], run.world.positions_m(t_s))
    merged = data.merge(run.plans, on=["plan", "device"])
    assert (merged["cluster_x"] == merged["cluster_y"]).all()


def test_map_between_plans_shows_the_plan_in_force(run):
    second_s = run.plans.query("plan == 1")["t_s"].iloc[0]
    keys = {"at": (f"{second_s / 2} s", f"{second_s + 1.0} s")}
    data = drawn("topology_map", [run], **keys).data
    assert data.groupby("t_s")["plan"].first().tolist() == [0, 1]


def test_gateway_links_are_dashed_and_others_are_not(run):
    (axes,) = drawn("topology_map", [run], at=("0 s",)).canvas.axes
    solid, dashed = (len(each.get_segments()) for each in axes.collections)
    assert [each.get_linestyle()[0][1] is None for each in axes.collections] == [True, False]
    first = run.links.query("plan == 0")
    cluster = run.plans.query("plan == 0").set_index("device")["cluster"]
    across = (cluster[first["src"]].to_numpy() != cluster[first["dst"]].to_numpy()).sum()
    assert dashed == across / 2 > 0  # both directions are one line
    assert solid == (len(first) - across) / 2 > 0


def test_base_stations_have_a_mark_and_an_entry_of_their_own(run, mast_run):
    drawing = drawn("topology_map", [mast_run], at=("0 s",))
    stars = [line for line in drawing.canvas.axes[0].lines if line.get_marker() == "*"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in stars] == [(30.0, -40.0)]
    assert "base station" in legend_of(drawing)
    assert drawing.data["base_station"].tolist() == [True] + 7 * [False]
    without = drawn("topology_map", [run], at=("0 s",))
    assert not any(line.get_marker() == "*" for line in without.canvas.axes[0].lines)
    assert "base station" not in legend_of(without)


def test_every_device_has_its_number(mast_run):
    (axes,) = drawn("topology_map", [mast_run], at=("0 s",)).canvas.axes
    assert sorted(text.get_text() for text in axes.texts) == list("01234567")


def test_panels_of_a_map_have_one_scale_and_fill_their_width(run):
    page = drawn("topology_map", [run]).canvas
    page.draw_without_rendering()
    for axes in page.axes:
        place, filled = axes.get_position(original=True), axes.get_position()
        assert filled.width == pytest.approx(place.width, rel=0.01)
        assert filled.height == pytest.approx(place.height, rel=0.01)
        assert axes.get_aspect() == 1.0


@pytest.mark.parametrize(("size_m", "rows"), [((1000, 60), 2), ((200, 200), 1), ((60, 1000), 1)])
def test_panels_of_a_long_area_stand_under_each_other(size_m, rows, tmp_path, make_run):
    width_m, height_m = size_m
    area = {"kind": "rectangle", "width": f"{width_m} m", "height": f"{height_m} m"}
    run = make_run(tmp_path, num_rounds=6, packets=False, positions=False, area=area)
    page = drawn("topology_map", [run]).canvas
    assert len(page.axes) == 2
    assert page.axes[0].get_gridspec().nrows == rows
    width_in, height_in = page.get_size_inches()
    assert width_in in (3.5, 7.16)
    assert height_in < 8.0


def test_clusters_keep_their_looks_as_far_as_they_keep_their_members():
    before = {1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 2}
    # 3 to 5 go on with 1; of their old cluster 2 brings most; 7 and 8 are new; 6 stays.
    clusters = {0: [3, 4, 5, 1], 1: [2], 2: [7, 8], 3: [6]}
    assert topology_map._looks(clusters, before) == {0: 1, 1: 0, 2: 3, 3: 2}


def test_a_map_leaves_plans_without_links_out(run):
    run = Run(run.path)
    run.links = run.links.query("plan == 1")
    assert set(drawn("topology_map", [run]).data["plan"]) == {1}
