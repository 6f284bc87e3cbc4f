"""Reading models through transformers: safetensors only, no foreign code."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    ViTConfig,
)
from transformers.models.auto.image_processing_auto import get_image_processor_config
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import logging

from cosim.learning.builtin.locate import builtin_model_dir
from cosim.learning.errors import LearningError

_CAUSAL_SUFFIXES = ("ForCausalLM", "LMHeadModel")
# Classes of a tokenizer that is all in its tokenizer.json.
_GENERAL_TOKENIZERS = ("TokenizersBackend", "PreTrainedTokenizerFast")
# Made anew if the files have none, and not used: vectors are pooled from the last hidden states.
_POOLER = "pooler"


@dataclass(frozen=True)
class Architecture:
    """What a kind of model can be: its name in messages, the class that reads it, what fits."""

    name: str
    loader: Any
    fits: Callable[[PretrainedConfig, Sequence[str]], bool]


@dataclass(frozen=True)
class Place:
    """Where a model's files were found: a folder or an id, and whether only downloaded ones."""

    name: str
    local: bool
    source: str

    @property
    def options(self) -> dict[str, Any]:
        """What every call of `from_pretrained` is given."""
        return {"local_files_only": self.local, "trust_remote_code": False}


def _is_causal(config: PretrainedConfig, architectures: Sequence[str]) -> bool:
    return type(config) in AutoModelForCausalLM._model_mapping and (
        not architectures or any(name.endswith(_CAUSAL_SUFFIXES) for name in architectures)
    )


def _is_encoder(config: PretrainedConfig, architectures: Sequence[str]) -> bool:
    return (
        type(config) in AutoModelForMaskedLM._model_mapping
        and not getattr(config, "is_encoder_decoder", False)
        and not getattr(config, "is_decoder", False)
        and not any(name.endswith(_CAUSAL_SUFFIXES) for name in architectures)
    )


def _is_vit(config: PretrainedConfig, _: Sequence[str]) -> bool:
    return type(config) is ViTConfig


CAUSAL_LM = Architecture("a causal language model", AutoModelForCausalLM, _is_causal)
ENCODER = Architecture("a bidirectional text encoder", AutoModel, _is_encoder)
IMAGE = Architecture("a vision transformer (ViT)", AutoModel, _is_vit)


def network(source: str, architecture: Architecture) -> tuple[PreTrainedModel, Place]:
    """Return the model of `source`, frozen, in evaluation mode, and where it was found.

    Args:
        source: `builtin:NAME`, `path:DIR` or the id of a model on the hub.
        architecture: what it must be.

    Raises:
        LearningError: there is no such model, it is of another architecture, or its weights are
            incomplete or not finite.
    """
    found, place = _read(source, architecture)
    if hasattr(found, _POOLER):
        setattr(found, _POOLER, None)
    found.eval()  # type: ignore[no-untyped-call]
    found.requires_grad_(False)
    for name, parameter in found.named_parameters():
        # The sum is not finite if an entry is not, and is found without another array.
        if not torch.isfinite(parameter.sum()) and not torch.isfinite(parameter).all():
            raise LearningError(
                f"expected finite weights in {place.name!r}, got NaN or infinity in {name}; the "
                "checkpoint is damaged, or its training diverged"
            )
    return found, place


def _read(source: str, architecture: Architecture) -> tuple[PreTrainedModel, Place]:
    kind, _, rest = source.partition(":")
    if kind == "builtin":
        try:
            place = Place(str(builtin_model_dir(rest)), True, source)
            return _from_pretrained(place, architecture), place
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
        place = Place(str(folder), True, source)
        try:
            return _from_pretrained(place, architecture), place
        except (OSError, ValueError) as error:
            raise LearningError(f"cannot read the model in {folder}: {error}") from error
    place = Place(source, True, source)
    try:
        return _from_pretrained(place, architecture), place
    except (OSError, ValueError):
        pass  # not downloaded yet, or not completely
    place = Place(source, False, source)
    try:
        return _from_pretrained(place, architecture), place
    except (OSError, ValueError) as error:
        raise LearningError(
            f"expected builtin:NAME, path:DIR or the id of a model on the hub, got {source!r}, "
            "which is neither downloaded nor to be had from the hub (check the name and the "
            f"network): {error}"
        ) from error


def _from_pretrained(place: Place, architecture: Architecture) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(place.name, **place.options)
    architectures = tuple(getattr(config, "architectures", None) or ())
    if not architecture.fits(config, architectures):
        raise LearningError(
            f"expected {architecture.name}, got {place.name!r}, which is "
            f"{', '.join(architectures) or config.model_type}"
        )
    # What the files lack is drawn anew: from a stream of its own, and then refused or left out.
    with _quiet(), torch.random.fork_rng(devices=[]):
        loaded: Any = architecture.loader.from_pretrained(
            place.name,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            **place.options,
        )
    found: PreTrainedModel = loaded[0]
    missing = sorted(
        name for name in loaded[1]["missing_keys"] if not name.startswith(f"{_POOLER}.")
    )
    if missing:
        raise LearningError(f"the weights of {place.name!r} are incomplete: no {_shown(missing)}")
    return found


def _shown(names: list[str]) -> str:
    most = 5
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def tokenizer(place: Place) -> PreTrainedTokenizerBase:
    """Return the tokenizer that a model's files describe, with a padding token.

    AutoTokenizer takes the class of the model's family where the files name a general one, and
    so would cut the text of a Qwen2 with its own tokenizer.json in Qwen2's ways.

    Raises:
        LearningError: there is none, or it can neither pad nor end a text.
    """
    try:
        declared = get_tokenizer_config(place.name, local_files_only=place.local)
        general = declared.get("tokenizer_class") in _GENERAL_TOKENIZERS
        loader: Any = PreTrainedTokenizerFast if general else AutoTokenizer
        with _quiet():
            found: PreTrainedTokenizerBase = loader.from_pretrained(place.name, **place.options)
    except (OSError, ValueError) as error:
        raise LearningError(f"cannot read the tokenizer of {place.source!r}: {error}") from error
    if len(found) <= len(found.all_special_ids):  # made of nothing, where there are no files
        raise LearningError(
            f"expected the tokenizer of {place.source!r} beside its weights (tokenizer.json), "
            "found none with a vocabulary"
        )
    if found.pad_token_id is None:
        if found.eos_token_id is None:
            raise LearningError(
                f"the tokenizer of {place.source!r} has neither a padding nor an end-of-text "
                "token; set pad_token in its tokenizer_config.json"
            )
        found.pad_token = found.eos_token
    return found


def preprocessor(place: Place) -> dict[str, Any]:
    """Return what a model's preprocessor_config.json holds; nothing if there is none."""
    try:
        found: dict[str, Any] = get_image_processor_config(place.name, local_files_only=place.local)
    except (OSError, ValueError) as error:
        raise LearningError(
            f"cannot read preprocessor_config.json of {place.source!r}: {error}"
        ) from error
    return found


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
