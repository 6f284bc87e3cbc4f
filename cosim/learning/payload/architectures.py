"""Architectures that `payload.scale_as` names, by their published configurations.

Sizes are those of the files `config.json` on the hub: Qwen/Qwen2.5-1.5B, Qwen/Qwen2.5-3B (Qwen2.5
Technical Report, arXiv 2412.15115, Table 1), google/vit-base-patch16-224-in21k (Dosovitskiy et
al., ICLR 2021, Table 1) and distilbert/distilbert-base-uncased (Sanh et al., arXiv 1910.01108).
"""

from dataclasses import dataclass

from cosim.learning.adapter import Site


@dataclass(frozen=True)
class Architecture:
    """A transformer as far as its numbers of parameters go.

    Attributes:
        hidden: width of the residual stream.
        num_blocks: number of transformer blocks.
        linears: the linear layers of one block, by the names that transformers gives them.
        num_block_vectors: entries of biases and norms of one block.
        num_outside: parameters outside the blocks.
        num_multiplied_outside: entries of those weight matrices outside the blocks that multiply
            every token: an output head or a patch projection, not an embedding table.
    """

    hidden: int
    num_blocks: int
    linears: tuple[Site, ...]
    num_block_vectors: int
    num_outside: int
    num_multiplied_outside: int

    @property
    def num_parameters(self) -> int:
        """All parameters; what is tied counts once."""
        per_block = self._block_matrices + self.num_block_vectors
        return self.num_blocks * per_block + self.num_outside

    @property
    def num_multiplied(self) -> int:
        """Parameters that multiply every token: N of the count 4N + 6 N_adapter of FLOPs."""
        return self.num_blocks * self._block_matrices + self.num_multiplied_outside

    @property
    def _block_matrices(self) -> int:
        return sum(linear.d_in * linear.d_out for linear in self.linears)


def _qwen2(hidden: int, mlp: int, num_blocks: int, key_value: int) -> Architecture:
    """Qwen2: grouped queries with biases on q, k, v; gated MLP; RMS norms; tied embeddings."""
    embedding = 151_936 * hidden
    return Architecture(
        hidden=hidden,
        num_blocks=num_blocks,
        linears=(
            Site("self_attn.q_proj", hidden, hidden),
            Site("self_attn.k_proj", hidden, key_value),
            Site("self_attn.v_proj", hidden, key_value),
            Site("self_attn.o_proj", hidden, hidden),
            Site("mlp.gate_proj", hidden, mlp),
            Site("mlp.up_proj", hidden, mlp),
            Site("mlp.down_proj", mlp, hidden),
        ),
        num_block_vectors=hidden + 2 * key_value + 2 * hidden,
        num_outside=embedding + hidden,
        num_multiplied_outside=embedding,
    )


def _encoder(names: tuple[str, ...], num_blocks: int, outside: int, patches: int) -> Architecture:
    """A BERT-like block at width 768: four square layers, an MLP of 3072, two layer norms."""
    hidden, mlp = 768, 3072
    sizes = [(hidden, hidden)] * 4 + [(hidden, mlp), (mlp, hidden)]
    linears = tuple(Site(name, *size) for name, size in zip(names, sizes, strict=True))
    biases = sum(linear.d_out for linear in linears)
    return Architecture(hidden, num_blocks, linears, biases + 4 * hidden, outside, patches)


_VIT_PATCHES = 3 * 16 * 16 * 768
_VIT = (
    "attention.q_proj",
    "attention.k_proj",
    "attention.v_proj",
    "attention.o_proj",
    "mlp.fc1",
    "mlp.fc2",
)
_DISTILBERT = (
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "ffn.lin1",
    "ffn.lin2",
)

ARCHITECTURES: dict[str, Architecture] = {
    "qwen2.5-1.5b": _qwen2(hidden=1536, mlp=8960, num_blocks=28, key_value=256),
    "qwen2.5-3b": _qwen2(hidden=2048, mlp=11_008, num_blocks=36, key_value=256),
    # Patches and their bias, class token, 197 positions, last norm.
    "vit-base": _encoder(_VIT, 12, _VIT_PATCHES + 768 * (1 + 1 + 197 + 2), _VIT_PATCHES),
    # Tokens, 512 positions, norm.
    "distilbert": _encoder(_DISTILBERT, 6, 768 * (30_522 + 512 + 2), 0),
}
