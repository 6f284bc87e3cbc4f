import importlib.util
from pathlib import Path

import pytest
from plot_helpers import with_adapter


def _synthetic():
    path = Path(__file__).parents[1] / "results" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic_runs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def make_run():
    return _synthetic().make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory, make_run):
    return make_run(tmp_path_factory.mktemp("runs"), num_rounds=8)


@pytest.fixture(scope="session")
def mast_run(tmp_path_factory, make_run):
    """A run with a base station among its devices."""
    at = ("30 m", "-40 m")
    mast = {"group": "mast", "role": "base_station", "count": 1}
    devices = (
        mast | {"mobility": {"kind": "static", "position": at}},
        {"group": "pedestrians", "count": 7},
    )
    folder = tmp_path_factory.mktemp("runs")
    return make_run(folder, num_rounds=1, packets=False, positions=False, devices=devices)


@pytest.fixture(scope="session")
def seeds(tmp_path_factory, make_run):
    """Two experiments with three and two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    small = {"num_rounds": 4, "packets": False}
    wide = {"channel": {"range": "900 m"}, "gain": 0.5}
    return [make_run(folder, seed=seed, **small) for seed in (1, 2, 3)] + [
        make_run(folder, seed=seed, **small, **wide) for seed in (1, 2)
    ]


@pytest.fixture(scope="session")
def bare_run(tmp_path_factory, make_run):
    """A run without packets."""
    return make_run(tmp_path_factory.mktemp("runs"), num_rounds=1, packets=False)


@pytest.fixture(scope="session")
def empty_run(tmp_path_factory):
    """A run that ended before anything happened."""
    synthetic = _synthetic()
    folder = synthetic.RunFolder.create(tmp_path_factory.mktemp("runs"), synthetic.scenario())
    with folder, synthetic.Recorder(folder.path):
        pass
    return synthetic.Run(folder.path)


@pytest.fixture(scope="session")
def swept(tmp_path_factory, make_run):
    """Two methods at three bandwidths, three seeds each; the second learns less and less."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        make_run(
            folder,
            seed=seed,
            num_rounds=2,
            packets=False,
            positions=False,
            gain=gain,
            learning={"method": {"kind": method}},
            spectrum={"bandwidth": bandwidth},
        )
        for method, gains in (("lora", (1.0, 1.0, 1.0)), ("ffa_lora", (0.9, 0.6, 0.3)))
        for bandwidth, gain in zip(("1 MHz", "10 MHz", "100 MHz"), gains, strict=True)
        for seed in (1, 2, 3)
    ]


@pytest.fixture(scope="session")
def adapted_run(tmp_path_factory, make_run):
    """A run with an adapter."""
    folder = tmp_path_factory.mktemp("runs")
    run = make_run(folder, num_rounds=1, packets=False, positions=False)
    return with_adapter(run, 0.5)
