"""Maps of paired differences: the numbers, where they stand, and how sure they are."""

import re

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from plot_helpers import drawn, legend_of

from cosim.results.draw import draw_figures
from cosim.results.figure import FigureError
from cosim.results.statistics import mean_interval
from plots.difference_map import DifferenceMap

# ffa_lora learns less and less with bandwidth; at the longer range it learns as lora does.
GAINS = {("1 MHz", "900 m"): 1.0, ("10 MHz", "900 m"): 0.6, ("1 MHz", "400 m"): 1.0}
KEYS = {"x": "spectrum.bandwidth", "y": "channel.range", "baseline": "lora"}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, make_run):
    """Two methods at three of the four combinations of two bandwidths and two ranges."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        make_run(
            folder,
            seed=seed,
            num_rounds=2,
            packets=False,
            positions=False,
            gain=gain if method == "ffa_lora" else 1.0,
            learning={"method": {"kind": method}},
            spectrum={"bandwidth": bandwidth},
            channel={"range": range_},
        )
        for method in ("lora", "ffa_lora")
        for (bandwidth, range_), gain in GAINS.items()
        for seed in (1, 2, 3)
    ]


def last_own(run):
    table = run.evaluations
    last = table[(table["t_s"] == table["t_s"].max()) & (table["own"] == 1)]
    return last["accuracy"].mean()


def texts_of(axes):
    return {
        (int(x), int(y)): each.get_text() for each in axes.texts for x, y in [each.get_position()]
    }


def hatched(axes):
    found = [each for each in axes.patches if isinstance(each, Rectangle) and each.get_hatch()]
    return {(each.get_x() + 0.5, each.get_y() + 0.5) for each in found}


def test_cells_are_paired_differences_with_their_intervals(mapped):
    data = drawn("difference_map", mapped, **KEYS).data
    at = {(row["x"], row["y"]): row for _, row in data.iterrows()}
    assert set(at) == {(x, y) for x in ("1 MHz", "10 MHz") for y in ("400 m", "900 m")}
    for place, key in enumerate(GAINS):
        base, mine = mapped[3 * place : 3 * place + 3], mapped[9 + 3 * place : 12 + 3 * place]
        differences = [last_own(one) - last_own(two) for one, two in zip(mine, base, strict=True)]
        mean, half = mean_interval(differences)
        row = at[key]
        np.testing.assert_allclose([row["mean"], row["half_width"]], [mean, half], atol=1e-12)
        assert row["num_seeds"] == 3
        assert row["is_significant"] == (abs(mean) > half)
    assert at["10 MHz", "900 m"]["is_significant"]
    assert set(data["line"]) == {"ffa_lora"}
    assert set(data["baseline"]) == {"lora"}


def test_what_is_drawn_is_the_table(mapped):
    drawing = drawn("difference_map", mapped, **KEYS)
    axes, bar = drawing.canvas.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1 MHz", "10 MHz"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["400 m", "900 m"]
    (image,) = axes.get_images()
    values = np.ma.filled(image.get_array().astype(float), np.nan)
    means = drawing.data.pivot(index="y", columns="x", values="mean").to_numpy()
    np.testing.assert_allclose(values, 100 * means)
    low, high = image.get_clim()
    assert low == -high == -np.nanmax(np.abs(values))
    # Upwards as an axis goes, so that the second row is the longer range.
    assert axes.get_ylim() == (-0.5, 1.5)
    worst = f"\N{MINUS SIGN}{-values[1, 1]:.1f}"
    assert texts_of(axes) == {(0, 0): "0.0", (0, 1): "0.0", (1, 1): worst}
    assert hatched(axes) == {(0, 0), (0, 1)}
    assert bar.get_ylabel() == r"$\Delta$ own-task accuracy (points)"
    assert drawing.canvas.get_supylabel() == "Range"
    assert legend_of(drawing) == ["95 % interval holds 0", "nothing to compare"]
    (legend,) = drawing.canvas.legends
    note = "ffa_lora less lora, mean of paired differences over 3 seeds"
    assert legend.get_title().get_text() == note


def test_a_combination_that_was_not_run_is_empty(mapped):
    drawing = drawn("difference_map", mapped, **KEYS)
    axes = drawing.canvas.axes[0]
    assert np.isnan(drawing.data.query("x == '10 MHz' and y == '400 m'")["mean"]).all()
    assert np.ma.getmaskarray(axes.get_images()[0].get_array())[0, 1]
    # It is empty, too, where only the baseline was run.
    fewer = mapped[:-3]
    data = drawn("difference_map", fewer, **KEYS).data
    assert np.isnan(data.query("x == '1 MHz' and y == '400 m'")["mean"]).all()


def test_differences_change_sign_with_the_baseline(mapped):
    one = drawn("difference_map", mapped, **KEYS).data
    other = drawn("difference_map", mapped, **KEYS | {"baseline": "ffa_lora"}).data
    np.testing.assert_allclose(one["mean"], -other["mean"])
    np.testing.assert_allclose(one["half_width"], other["half_width"])
    first = drawn("difference_map", mapped, **KEYS | {"baseline": None}).data
    assert set(first["baseline"]) == {"lora"}


def test_a_third_key_makes_panels_and_each_further_line_a_row(mapped, tmp_path, make_run):
    further = [
        make_run(
            tmp_path,
            seed=seed,
            num_rounds=2,
            packets=False,
            positions=False,
            learning={"method": {"kind": "rolora"}},
            spectrum={"bandwidth": bandwidth},
            channel={"range": "900 m"},
        )
        for bandwidth in ("1 MHz", "10 MHz")
        for seed in (1, 2, 3)
    ]
    keys = {"x": "spectrum.bandwidth", "panel": "channel.range", "panel_label": "Reach"}
    drawing = drawn("difference_map", [*mapped, *further], **keys)
    titles = [axes.get_title() for axes in drawing.canvas.axes[:4]]
    assert titles == [
        f"{line}\nReach = {reach}"
        for line in ("ffa_lora", "rolora")
        for reach in ("400 m", "900 m")
    ]
    cell = drawing.data.query("line == 'ffa_lora' and panel == '900 m' and x == '10 MHz'")
    whole = drawn("difference_map", mapped, **KEYS).data.query("x == '10 MHz' and y == '900 m'")
    assert cell["mean"].to_list() == whole["mean"].to_list()
    assert texts_of(drawing.canvas.axes[3]) == {(0, 0): "0.0", (1, 0): "0.0"}
    assert texts_of(drawing.canvas.axes[2]) == {}
    note = drawing.canvas.legends[0].get_title().get_text()
    assert note.startswith("each row less lora")


def test_lines_may_be_told_by_several_keys(mapped):
    keys = {"by": ("learning.method.kind", "learning.local.steps", "channel.range")}
    data = drawn(
        "difference_map", mapped, x="spectrum.bandwidth", baseline="lora, range=900 m", **keys
    ).data
    assert list(dict.fromkeys(data["line"])) == [
        "lora, range=400 m",
        "ffa_lora, range=900 m",
        "ffa_lora, range=400 m",
    ]


def test_the_only_key_of_a_strip_need_not_be_named(swept, tmp_path):
    drawing = drawn("difference_map", swept)
    assert drawing.canvas.axes[0].get_xlabel() == "Bandwidth"
    assert list(drawing.data["x"]) == ["1 MHz", "10 MHz", "100 MHz"]
    assert drawing.canvas.get_supylabel() == ""
    assert legend_of(drawing) == ["95 % interval holds 0"]
    (files,) = draw_figures([DifferenceMap()], swept, tmp_path)
    assert files.problem == ""
    assert len((tmp_path / "difference_map.csv").read_text().splitlines()) == 4


def test_one_seed_has_no_interval_and_says_so(mapped, capsys):
    drawing = drawn("difference_map", mapped[::3], **KEYS)
    assert "difference_map: one seed, so no interval: " in capsys.readouterr().err
    assert drawing.data["half_width"].isna().all()
    assert not drawing.data["is_significant"].any()
    (legend,) = drawing.canvas.legends
    assert legend.get_title().get_text() == "ffa_lora less lora; one seed: no intervals"
    assert legend_of(drawing)[0] == "95 % interval holds 0, or one seed"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"x": "channel.carrier"}, "expected runs that differ in channel.carrier, got 3.5 GHz in"),
        ({"y": "devices.0.count"}, "expected runs that differ in devices.0.count, got 8 in all"),
        ({"x": "channel.rang"}, "expected a key that every run's scenario has"),
        ({"by": "learning.local.steps"}, "differ in learning.local.steps, got steps=10 in all"),
        ({"y": None}, "one experiment of lora for spectrum.bandwidth=1 MHz, got several; name"),
        (
            {"baseline": "lor"},
            "a line as baseline (lora | ffa_lora), got 'lor'; did you mean 'lora'?",
        ),
    ],
)
def test_keys_that_do_not_fit_the_runs_are_a_message(mapped, keys, message):
    with pytest.raises(FigureError, match=re.escape(message)):
        drawn("difference_map", mapped, **KEYS | keys)


def test_lines_that_never_meet_are_a_message(mapped):
    # lora at one range only, ffa_lora at the other one only.
    apart = [*mapped[:6], *mapped[15:]]
    with pytest.raises(
        FigureError, match=r"no run of ffa_lora has own_accuracy beside one of lora"
    ):
        drawn("difference_map", apart, **KEYS)
