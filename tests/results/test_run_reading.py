import numpy as np
import pytest
from synthetic import make_run, scenario

from cosim.results.run import Run, RunError
from cosim.results.run_folder import RunFolder
from cosim.results.tables import SCHEMAS


def test_every_table_is_a_frame_that_is_read_once(run):
    for name, schema in SCHEMAS.items():
        frame = getattr(run, name)
        assert list(frame.columns) == schema.names
        assert getattr(run, name) is frame
        assert len(frame) > 0, name


def test_the_scenario_comes_back(run):
    assert run.scenario == scenario()
    assert (run.name, run.seed) == ("synthetic", 1)


def test_the_rebuilt_world_is_the_one_that_was_recorded(run):
    at = run.positions[run.positions["t_s"] == 7.0].sort_values("device")
    np.testing.assert_array_equal(run.world.positions_m(7.0), at[["x_m", "y_m"]].to_numpy())


def test_groups_have_their_own_mobility(tmp_path):
    groups = (
        {"group": "parked", "count": 2, "mobility": {"kind": "static"}},
        {"group": "walking", "count": 1},
    )
    world = make_run(tmp_path, num_rounds=1, devices=groups).world
    moved_m = np.linalg.norm(world.positions_m(60.0) - world.positions_m(0.0), axis=1)
    assert moved_m[:2].tolist() == [0.0, 0.0]
    assert moved_m[2] > 0.0


def test_a_run_shows_itself_as_a_small_table(run):
    assert repr(run).splitlines()[0].split() == ["run", "synthetic"]
    assert "finished after" in repr(run)
    html = run._repr_html_()
    assert html.startswith("<table>")
    assert str(run.path) in html


def test_a_failed_run_is_readable_and_says_why(tmp_path):
    with pytest.raises(RuntimeError):
        make_run(tmp_path, num_rounds=2, crash=True)
    run = Run(next(tmp_path.iterdir()))
    assert len(run.rounds) == 2
    assert "RuntimeError: device 3 diverged" in repr(run)


def test_html_is_escaped(tmp_path):
    with pytest.raises(RuntimeError), RunFolder.create(tmp_path, scenario()) as folder:
        raise RuntimeError("<script>")
    assert "&lt;script&gt;" in Run(folder.path)._repr_html_()


def test_a_run_without_tables_says_what_to_do(tmp_path):
    folder = RunFolder.create(tmp_path, scenario())
    with pytest.raises(RunError, match="no table 'rounds': its outcome is 'running'"):
        _ = Run(folder.path).rounds


def test_a_table_that_is_gone_or_broken_is_a_message(tmp_path):
    path = make_run(tmp_path, num_rounds=1, packets=False, positions=False).path
    (path / "flows.parquet").unlink()
    (path / "rounds.parquet").write_bytes(b"PAR1, but not for long")
    run = Run(path)
    with pytest.raises(RunError, match=r"'finished'; flows\.parquet was taken away"):
        _ = run.flows
    with pytest.raises(RunError, match=r"expected a Parquet table, got .*rounds\.parquet"):
        _ = run.rounds


def test_what_is_no_run_is_told(tmp_path, run):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    for path, message in (
        (tmp_path / "nothing", "which does not exist"),
        (tmp_path / "notes.txt", "which is a file"),
        (tmp_path / "empty", r"which has no manifest\.json"),
        (run.path.parent, f"which holds runs: {run.path.name}; name one"),
    ):
        with pytest.raises(RunError, match=message):
            Run(path)
