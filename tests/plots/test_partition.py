"""The figure of who holds what: counts as a run's devices had them, rows by task or label."""

import json
import re

import numpy as np
import pytest
from plot_helpers import drawn

from cosim.learning.division import divide
from cosim.plugin import find
from cosim.results.draw import draw_figures
from cosim.sim.run import simulate

FEW = ("sentiment", "syntax", "topic")


def learning(partition, *kinds, **keys):
    use = tuple({"kind": kind, "num_train": 60, "num_test": 5} for kind in kinds)
    return {"tasks": {"use": use, "partition": partition}} | keys


@pytest.fixture
def reviews(tmp_path):
    rows = [{"text": f"film {i}", "label": i % 3} for i in range(90)]
    (tmp_path / "films.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    labels = ("a very bad film that nobody ought to see", "so so", "good")
    return {"kind": "text_classification", "path": "films.jsonl", "labels": labels}


def test_one_task_per_device_is_a_diagonal(bare_run):
    data = drawn("partition", [bare_run]).data
    assert data["device"].tolist() == list(range(8))
    assert data["task"].tolist() == sorted(data["task"])
    assert (data["examples"] == 2000).all()
    assert (data["label"] == "").all()


def test_numbers_are_those_of_the_data(tmp_path, make_run):
    partition = {"kind": "dirichlet", "alpha": 0.3}
    run = make_run(tmp_path, num_rounds=0, learning=learning(partition, *FEW))
    by_task = drawn("partition", [run]).data
    by_label = drawn("partition", [run], by="label").data
    assert by_task.groupby("task")["examples"].sum().to_dict() == dict.fromkeys(FEW, 60)
    totals = by_label.groupby(["task", "label"])["examples"].sum()
    assert totals["sentiment", "good"] == totals["sentiment", "bad"] == 30
    assert totals["topic"].tolist() == [15] * 4
    again = by_label.groupby(["device", "task"])["examples"].sum()
    assert again.to_dict() == by_task.set_index(["device", "task"])["examples"].to_dict()
    assert (by_label["examples"] > 0).all()


class Seen(Exception):
    """Raised instead of building a learner."""


def test_it_is_what_the_devices_of_a_run_hold(tmp_path, make_run, monkeypatch):
    partition = {"kind": "dirichlet", "alpha": 0.3}
    run = make_run(tmp_path, num_rounds=0, seed=7, learning=learning(partition, *FEW))
    data = drawn("partition", [run]).data

    def learner(pool, setting):
        raise Seen(setting)

    monkeypatch.setattr(type(run.scenario.learning.pool), "learner", learner)
    with pytest.raises(Seen) as caught:
        simulate(run.scenario, tmp_path / "live")
    (setting,) = caught.value.args
    held = divide(
        setting.learning.tasks, setting.data_root, setting.draws, setting.num_devices
    ).shares
    there = {(d, FEW[share.task]): len(share.examples) for d in range(8) for share in held[d]}
    assert data.set_index(["device", "task"])["examples"].to_dict() == there


def test_what_is_drawn_is_the_table(tmp_path, make_run):
    run = make_run(tmp_path, num_rounds=0, learning=learning({"kind": "shards"}, *FEW))
    drawing = drawn("partition", [run])
    above, below, _ = drawing.canvas.axes
    image = np.ma.filled(below.images[0].get_array(), 0)
    names = [label.get_text() for label in below.get_yticklabels()]
    for row in drawing.data.itertuples():
        assert image[names.index(row.task), row.device] == row.examples
    assert image.sum() == drawing.data["examples"].sum() == 180
    bars = [patch.get_height() for patch in above.patches]
    assert bars == drawing.data.groupby("device")["examples"].sum().tolist()
    numbers = sorted(int(text.get_text()) for text in below.texts)
    assert numbers == sorted(drawing.data["examples"])


def test_one_task_alone_is_drawn_by_label(tmp_path, make_run, reviews):
    chosen = {"tasks": {"use": (reviews,), "partition": {"kind": "dirichlet"}}}
    run = make_run(tmp_path, num_rounds=0, data_root=str(tmp_path), learning=chosen)
    drawing = drawn("partition", [run])
    names = [label.get_text() for label in drawing.canvas.axes[1].get_yticklabels()]
    assert names == ["a very ba…obody ought to see", "so so", "good"]
    assert set(drawing.data["label"]) == {reviews["labels"][0], "so so", "good"}
    (tmp_path / "films.jsonl").unlink()
    (gone,) = draw_figures([find("figure", "partition")()], [run], tmp_path / "figures")
    assert re.search(r"cannot be worked out again: .*films\.jsonl: expected a data", gone.problem)


def test_many_devices_take_the_page_and_no_numbers(tmp_path, make_run):
    devices = ({"group": "many", "count": 60},)
    run = make_run(tmp_path, num_rounds=0, devices=devices, learning=learning("iid", *FEW))
    drawing = drawn("partition", [run])
    assert drawing.canvas.get_size_inches()[0] == pytest.approx(7.16)
    assert len(drawing.canvas.axes[1].texts) == 0
    assert drawing.data["examples"].sum() == 180


def test_devices_are_whole_numbers(tmp_path, make_run):
    devices = ({"group": "some", "count": 22},)
    run = make_run(tmp_path, num_rounds=0, devices=devices, learning=learning("iid", *FEW))
    ticks = drawn("partition", [run]).canvas.axes[1].get_xticks()
    assert all(float(tick).is_integer() for tick in ticks)


def test_a_task_without_labels_is_a_message(bare_run, tmp_path):
    (drawn_one,) = draw_figures([find("figure", "partition")(by="label")], [bare_run], tmp_path)
    assert re.search(r"task odd_one_out: .*choices.*use `by: task`", drawn_one.problem)
