"""Reading a causal language model through transformers: safetensors only, no foreign code."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import Linear
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import logging

from cosim.learning.builtin.locate import builtin_model_dir
from cosim.learning.errors import LearningError
from cosim.learning.models.base import BaseModel

_CAUSAL_SUFFIXES = ("ForCausalLM", "LMHeadModel")
# Classes of a tokenizer that is all in its tokenizer.json.
_GENERAL_TOKENIZERS = ("TokenizersBackend", "PreTrainedTokenizerFast")


def load_causal_lm(source: str, targets: Literal["all_linear"] | tuple[str, ...]) -> BaseModel:
    """Return the model of `source`, frozen, with the layers that `targets` names.

    Raises:
        LearningError: as `CausalLm.load` says.
    """
    network, tokenizer = _read(source)
    _set_padding(tokenizer, source)
    network.eval()  # type: ignore[no-untyped-call]
    network.requires_grad_(False)
    return BaseModel(network, tokenizer, _targets(network, source, targets))


def _read(source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    kind, _, rest = source.partition(":")
    if kind == "builtin":
        try:
            return _from_pretrained(str(builtin_model_dir(rest)), local=True)
        except LookupError as error:
            raise LearningError(str(error)) from None
        except (OSError, ValueError) as error:
            raise LearningError(f"cannot read the model {source!r}: {error}") from error
    if kind == "path":
        folder = Path(rest).expanduser()
        if not (folder / "config.json").is_file():
            state = "has no config.json" if folder.is_dir() else "does not exist"
            raise LearningError(
                f"expected a folder with a model in Hugging Face format, got {folder}, "
                f"which {state}"
            )
        try:
            return _from_pretrained(str(folder), local=True)
        except (OSError, ValueError) as error:
            raise LearningError(f"cannot read the model in {folder}: {error}") from error
    try:
        return _from_pretrained(source, local=True)
    except (OSError, ValueError):
        pass  # not downloaded yet, or not completely
    try:
        return _from_pretrained(source, local=False)
    except (OSError, ValueError) as error:
        raise LearningError(
            f"expected builtin:NAME, path:DIR or the id of a model on the hub, got {source!r}, "
            "which is neither downloaded nor to be had from the hub (check the name and the "
            f"network): {error}"
        ) from error


def _from_pretrained(place: str, local: bool) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    safe: dict[str, Any] = {"local_files_only": local, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(place, **safe)
    architectures = tuple(getattr(config, "architectures", None) or ())
    if type(config) not in AutoModelForCausalLM._model_mapping or (
        architectures and not any(name.endswith(_CAUSAL_SUFFIXES) for name in architectures)
    ):
        raise LearningError(
            f"expected a causal language model, got {place!r}, which is "
            f"{', '.join(architectures) or config.model_type}"
        )
    with _quiet():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            place,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            **safe,
        )
        tokenizer = _tokenizer(place, safe)
    network, loading = loaded
    if loading["missing_keys"]:
        raise LearningError(
            f"the weights of {place!r} are incomplete: no {', '.join(loading['missing_keys'])}"
        )
    return network, tokenizer


def _tokenizer(place: str, safe: dict[str, Any]) -> PreTrainedTokenizerBase:
    """Load the tokenizer that the files describe.

    AutoTokenizer takes the class of the model's family where the files name a general one, and
    so would cut the text of a Qwen2 with its own tokenizer.json in Qwen2's ways.
    """
    declared = get_tokenizer_config(place, local_files_only=safe["local_files_only"])
    general = declared.get("tokenizer_class") in _GENERAL_TOKENIZERS
    loader: Any = PreTrainedTokenizerFast if general else AutoTokenizer
    tokenizer: PreTrainedTokenizerBase = loader.from_pretrained(place, **safe)
    return tokenizer


def _set_padding(tokenizer: PreTrainedTokenizerBase, source: str) -> None:
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise LearningError(
                f"the tokenizer of {source!r} has neither a padding nor an end-of-text token; "
                "set pad_token in its tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token


def _targets(
    network: PreTrainedModel, source: str, targets: Literal["all_linear"] | tuple[str, ...]
) -> tuple[str, ...]:
    head = network.get_output_embeddings()  # type: ignore[no-untyped-call]
    names = tuple(
        name
        for name, module in network.named_modules()
        if isinstance(module, Linear) and module is not head
    )
    if targets == "all_linear":
        if not names:
            raise LearningError(
                f"expected a model with torch.nn.Linear layers, got {source!r}, "
                f"a {type(network).__name__}, which has none beside its output head"
            )
        return names
    wanted = tuple(f".{target}" for target in targets)
    for target in wanted:
        if not any(f".{name}".endswith(target) for name in names):
            there = dict.fromkeys(name.rpartition(".")[2] for name in names)
            raise LearningError(
                f"targets: {target[1:]!r} matches no linear layer of {source!r}; "
                f"there are {', '.join(there) or 'none'}"
            )
    return tuple(name for name in names if f".{name}".endswith(wanted))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the loading bars of transformers off the terminal."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
