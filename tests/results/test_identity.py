"""Which runs are the same: what decides numbers is in the hash, and nothing else."""

import os
import sys
from types import ModuleType

import pytest

from cosim.on_disk import digest, named
from cosim.plugin import search_in
from cosim.results import identity
from cosim.results.identity import code_version, content_hash, folder_name
from cosim.results.run_folder import RunFolder
from cosim.results.sweep_folder import write_sweep
from cosim.scenario.tree import Scenario
from cosim.version import VERSION


def scenario(**keys):
    return Scenario.model_validate({"name": "synthetic"} | keys)


def test_the_hash_is_of_what_decides_the_numbers(monkeypatch):
    base = content_hash(scenario())
    assert content_hash(scenario(seed=7)) == base
    assert content_hash(scenario(plots=("delay_cdf",))) == base
    assert content_hash(scenario(channel={"range": "400 m"})) != base
    assert folder_name(scenario(seed=7)) == f"synthetic-{base}-s7"
    monkeypatch.setattr(identity, "VERSION", "99.0")
    code_version.cache_clear()
    assert content_hash(scenario()) != base
    monkeypatch.undo()
    code_version.cache_clear()
    assert content_hash(scenario()) == base


def test_code_that_decides_numbers_has_a_version_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "__file__", str(tmp_path / "results" / "identity.py"))
    for place in ("sim/run.py", "scenario/tree.py", "scenario/schema.py", "cli/app.py"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("x = 1\n")

    def now():
        code_version.cache_clear()
        return code_version()

    try:
        base = now()
        assert base.startswith(f"{VERSION}+")
        for place in ("cli/app.py", "scenario/schema.py"):  # show numbers, and make none
            (tmp_path / place).write_text("x = 2\n")
        (tmp_path / "sim/__pycache__").mkdir()
        (tmp_path / "sim/__pycache__/run.pyc").write_text("x")
        assert now() == base
        (tmp_path / "sim/run.py").write_text("x = 2\n")
        changed = now()
        (tmp_path / "scenario/tree.py").write_text("x = 2\n")
        assert len({base, changed, now()}) == 3
    finally:
        code_version.cache_clear()


def using(kind="text_classification", **keys):
    return {"learning": {"tasks": {"use": ({"kind": kind} | keys,)}}}


SENTENCES = {"kind": "text_classification", "path": "d"}


FILES = {
    "edges of a plan": ({"topology": {"planner": {"kind": "from_file", "file": "f"}}}, "f"),
    "measured gains": ({"channel": {"path_loss": {"kind": "measured", "file": "f"}}}, "f"),
    "a task": (using(path="d"), "d/train.json"),
    "a task in a task": (using("relabelled", task=SENTENCES), "d/f"),
    "a test file": (using(path="d", test_path="f"), "f"),
    "labels beside one file": (using(path="d/one.json"), "d/labels.json"),
    "a template": (using(path="d", template_file="f"), "f"),
    "pictures": (using("cifar100", path="d"), "d/sub/meta"),
    "a data set": (
        using("hub", dataset="path:d", template="{text} {answer}", choices="label"),
        "d/data.json",
    ),
}


@pytest.mark.parametrize("form", FILES)
def test_what_stands_in_files_is_part_of_it(tmp_path, form):
    keys, place = FILES[form]
    given = scenario(**keys, data_root=str(tmp_path))
    missing = content_hash(given)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("one")
    one = content_hash(given)
    (tmp_path / place).write_text("two")
    assert len({missing, one, content_hash(given)}) == 3
    (tmp_path / place).write_text("one")
    assert content_hash(given) == one


@pytest.mark.parametrize("kind", ["sumo_fcd", "ns2", "bonnmotion", "csv_trace"])
def test_traces_are_part_of_it_wherever_they_lie(tmp_path, kind):
    texts = {"a": "one", "b": "two", "c": "one"}
    for folder, text in texts.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t").write_text(text)
    hashes = {
        folder: content_hash(
            scenario(
                devices=({"count": 2, "mobility": {"kind": kind, "file": "t"}},),
                data_root=str(tmp_path / folder),
            )
        )
        for folder in texts
    }
    assert hashes["a"] == hashes["c"] != hashes["b"]


@pytest.mark.parametrize(
    "learning",
    [
        {"model": {"kind": "causal_lm", "source": "path:m"}},
        {"model": {"kind": "encoder", "source": "path:m"}},
        {"model": {"kind": "image", "source": "path:m"}},
        {"start": "m"},
    ],
)
def test_models_and_adapters_are_part_of_it(tmp_path, monkeypatch, learning):
    monkeypatch.chdir(tmp_path)
    given = scenario(learning=learning, data_root="elsewhere")
    (tmp_path / "m").mkdir()
    (tmp_path / "m/weights").write_text("one")
    one = content_hash(given)
    (tmp_path / "m/.cache").write_text("hidden")
    assert content_hash(given) == one
    (tmp_path / "m/weights").write_text("two")
    assert content_hash(given) != one


def test_what_names_nothing_on_disk_is_not_looked_up(tmp_path):
    models = ("builtin:tiny", "someone/model")
    for source in models:
        given = scenario(learning={"model": {"kind": "causal_lm", "source": source}})
        assert list(named(given, tmp_path)) == []


def test_the_source_of_plug_ins_is_part_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    search_in(tmp_path)
    given = scenario(plugins=("mine_one", "mine_two.part"))
    (tmp_path / "mine_one.py").write_text("a = 1\n")
    (tmp_path / "mine_two").mkdir()
    (tmp_path / "mine_two/__init__.py").write_text("")
    (tmp_path / "mine_two/part.py").write_text("")
    (tmp_path / "mine_two/helper.py").write_text("a = 1\n")
    hashes = [content_hash(given)]
    for place in ("mine_one.py", "mine_two/helper.py"):
        (tmp_path / place).write_text("a = 2\n")
        hashes.append(content_hash(given))
    assert len(set(hashes)) == 3


def test_what_a_plug_in_imports_from_beside_it_is_part_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    search_in(tmp_path)
    (tmp_path / "mine_three.py").write_text("import os\nfrom mine_helper import a\n")
    (tmp_path / "mine_helper.py").write_text("import mine_three, mine_parts.one\n")
    (tmp_path / "mine_parts").mkdir()
    (tmp_path / "mine_parts/two.py").write_text("a = 1\n")
    (tmp_path / "not_imported.py").write_text("a = 1\n")
    given = scenario(plugins=("mine_three",))
    one = content_hash(given)
    (tmp_path / "not_imported.py").write_text("a = 2\n")
    assert content_hash(given) == one
    (tmp_path / "mine_parts/two.py").write_text("a = 2\n")
    two = content_hash(given)
    (tmp_path / "mine_helper.py").write_text("wrong =\n")
    assert len({one, two, content_hash(given)}) == 3


def test_a_script_may_hold_plug_ins(tmp_path, monkeypatch):
    given = scenario(plugins=("__main__",))
    script = ModuleType("__main__")  # without a spec, as that of a script
    script.__file__ = str(tmp_path / "mine.py")
    monkeypatch.setitem(sys.modules, "__main__", script)
    (tmp_path / "mine.py").write_text("a = 1\n")
    one = content_hash(given)
    (tmp_path / "mine.py").write_text("a = 2\n")
    assert content_hash(given) != one
    del script.__file__  # as where Python is talked to
    assert content_hash(given) != one


def test_runs_among_the_data_are_not_part_of_it(tmp_path):
    given = scenario(**using("text_classification", path="."), data_root=str(tmp_path))
    (tmp_path / "train.json").write_text("[]")
    base = content_hash(given)
    run = RunFolder.create(tmp_path / "runs", scenario()).path
    (run / "positions.parquet").write_text("x")
    write_sweep(tmp_path / "runs" / "s", "s", "", [], ())
    (tmp_path / "runs/s/log.txt").write_text("x")
    assert content_hash(given) == base
    (tmp_path / "manifest.json").write_text("{}")  # of somebody's data
    assert content_hash(given) != base


def test_links_are_followed_once(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/train.json").write_text("one")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/train").symlink_to(tmp_path / "real")
    (tmp_path / "real/back").symlink_to(tmp_path / "d")
    one = digest([tmp_path / "d"])
    (tmp_path / "real/train.json").write_text("two")
    assert digest([tmp_path / "d"]) != one


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert digest([tmp_path]) != digest([tmp_path / "pipe"])


def test_a_digest_is_of_names_and_contents(tmp_path):
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/f").write_text("x")
    base = digest([tmp_path / "d"])
    (tmp_path / "d").rename(tmp_path / "moved")
    assert digest([tmp_path / "moved"]) == base
    (tmp_path / "moved/e/f").rename(tmp_path / "moved/e/g")
    assert digest([tmp_path / "moved"]) != base
    assert digest([tmp_path / "none"]) != digest([])
