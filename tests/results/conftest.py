import pytest
from synthetic import make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), num_rounds=6)


@pytest.fixture(scope="session")
def bare_run(tmp_path_factory):
    """A run without learning and without the tables that cost space."""
    return make_run(tmp_path_factory.mktemp("runs"), num_rounds=2, packets=False, positions=False)
