"""The table of deviations shows what was compared, and a wrapped comparison still fails."""

import shutil
import subprocess
import sys
from pathlib import Path

CHECKS = """
import numpy as np
import pytest
from scipy import stats


@pytest.mark.parametrize("value", [0.02, 0.03])
def test_mean(measured, value):
    assert measured(np.float64(value), n=np.int64(44850)) < np.float64(0.1) < 0.2
    assert measured(value) < 0.5


def test_law(measured):
    assert measured(stats.binomtest(5, 10, 0.5), n=10).pvalue > 1e-3


def test_far(measured):
    assert measured(0.3) < 0.1


def test_unlikely(measured):
    assert measured(stats.binomtest(0, 100, 0.5)).pvalue > 1e-3
"""


def test_the_table_of_deviations(tmp_path):
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_checks.py").write_text(CHECKS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--deviations", "-p", "no:cacheprovider", "-n", "1"]
    done = subprocess.run(
        [*command, "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "test_checks.py::test_mean 4 0.03 < 0.1 - 44,850" in lines
    assert "test_checks.py::test_law 1 - 1 > 0.001 10" in lines
    assert "2 tests, 5 comparisons" in lines
    assert "1 p-values; 0.001 of them would fail by chance under a new seed" in lines
    assert "2 failed, 3 passed" in lines[-1]
    failed = [line for line in lines if line.startswith("FAILED test_checks.py::test_far")]
    assert failed == ["FAILED test_checks.py::test_far - assert 0.3 < 0.1"]
