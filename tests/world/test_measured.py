"""Gains from a file: looked up, interpolated, and refused where the file says nothing."""

import numpy as np
import pytest
from world_helpers import world_of

from cosim.world.area.disc import Disc
from cosim.world.fading.none import NoFading
from cosim.world.mobility.static import Static
from cosim.world.path_loss.base import Geometry
from cosim.world.path_loss.measured import Measured

GAINS = """src,dst,t_s,gain_db
0,1,0.0,-70
0,1,1.0,-80
0,1,3.0,-60
2,1,2.0,-91.5
2,1,0.5,-90

"""


@pytest.fixture
def file(tmp_path):
    """Write a file of gains and return a function that asks for losses out of it."""

    def losses(low, high, t_s, text=GAINS, shape=None, **keys):
        (tmp_path / "gains.csv").write_text(text, encoding="utf-8")
        shape = np.broadcast_shapes(np.shape(low), np.shape(t_s)) if shape is None else shape
        geometry = Geometry(np.ones(shape), 3.5e9, low=low, high=high, t_s=t_s, data_root=tmp_path)
        return model(**keys).loss_db(geometry)

    return losses


def model(**keys) -> Measured:
    return Measured.model_validate({"file": "gains.csv"} | keys)


def test_linear_in_decibels_between_samples(file):
    t_s = np.array([0.0, 0.25, 1.0, 2.0, 2.5, 3.0])
    assert file([0], [1], t_s) == pytest.approx([70.0, 72.5, 80.0, 70.0, 65.0, 60.0])


def test_or_each_sample_is_held_until_the_next(file):
    t_s = np.array([0.0, 0.999, 1.0, 2.999, 3.0])
    held = file([0], [1], t_s, between="hold")
    assert (held == [70.0, 70.0, 80.0, 80.0, 60.0]).all()


def test_interpolation_over_many_links_is_numpys(file):
    rng = np.random.default_rng(2)
    rows, samples = [], {}
    for low, high in [(0, 1), (0, 2), (1, 2), (5, 70)]:
        t_s = np.sort(rng.random(rng.integers(2, 40)) * 10.0)
        gain_db = -60.0 - 40.0 * rng.random(t_s.size)
        samples[low, high] = t_s, gain_db
        rows += [f"{high},{low},{t},{g}" for t, g in zip(t_s, gain_db, strict=True)]
    text = "\n".join(["src,dst,t_s,gain_db", *(rows[k] for k in rng.permutation(len(rows)))])
    low, high = np.array(list(samples)).T
    t_s = rng.random((4, 200)) * 12.0 - 1.0
    got = file(low[:, None], high[:, None], t_s, text, missing="hold")
    for link, (known_s, gain_db) in enumerate(samples.values()):
        assert got[link] == pytest.approx(-np.interp(t_s[link], known_s, gain_db), abs=1e-9)


def test_shapes_and_both_directions(file):
    low, high = np.array([[0], [1]]), np.array([[1], [2]])
    t_s = np.array([0.5, 1.0, 2.0])
    losses = file(low, high, t_s)
    assert losses.shape == (2, 3)
    assert losses[0] == pytest.approx([75.0, 80.0, 70.0])
    assert losses[1] == pytest.approx([90.0, 90.5, 91.5])
    assert file(0, 1, 0.5, shape=()).shape == ()


def test_both_directions_of_a_link_are_one_channel(file):
    text = "src,dst,t_s,gain_db\n0,1,0,-70\n1,0,0,-70\n1,0,2,-80\n"
    assert file([0], [1], np.array([1.0]), text) == pytest.approx([75.0])


def test_contradicting_directions_are_refused_with_both_lines(file):
    text = "src,dst,t_s,gain_db\n0,1,0,-70\n3,4,0,-60\n1,0,0,-71\n"
    with pytest.raises(ValueError, match=r"gains\.csv:4: .*both ways at 0 s.*\(line 2\)"):
        file([0], [1], np.array([0.0]), text)


@pytest.mark.parametrize("t_s", [-0.1, 3.1, 1e6])
def test_a_time_outside_the_samples_is_an_error(file, t_s):
    with pytest.raises(ValueError, match=r"devices 0 and 1 at .* s, got samples from 0 to 3 s"):
        file([0], [1], np.array([1.0, t_s]), missing="error")


@pytest.mark.parametrize("link", [(0, 2), (3, 9), (0, 0)])
def test_a_link_that_is_not_there_is_an_error(file, link):
    for missing in ("error", "hold"):
        with pytest.raises(ValueError, match=f"devices {link[0]} and {link[1]}, got none"):
            file([link[0]], [link[1]], np.array([1.0]), missing=missing)


