"""A causal language model in Hugging Face format: shipped, from a folder, or from the hub."""

from cosim.learning.models._pretrained import AdaptedModel, Source
from cosim.learning.models.base import BaseModel


class CausalLm(AdaptedModel):
    """A causal language model, frozen, float32, with adapters on its linear layers.

    `source` is `builtin:NAME` (ships with the package), `path:DIR` (a folder in Hugging Face
    format) or the id of a model on the hub, which is looked for among the downloaded ones first.
    `targets` is `all_linear` (every linear layer of the transformer blocks, not the output head)
    or the last parts of module names, such as `[q_proj, v_proj]`, or patterns of whole names, such
    as `["*.mlp.*"]`; `blocks` keeps only the layers of these transformer blocks, counted from 0.

    Weights are read from safetensors only, and no code of the model's repository runs.
    """

    source: Source = "builtin:tiny"

    def load(self) -> BaseModel:
        """Load the model, its tokenizer and the names of the layers to adapt.

        Raises:
            cosim.learning.errors.LearningError: there is no such model, it is no causal language
                model, its tokenizer cannot pad, or `targets` match none of its layers; the
                message says what there is.
        """
        # They load PyTorch, which reading a scenario must not.
        from cosim.learning.models import _load, _targets  # noqa: PLC0415
        from cosim.learning.pool._causal import CausalObjective  # noqa: PLC0415

        network, place = _load.network(self.source, _load.CAUSAL_LM)
        tokenizer = _load.tokenizer(place, network)
        objective = CausalObjective(network, tokenizer)
        targets = _targets.choose(network, objective.output, self.targets, self.blocks)
        return BaseModel(network, tokenizer, targets, objective)
