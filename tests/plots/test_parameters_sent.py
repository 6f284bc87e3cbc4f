"""Table I: the figure's numbers are the counts, beside those that P1 prints."""

import pytest
from plot_helpers import drawn, legend_of

from cosim.results.figure import FigureError
from plots.parameters_sent import PUBLISHED


def test_lori_is_a_dense_b_of_all_layers_of_the_3b_model_at_rank_16():
    drawing = drawn("parameters_sent", [])
    data = drawing.data.set_index(["model", "row"])
    dense = data.loc[("qwen2.5-3b", "LoRI: dense B")]
    assert dense["sent"] == 16_515_072  # 16 x 36 x (2048 + 256 + 256 + 2048 + 2 x 11008 + 2048)
    assert round(dense["sent"] / 1e6, 1) == dense["published"] / 1e6 == 16.5
    lora = data.loc[("qwen2.5-3b", "LoRA: A and B")]
    assert lora["sent"] == 29_933_568
    assert lora["published"] == PUBLISHED["lora"] == 33.8e6
    sparse = data.loc[("qwen2.5-3b", "LoRI: 10 % of B")]
    assert sparse["sent"] == 1_651_508  # rounded up
    proposal = data.loc[("qwen2.5-3b", "Proposal:\nA and 10 % of B")]
    assert proposal["sent"] == 15_070_004 == sparse["sent"] + lora["sent"] - dense["sent"]
    assert proposal["published"] == 15e6
    assert data.loc[("qwen2.5-3b", "Proposal: 10 % of B")]["sent"] == sparse["sent"]
    assert legend_of(drawing) == ["qwen2.5-1.5b", "qwen2.5-3b", "printed in P1"]


def test_layers_that_are_not_there_are_a_message():
    with pytest.raises(FigureError, match=r"expected layers of vit-base .*got gate_proj"):
        drawn("parameters_sent", [], models=("vit-base",), targets=("gate_proj",))