def test_missing_gains_can_be_held_or_a_loss(file):
    low, high = np.array([0, 1, 0]), np.array([1, 2, 2])
    held = file(low[:2], high[:2], np.array([9.0, 0.0]), missing="hold")
    assert (held == [60.0, 90.0]).all()
    lossy = file(low, high, np.array([9.0, 0.5, 1.0]), missing="200 dB")
    assert (lossy == [200.0, 90.0, 200.0]).all()


def test_columns_have_the_names_they_are_given(file):
    text = "gain,from,comment,to,time\n-50,3,x,1,0\n"
    keys = {"src": "from", "dst": "to", "time": "time", "gain": "gain"}
    assert file([1], [3], np.array([0.0]), text, **keys) == 50.0


BAD = {
    "no column": ("src,dest,t_s,gain_db\n", r"csv:1: .*'dst'.*did you mean 'dest'"),
    "two columns": ("src,dst,dst,t_s,gain_db\n", r"csv:1: .*one column 'dst'"),
    "empty": ("", r"csv:1: .*got nothing"),
    "header only": ("src,dst,t_s,gain_db\n", r"expected samples below the header"),
    "short row": ("src,dst,t_s,gain_db\n0,1,0,-1\n0,1,1\n", r"csv:3: expected 4 values.*got 3"),
    "unit": (
        "src,dst,t_s,gain_db\n0,1,0 s,-1\n",
        r"csv:2: .*without a unit in column 't_s'.*'0 s'",
    ),
    "infinite": ("src,dst,t_s,gain_db\n0,1,0,-inf\n", r"csv:2: .*'gain_db'"),
    "fraction": ("src,dst,t_s,gain_db\n0.5,1,0,-1\n", r"csv:2: expected a device number"),
    "negative": ("src,dst,t_s,gain_db\n-1,1,0,-1\n", r"csv:2: expected a device number"),
    "name": ("src,dst,t_s,gain_db\ncar,1,0,-1\n", r"csv:2: expected a device number.*'car'"),
    "itself": ("src,dst,t_s,gain_db\n2,2,0,-1\n", r"csv:2: expected two devices, got 2 twice"),
    "quote": ('src,dst,t_s,gain_db\n0,"1,0,-1\n', r"expected a CSV file"),
}


@pytest.mark.parametrize("form", BAD)
def test_a_bad_file_is_refused_with_its_line(file, form):
    text, message = BAD[form]
    with pytest.raises(ValueError, match=message):
        file([0], [1], np.array([0.0]), text)


def test_a_file_that_is_no_text_or_not_there(file, tmp_path):
    (tmp_path / "gains.csv").write_bytes(b"src,dst\xff\xfe\n")
    geometry = Geometry(np.ones(1), 3.5e9, data_root=tmp_path)
    with pytest.raises(ValueError, match="CSV file in UTF-8"):
        model().loss_db(geometry)
    with pytest.raises(ValueError, match=r"nowhere\.csv: .*No such file.*data_root"):
        model(file="nowhere.csv").loss_db(geometry)


def test_a_changed_file_is_read_again(file):
    assert file([0], [1], np.array([0.0])) == 70.0
    assert file([0], [1], np.array([0.0]), GAINS.replace("-70", "-7.5")) == 7.5


def test_sampled_as_finely_as_the_file(file, tmp_path):
    file([0], [1], np.array([0.0]))
    assert model(between="hold").sample_interval_s(tmp_path) == 1.0
    assert model().sample_interval_s(tmp_path) == 0.1  # the line between samples is followed
    assert model(interval="20 ms").sample_interval_s(tmp_path) == 0.02
    file([0], [1], np.array([0.0]), "src,dst,t_s,gain_db\n0,1,0,-70\n")
    assert model().sample_interval_s(tmp_path) == np.inf


def test_in_a_world_gains_come_from_the_file(tmp_path):
    (tmp_path / "gains.csv").write_text(GAINS, encoding="utf-8")
    path_loss = model(file=str(tmp_path / "gains.csv"))
    world = world_of([Static()] * 3, Disc(radius_m=50.0), path_loss, NoFading())
    assert world.gain(1, 0, 0.5) == pytest.approx(10**-7.5)
    assert world.gain([0, 1], [1, 2], 2.0) == pytest.approx([1e-7, 10**-9.15])
    assert world.sample_interval_s(0, 1) == 0.1
