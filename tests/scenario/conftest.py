"""Helpers of the scenario tests: files in a folder of their own, and the lines of an error."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load


@pytest.fixture
def write(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Write a file into the folder that the test runs in; return its relative path."""
    monkeypatch.chdir(tmp_path)

    def write_file(content: str | bytes, name: str = "a.yaml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def problems(write) -> Callable[..., list[str]]:
    """Load a file that has mistakes; return its message, line by line."""

    def lines(content: str | bytes, overrides=(), name: str = "a.yaml") -> list[str]:
        path = write(content, name)
        with pytest.raises(ScenarioError) as caught:
            load(path, overrides)
        assert str(caught.value) == "\n".join(map(str, caught.value.problems))
        return str(caught.value).splitlines()

    return lines
