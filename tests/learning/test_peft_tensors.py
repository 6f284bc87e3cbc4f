"""Adapters as arrays: what PEFT's writer wrote, and what is none."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from cosim.learning import peft_io
from cosim.learning.adapter import Adapter, Layout, Site
from cosim.learning.errors import LearningError
from cosim.learning.peft_tensors import WEIGHTS, factors


def test_factors_are_those_that_were_saved(tmp_path):
    sites = (Site("layers.0.q_proj", 6, 5), Site("layers.0.v_proj", 6, 3))
    layout = Layout(sites, 2)
    vector = np.arange(layout.size, dtype=np.float32)
    peft_io.save(Adapter(layout, vector, 1.0), tmp_path, "a model")
    found = factors(tmp_path)
    assert list(found) == [site.name for site in sites]
    for number, (a, b) in enumerate(found.values()):
        np.testing.assert_array_equal(a, layout.a(vector, number))
        np.testing.assert_array_equal(b, layout.b(vector, number))


def test_what_is_no_adapter_is_said(tmp_path):
    with pytest.raises(LearningError, match=f"cannot read .*{WEIGHTS}"):
        factors(tmp_path)
    save_file({"x.lora_A.weight": np.zeros((2, 2), dtype=np.float32)}, tmp_path / WEIGHTS)
    with pytest.raises(LearningError, match="found no pair of lora_A and lora_B"):
        factors(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(LearningError, match="cannot read"):
        factors(tmp_path)
