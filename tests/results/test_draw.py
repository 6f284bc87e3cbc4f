from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from synthetic import make_run

from cosim.plugin import find
from cosim.results.draw import default_out_dir, draw, draw_figures, main
from cosim.results.figure import Drawing, Figure, FigureError
from cosim.scenario.load import loads


class Paper:
    """A canvas that notes how it is saved."""

    def __init__(self):
        self.saved = []

    def savefig(self, fname, *, format, dpi, metadata):
        self.saved.append((format, dpi, metadata))
        if isinstance(fname, Path):
            fname.write_text(format)
        else:
            fname.write(format.encode())


class OneRun(Figure):
    """A figure of one run."""

    times: int = 1

    def draw(self, runs):
        (run,) = runs
        return Drawing(Paper(), pd.DataFrame({"seed": [run.seed] * self.times}))


class Several(OneRun):
    """A figure that compares."""

    compares: ClassVar[bool] = True

    def draw(self, runs):
        return Drawing(Paper(), pd.DataFrame({"seed": [run.seed for run in runs]}))


class Empty(OneRun):
    """A figure that finds nothing."""

    def draw(self, runs):
        raise FigureError(f"run {runs[0].path} has nothing")


class NoRun(Figure):
    """A figure of the models alone."""

    needs_runs: ClassVar[bool] = False
    seed: int = 0

    def draw(self, runs):
        return Drawing(Paper(), pd.DataFrame({"seed": [run.seed for run in runs] or [self.seed]}))


class Packets(OneRun):
    """A figure of packets."""

    needs_packets: ClassVar[bool] = True


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [make_run(folder, seed=seed, num_rounds=1, packets=False) for seed in (1, 2)]


def stems(drawn):
    return [path.stem for each in drawn for path in each.paths]


def test_a_figure_becomes_pdf_png_and_csv(two, tmp_path):
    (drawn,) = draw_figures([OneRun(times=2)], two[:1], tmp_path / "new")
    assert [path.suffix for path in drawn.paths] == [".pdf", ".png", ".csv"]
    assert drawn.paths[0].parent == tmp_path / "new"
    assert drawn.paths[2].read_text() == "seed\n1\n1\n"


def test_the_files_hold_no_date_and_the_png_has_300_dpi(tmp_path):
    paper = Paper()
    Drawing(paper, pd.DataFrame()).save(tmp_path / "a")
    assert paper.saved == [("pdf", 300, {"CreationDate": None}), ("png", 300, None)]


def test_a_name_with_a_dot_is_kept(tmp_path):
    paths = Drawing(Paper(), pd.DataFrame()).save(tmp_path / "v1.5")
    assert [path.name for path in paths] == ["v1.5.pdf", "v1.5.png", "v1.5.csv"]


def test_a_drawing_shows_itself_in_a_notebook():
    assert Drawing(Paper(), pd.DataFrame())._repr_png_() == b"png"


def test_a_figure_of_one_run_is_drawn_for_each_run(two, tmp_path):
    drawn = draw_figures([OneRun()], two, tmp_path)
    assert len(drawn) == 2
    assert {stem.split("-", 1)[1] for stem in stems(drawn)} == {run.path.name for run in two}


def test_a_figure_that_compares_takes_all_runs(two, tmp_path):
    (drawn,) = draw_figures([Several()], two, tmp_path)
    assert drawn.paths[2].read_text() == "seed\n1\n2\n"


def test_the_same_figure_twice_has_two_names(two, tmp_path):
    drawn = draw_figures([OneRun(), OneRun(times=3)], two[:1], tmp_path)
    first, second = (each.paths[2] for each in drawn)
    assert second.stem == f"{first.stem}-2"
    assert len(first.read_text().split()) == 2


def test_one_that_cannot_be_drawn_keeps_none_from_it(two, tmp_path):
    drawn = draw_figures([Empty(), OneRun()], two[:1], tmp_path)
    assert drawn[0].paths == ()
    assert drawn[0].problem == f"run {two[0].path} has nothing"
    assert drawn[1].problem == ""
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("asked_for", "remedy"), [(False, "set `record.packets: true`"), (True, "nothing was sent")]
)
def test_a_figure_of_packets_says_why_there_are_none(two, monkeypatch, asked_for, remedy):
    scenario = loads(f"record: {{packets: {str(asked_for).lower()}}}").scenario
    monkeypatch.setattr(type(two[0]), "scenario", scenario)
    with pytest.raises(FigureError, match=f"recorded no packets; {remedy}"):
        draw(Packets(), two[:1])


def test_a_figure_of_one_run_refuses_two(two):
    with pytest.raises(FigureError, match="draws one run, got 2"):
        draw(OneRun(), two)


def test_a_figure_that_needs_runs_says_so(tmp_path):
    for figure in (OneRun(), Several()):
        (drawn,) = draw_figures([figure], [], tmp_path)
        assert drawn.problem == "expected at least one run folder, got none"
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_needs_none_is_drawn_once_without_and_once_for_each(two, tmp_path):
    (drawn,) = draw_figures([NoRun()], [], tmp_path)
    assert drawn.paths[2].read_text() == "seed\n0\n"
    assert stems(draw_figures([NoRun()], [], tmp_path)) == ["test_draw_NoRun"] * 3
    seeds = [each.paths[2].read_text() for each in draw_figures([NoRun()], two, tmp_path)]
    assert seeds == ["seed\n1\n", "seed\n2\n"]


def test_main_needs_no_run_where_the_figure_needs_none(tmp_path, capsys):
    assert main(NoRun, ["seed=7", "--out", str(tmp_path)]) == 0
    assert main(OneRun, ["times=7", "--out", str(tmp_path)]) == 2
    assert "expected at least one run folder" in capsys.readouterr().err
    (csv,) = tmp_path.glob("*.csv")
    assert csv.read_text() == "seed\n7\n"


def test_where_figures_go_by_default(two):
    assert default_out_dir(two[:1]) == two[0].path / "figures"
    assert default_out_dir(two) == Path("figures")


def test_main_reads_settings_as_a_scenario_does(two, tmp_path, capsys):
    arguments = [str(two[0].path), "times=3", "--out", str(tmp_path)]
    assert main(OneRun, arguments) == 0
    printed = [Path(line) for line in capsys.readouterr().out.split()]
    assert [path.suffix for path in printed] == [".pdf", ".png", ".csv"]
    assert printed[2].read_text() == "seed\n1\n1\n1\n"


def test_main_reads_lists_and_units(two, tmp_path):
    figure = find("figure", "channel_trace")
    arguments = [str(two[0].path), "link=[2, 5]", "length=0.5 s", "--out", str(tmp_path)]
    assert main(figure, arguments) == 0
    table = pd.read_csv(tmp_path / "channel_trace.csv")
    assert set(table["src"]) == {2}
    assert table["t_s"].max() == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such/run"], "which does not exist"),
        (["times=three"], "times: "),
        (["tmies=3"], "tmies: "),
        (["times=3"], "expected at least one run folder"),
        (["times=["], "times=["),
    ],
)
def test_main_says_what_is_wrong(arguments, message, capsys):
    assert main(OneRun, arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_main_says_what_cannot_be_drawn(two, capsys):
    assert main(Empty, [str(two[0].path)]) == 2
    assert "has nothing" in capsys.readouterr().err
