"""Every method's adapters with every kind of inference: an answer, or an error when validated."""

import numpy as np
import pytest
from learner_helpers import SITES, FakePool, delivered, setting, train
from method_table import DIFFERENT, METHODS, TABLE, kind

from cosim.learning.adapter import Adapter
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.mixture import Mixture
from cosim.plugin import find, kinds, scenarios_dir
from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import load

CODES = ("sparse_orthogonal", "lori", "ffa_lora")
"""Kinds whose A is drawn, if their B are not aggregated over devices."""


def fits(name, inference):
    if inference == "implicit":
        return kind(name) in CODES and getattr(METHODS[name], "combine", "concat") == "concat"
    return inference != "linear" or kind(name) != "flora"


def cluster_of_two(name, inference):
    """Devices 0 and 1 have merged, and know of 2 by an exchange."""
    asked = setting(METHODS[name], segment_bytes=1460)
    learning = asked.learning.model_copy(update={"inference": inference})
    subject = AdapterLearner(type(asked)(**{**vars(asked), "learning": learning}), FakePool())
    for round in range(1, 1 + TABLE[name].trainings):
        train(subject, range(3), round)
    sent = [subject.update_payload(src, dst, 3) for src, dst in ((0, 1), (1, 0))]
    for payload in sent:
        subject.merge(payload.dst, [delivered(payload)], [0.5])
    subject.store(1, [delivered(subject.exchange_payload(2, 1, 3))])
    return subject


@pytest.mark.parametrize("inference", kinds("inference"))
@pytest.mark.parametrize("name", DIFFERENT)
def test_an_answer_or_a_reason(name, inference):
    answering = find("inference", inference)()
    reason = answering.misfit(METHODS[name])
    assert (reason is None) == fits(name, inference)
    if reason is not None:
        assert reason.startswith("expected a method ")
        assert " or the inference " in reason
        return
    subject = cluster_of_two(name, answering)
    known = sum(len(each.members) for each in subject._method.experts(*known_to(subject)))
    assert known == 3
    for job in subject._answers.jobs(*subject._answerer(1)):
        if isinstance(job.adapter, Mixture):
            adapters = job.adapter.adapters
            router = job.adapter.router
            for site in range(len(SITES)):
                assert all(np.isfinite(each).all() for each in router.known(site))
        else:
            assert isinstance(job.adapter, Adapter)
            adapters = (job.adapter,)
        for each in adapters:
            assert each.layout.sites == SITES
            assert np.isfinite(each.vector).all()


def known_to(subject):
    return subject._cohort, subject._states[1]


@pytest.mark.parametrize("method", kinds("method"))
def test_the_scenario_of_a_method_is_valid_with_what_fits_and_only_that(method):
    path = scenarios_dir() / "methods" / f"{method}.yaml"
    for inference in kinds("inference"):
        overrides = [f"learning.inference={inference}"]
        if fits(method, inference):
            scenario = load(path, overrides).scenario
            assert scenario.learning.inference == find("inference", inference)()
            continue
        with pytest.raises(ScenarioError) as caught:
            load(path, overrides)
        said = str(caught.value)
        assert f"method '{method}' does not go with '{inference}'" in said
        assert "or the inference" in said


def test_pools_without_adapters_take_any_inference():
    path = scenarios_dir() / "methods" / "flora.yaml"
    load(path, ["learning.inference=linear", "learning.pool=none"])
