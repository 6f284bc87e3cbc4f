"""Every shipped figure, as files: style, names, errors, and as a script."""

import re
import struct
import subprocess
import sys

import matplotlib
import pytest

from cosim.plugin import figures_dir, find, kinds
from cosim.results.draw import draw_figures

FIGURES = kinds("figure")
PAGE_WIDTHS_PX = {int(3.5 * 300), int(7.16 * 300)}


def test_the_shipped_figures_are_these():
    assert FIGURES == [
        "accuracy_vs_time",
        "channel_trace",
        "closed_forms",
        "collision_vs_devices",
        "controls_vs_round",
        "delay_cdf",
        "difference_map",
        "gram",
        "measures_vs_round",
        "metric_vs_key",
        "packet_timeline",
        "parameters_sent",
        "partition",
        "soft_complexity",
        "task_device_heatmap",
        "topology_map",
        "tradeoff",
        "transfer_gantt",
    ]


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_is_drawn_in_the_one_style(kind, run, swept, adapted_run, tmp_path):
    runs = {"metric_vs_key": swept[:9], "difference_map": swept, "gram": [adapted_run]}.get(
        kind, [run]
    )
    before = dict(matplotlib.rcParams)
    (drawn,) = draw_figures([find("figure", kind)()], runs, tmp_path)
    assert drawn.problem == ""
    pdf, png, csv = drawn.paths
    assert [path.stem for path in drawn.paths] == [kind] * 3
    width_px, height_px = struct.unpack(">II", png.read_bytes()[16:24])
    assert width_px in PAGE_WIDTHS_PX
    assert 300 < height_px < 2400
    document = pdf.read_bytes()
    assert b"/Type3" not in document
    assert b"/FontFile2" in document  # TrueType, embedded
    assert b"/CreationDate" not in document
    assert len(csv.read_text().splitlines()) > 1
    assert dict(matplotlib.rcParams) == before


def test_the_same_runs_give_the_same_files(run, tmp_path):
    figure = find("figure", "transfer_gantt")()
    first, second = (draw_figures([figure], [run], tmp_path / name)[0].paths for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("accuracy_vs_time", "has no evaluations"),
        ("channel_trace", r"has no links; name one with `link: \[0, 1\]`"),
        ("collision_vs_devices", r"recorded no measures; set `record.measures: true`"),
        ("controls_vs_round", "has no controls; it needs a controller that acts"),
        ("delay_cdf", "has no transfers"),
        ("gram", "has no adapters; they are saved at its end"),
        ("measures_vs_round", r"recorded no measures; set `record.measures: true`"),
        ("packet_timeline", r"recorded no packets; nothing was sent"),
        ("task_device_heatmap", "has no evaluations"),
        ("topology_map", "made no plan"),
        ("transfer_gantt", "has no transfer or training"),
    ],
)
def test_a_run_without_rows_is_a_message(kind, message, empty_run, tmp_path):
    (drawn,) = draw_figures([find("figure", kind)()], [empty_run], tmp_path)
    assert re.search(message, drawn.problem)
    assert str(empty_run.path) in drawn.problem
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        ("channel_trace", {"link": (0, 8)}, "expected two devices of 0 to 7, got [0, 8]"),
        ("packet_timeline", {"flow": 10**6}, "got 1000000"),
        ("task_device_heatmap", {"round": 3}, "no evaluation after round 3; there are 0, 2, 4"),
        ("topology_map", {"at": ("1 s", "2 s", "3 s", "4 s", "5 s")}, "at most 4 times, got 5"),
        ("transfer_gantt", {"start": "1 h"}, "no transfer or training in 3600 to 3600 s"),
    ],
)
def test_keys_that_do_not_fit_the_run_are_a_message(kind, keys, message, run, tmp_path):
    figure = find("figure", kind).model_validate(keys)
    (drawn,) = draw_figures([figure], [run], tmp_path)
    assert message in drawn.problem


def test_naming_a_figure_loads_no_matplotlib():
    code = (
        "import sys; from cosim.plugin import find, kinds; "
        "[find('figure', kind)() for kind in kinds('figure')]; "
        "print([name for name in ('matplotlib', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_figure_is_a_script(run, tmp_path):
    script = figures_dir() / "delay_cdf.py"
    command = [sys.executable, str(script), str(run.path), "by=kind", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    expected = [tmp_path / f"delay_cdf.{end}" for end in ("pdf", "png", "csv")]
    assert done.stdout.split() == [str(path) for path in expected]
    assert all(path.exists() for path in expected)


def test_a_script_says_what_is_wrong_in_one_line(tmp_path):
    command = [sys.executable, str(figures_dir() / "delay_cdf.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"delay_cdf: expected a run folder, got {tmp_path}, which has no manifest.json\n"
    )
