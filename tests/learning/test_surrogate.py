"""The pool by formula, against its closed forms; every number is worked out by hand or written out.

Devices train ten steps of eight examples, 80 in a training, each on one of four tasks.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from learner_helpers import delivered
from pydantic import ValidationError

from cosim.learning.learner import LearningSetting
from cosim.learning.pool.surrogate import Surrogate
from cosim.learning.tasks.reading import Reading
from cosim.learning.tasks.sentiment import Sentiment
from cosim.learning.tasks.syntax import Syntax
from cosim.learning.tasks.topic import Topic
from cosim.rng import Draws
from cosim.scenario.tree import Learning, Scenario, Tasks
from cosim.sim.run import simulate

LOSS = {"start": 2.0, "end": 0.5, "n0": 100.0, "power": 1.0}
ACCURACY = {"start": 0.25, "end": 0.75, "n0": 50.0, "power": 2.0}
TASKS = ("topic", "sentiment", "syntax", "reading")
NUM = 80


def learner(num_devices=4, seed=5, **keys):
    keys = {"loss": LOSS, "accuracy": ACCURACY, "payload": "80 kbit", "related": 0.0} | keys
    kinds = (Topic(num_train=300), Sentiment(num_train=300), Syntax(num_train=300), Reading())
    learning = Learning(tasks=Tasks(use=kinds))
    pool = Surrogate.model_validate(keys)
    return pool.learner(
        LearningSetting(
            learning, num_devices, (learning.local,) * num_devices, Draws(seed), Path(), 1000, 50
        )
    )


def train(subject, *devices, times=1):
    for round in range(times):
        for device in devices:
            subject.begin_training(device, round)
            report = subject.end_training(device)
    return report


def loss(n):
    return 0.5 + 1.5 / (1 + n / 100)


def accuracy(n):
    return 0.75 - 0.5 / (1 + n / 50) ** 2


def send(subject, src, dst, lost=()):
    return delivered(subject.update_payload(src, dst, 1), lost)


def merge(subject, dst, *srcs, weight=None, lost=()):
    weight = 1 / (len(srcs) + 1) if weight is None else weight
    subject.merge(dst, [send(subject, src, dst, lost) for src in srcs], [weight] * len(srcs))


def test_a_device_alone_follows_its_curve():
    subject = learner()
    for trainings in range(4):
        rows = subject.evaluate([2])
        assert [(row.device, row.task, row.own) for row in rows] == [
            (2, task, task == "syntax") for task in TASKS
        ]
        examples = [NUM * trainings if row.own else 0 for row in rows]
        assert [row.accuracy for row in rows] == pytest.approx([accuracy(n) for n in examples])
        assert [row.loss for row in rows] == pytest.approx([loss(n) for n in examples])
        report = train(subject, 2)
        steps = [loss(NUM * trainings + 8 * step) for step in range(10)]
        assert report.loss == pytest.approx(np.mean(steps))


def test_devices_on_one_task_share_it_and_add_up():
    subject = learner(num_devices=8)
    train(subject, 1, 5, times=2)
    merge(subject, 1, 5)
    np.testing.assert_allclose(subject.effective(1), [0, 4 * NUM, 0, 0])
    np.testing.assert_allclose(subject.effective(5), [0, 2 * NUM, 0, 0])


def test_a_clique_with_equal_weights_knows_everything_after_one_merge():
    subject = learner()
    train(subject, *range(4), times=3)
    deliveries = {d: [send(subject, s, d) for s in range(4) if s != d] for d in range(4)}
    for device, received in deliveries.items():
        subject.merge(device, received, [0.25] * 3)
    for device in range(4):
        np.testing.assert_allclose(subject.effective(device), [3 * NUM] * 4)


def test_equal_weights_on_a_line_converge_and_none_ever_knows_less_or_more_than_there_is():
    """Ends have weight 1/3 beside an own weight of 2/3: they go half of the way in each merge."""
    subject = learner(num_devices=3)
    train(subject, 0, 1, 2)
    last = np.zeros((3, 4))
    for step in range(1, 30):
        sent = {
            (s, d): send(subject, s, d) for s, d in ((0, 1), (1, 0), (1, 2), (2, 1))
        }  # all send before any merges
        for device in range(3):
            received = [sent[key] for key in sent if key[1] == device]
            subject.merge(device, received, [1 / 3] * len(received))
        known = np.array([subject.effective(device) for device in range(3)])
        assert (known >= last).all()
        assert (known <= NUM).all()
        assert known[0, 1] == pytest.approx(NUM * (1 - 0.5**step), rel=1e-6)
        last = known
    np.testing.assert_allclose(last[:, :3], NUM, rtol=1e-4)


def test_what_echoes_is_not_counted_twice():
    subject = learner()
    train(subject, 0)
    for _ in range(5):
        merge(subject, 1, 0)
        merge(subject, 0, 1)
    np.testing.assert_allclose(subject.effective(0), [NUM, 0, 0, 0])
    np.testing.assert_allclose(subject.effective(1), [NUM, 0, 0, 0])


def test_two_copies_of_the_same_knowledge_are_one():
    subject = learner()
    train(subject, 0)
    merge(subject, 1, 0)
    merge(subject, 2, 0, 1)
    np.testing.assert_allclose(subject.effective(2), [NUM, 0, 0, 0])


def test_a_lower_weight_and_lost_packets_slow_it():
    """The payload of 10,000 bytes is ten packets of 1,000; three of them are lost."""
    subject = learner()
    train(subject, 0)
    for step in range(1, 4):
        merge(subject, 1, 0, lost=(0, 4, 9))
        assert subject.effective(1)[0] == pytest.approx(NUM * (1 - 0.3**step), rel=1e-6)
        merge(subject, 2, 0, weight=0.2)  # a quarter of the own weight of 0.8
        assert subject.effective(2)[0] == pytest.approx(NUM * (1 - 0.75**step), rel=1e-6)
    merge(subject, 3, 0, lost=range(10))
    assert subject.effective(3)[0] == 0
    merge(subject, 3, 0, weight=0.0)
    assert subject.effective(3)[0] == 0


def test_what_was_sent_is_what_the_sender_knew_then():
    subject = learner()
    train(subject, 0)
    late = send(subject, 0, 1)
    train(subject, 0, times=4)
    subject.merge(1, [late], [0.5])
    assert subject.effective(1)[0] == NUM


@pytest.mark.parametrize("interference", [0.0, 0.5, 1.0])
def test_collisions_take_their_part_by_the_coefficient(interference):
    subject = learner(density=0.4, interference=interference)
    train(subject, 0, 1, 2)
    merge(subject, 2, 0, 1)
    rate = 1 - 0.6**3 - 3 * 0.4 * 0.6**2  # P1 (16), M = 3, s = 0.4
    left = NUM * (1 - interference * rate)
    np.testing.assert_allclose(subject.effective(2), [left, left, NUM, 0], rtol=1e-6)
    merge(subject, 2, 0, 1)
    np.testing.assert_allclose(subject.effective(2), [left, left, NUM, 0], rtol=1e-6)


def test_others_examples_count_by_transfer():
    subject = learner(transfer=0.25)
    train(subject, 0, 1)
    merge(subject, 1, 0)
    np.testing.assert_allclose(subject.effective(1), [NUM / 4, NUM, 0, 0])
    merge(subject, 2, 1)  # passed on undiminished: it counts a quarter for each who reads it
    np.testing.assert_allclose(subject.effective(2), [NUM / 4, NUM / 4, 0, 0])


def test_other_tasks_help_as_far_as_they_are_related():
    subject = learner(related=0.25, transfer=0.5)
    train(subject, 0)
    report = train(subject, 1)
    assert report.loss == pytest.approx(np.mean([loss(8 * step) for step in range(10)]))
    merge(subject, 1, 0)
    np.testing.assert_allclose(
        subject.effective(1), [NUM / 2 + NUM / 4, NUM + NUM / 8, *2 * (NUM / 4 + NUM / 8,)]
    )


def test_other_clusters_updates_are_kept_and_spread_but_not_sent_on_as_ones_own():
    subject = learner(density=1.0, interference=1.0)
    train(subject, 0, times=2)
    crossed = delivered(subject.exchange_payload(0, 1, 1), lost=(3, 7))
    subject.store(1, [crossed])
    assert subject.effective(1)[0] == pytest.approx(0.8 * 2 * NUM)
    spread = subject.spread_payload(1, 2, 1, [crossed])
    assert spread.num_bytes == 8000
    subject.store(2, [delivered(spread)])
    assert subject.effective(2)[0] == pytest.approx(0.8 * 2 * NUM)
    subject.store(3, [send(subject, 1, 3)])
    assert not subject.effective(3).any()
    assert subject.spread_payload(1, 2, 1, []) is None


def test_a_merge_during_a_training_is_not_lost_and_a_dropped_training_is():
    subject = learner()
    train(subject, 0)
    subject.begin_training(1, 1)
    merge(subject, 1, 0)
    assert subject.end_training(1).loss == pytest.approx(np.mean([loss(8 * k) for k in range(10)]))
    np.testing.assert_allclose(subject.effective(1), [NUM, NUM, 0, 0])
    subject.begin_training(1, 2)
    subject.drop_training(1)
    assert subject.effective(1)[1] == NUM


def test_scores_rise_and_fall_with_effective_examples_alone():
    subject = learner()
    rows = []
    for _ in range(6):
        rows.append(subject.evaluate([0])[0])
        train(subject, 0)
    assert np.all(np.diff([row.accuracy for row in rows]) > 0)
    assert np.all(np.diff([row.loss for row in rows]) < 0)
    assert all(0.25 <= row.accuracy <= 0.75 and 0.5 <= row.loss <= 2.0 for row in rows)


def test_noise_has_its_deviation_and_its_address():
    """n = 4 x 1,000 numbers, uniform: their deviation is within 6 % with all but 1e-7 chance.

    The variance of uniform numbers has a relative deviation of sqrt(0.8 / n) = 0.014, so the
    deviation one of 0.007.
    """
    noisy = ACCURACY | {"noise": 0.02}
    subject, again = (learner(1000, accuracy=noisy) for _ in range(2))
    found = np.array([row.accuracy for row in subject.evaluate(range(1000))]) - 0.25
    assert found.std() == pytest.approx(0.02, rel=0.06)
    assert abs(found.mean()) < 6 * 0.02 / 4000**0.5
    backwards = again.evaluate(range(999, -1, -1))
    assert sorted(backwards, key=lambda row: row.device) == subject.evaluate(range(1000))
    assert learner(4, seed=6, accuracy=noisy).evaluate([0]) != subject.evaluate([0])
    loud = learner(200, accuracy=ACCURACY | {"noise": 5.0}, loss=LOSS | {"noise": 5.0})
    rows = loud.evaluate(range(200))
    assert {0.0, 1.0} < {row.accuracy for row in rows}
    assert min(row.loss for row in rows) == 0.0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"accuracy": ACCURACY | {"end": 1.2}}, r"accuracy: end and 1 .* got 1.2 > 1"),
        ({"accuracy": ACCURACY | {"start": 0.8}}, r"accuracy: start, end and 1 .* 0.8 > 0.75"),
        ({"loss": LOSS | {"end": 3.0}}, r"loss: end and start .* 3.0 > 2.0"),
        ({"interference": 1.5}, "less than or equal to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        Surrogate.model_validate(keys)


def test_a_scenario_with_it_is_read_without_torch():
    script = (
        "import sys\nfrom cosim.scenario.load import loads\n"
        "loads('learning: {pool: {kind: surrogate, payload: 1 Mbit, transfer: 0.5}}')\n"
        "print(sorted({'torch', 'transformers', 'peft', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_a_run_follows_the_formula(tmp_path):
    """Four devices in one cluster, nothing lost: after round r each knows 80 r examples of four."""
    scenario = Scenario.model_validate(
        {
            "duration": "3 rounds",
            "area": {"kind": "disc", "radius": "50 m"},
            "devices": ({"count": 4, "mobility": "static"},),
            "channel": {"path_loss": {"kind": "log_distance", "exponent": 2.0}, "fading": "none"},
            "link": {"rate": {"kind": "fixed", "rate": "1 Mbps"}, "error": "none"},
            "learning": {
                "pool": {
                    "kind": "surrogate",
                    "payload": "80 kbit",
                    "accuracy": ACCURACY,
                    "loss": LOSS,
                    "related": 0.0,
                }
            },
            "topology": {"planner": "full"},
            "evaluate": {"every": "1 rounds"},
        }
    )
    run = simulate(scenario, tmp_path, check=True)
    trained = set(run.evaluations[run.evaluations.own].task)
    assert len(trained) == 4
    for row in run.evaluations.itertuples():
        n = NUM * row.round if row.task in trained else 0
        assert row.accuracy == pytest.approx(accuracy(n))
        assert row.loss == pytest.approx(loss(n))
    first = run.trainings[run.trainings["round"] == 1].loss
    assert first.to_numpy() == pytest.approx(np.mean([loss(8 * step) for step in range(10)]))
