import shutil
from pathlib import Path

import pytest

SWEPT = """\
name: lab
duration: 1 round
plugins: [lab]
devices: [{{count: 2}}]
learning: {{pool: none}}
topology: {{triggers: [{{kind: "lab:Acts"}}]}}
sweep: {{grid: {{topology.triggers.0.do: [{do}]}}, seeds: {seeds}}}
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Return a function that writes the scenario of a sweep over what the plug-in does."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(Path(__file__).parent / "lab.py", tmp_path / "lab.py")

    def write(*do: str, seeds: str = "1") -> Path:
        path = Path("lab.yaml")
        path.write_text(SWEPT.format(do=", ".join(do), seeds=seeds), encoding="utf-8")
        return path

    return write
