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
from cosim.on_disk import under
from cosim.wording import did_you_mean, one_of

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
    if kind == "path":
        folder = under(Path(), rest)
        if not (folder / "config.json").is_file():
            raise _no_model(folder)
        place = Place(str(folder), True, source)
        return _from_pretrained(place, architecture), place
    if Path(source).is_dir():
        raise LearningError(
            "expected builtin:NAME, path:DIR or the id of a model on the hub, got "
            f"{source!r}, which is a folder here; a folder is named path:{source}"
        )
    place = Place(source, True, source)
    try:
        return _from_pretrained(place, architecture), place
    except _UnreadableError:
        pass  # not downloaded yet, or not completely
    place = Place(source, False, source)
    try:
        return _from_pretrained(place, architecture), place
    except _UnreadableError as error:
        hint = f"; a folder is named path:{source}" if source.startswith((".", "/", "~")) else ""
        raise LearningError(
            f"expected builtin:NAME, path:DIR or the id of a model on the hub, got {source!r}, "
            "which is neither downloaded nor to be had from the hub (check the name and the "
            f"network{hint}; a model that was downloaded elsewhere is named path:DIR): {error.why}"
        ) from error


def _no_model(folder: Path) -> LearningError:
    """Return the error of a folder that is none, or holds no model."""
    near = ""
    if folder.is_dir():
        state = "has no config.json"
        inside = [each.parent.name for each in sorted(folder.glob("*/config.json"))]
        near = f"; there is one in {one_of(inside)} in it" if inside else ""
    elif folder.exists():
        state = "is a file"
    else:
        state = "does not exist"
        here = folder.parent
        near = did_you_mean(folder.name, [p.name for p in here.iterdir()] if here.is_dir() else ())
        if not folder.is_absolute():
            near += f" (looked up in {Path.cwd()})"
    return LearningError(
        f"expected a folder with a model in Hugging Face format, got {folder}, which {state}{near}"
    )


class _UnreadableError(LearningError):
    """Files that transformers cannot make a model of.

    Attributes:
        why: what it says of it, on one line.
    """

    def __init__(self, what: str, error: Exception) -> None:
        said = str(error).strip().partition("\n")[0]
        bare = not said or isinstance(error, LookupError)  # whose text is a key alone
        self.why = f"{type(error).__name__} {said}".strip() if bare else said
        super().__init__(f"cannot read {what}: {self.why}")


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Make one message of what the libraries raise for damaged files, which can be anything."""
    try:
        yield
    except (LearningError, MemoryError, RuntimeError):
        raise
    except Exception as error:
        raise _UnreadableError(what, error) from error


def _from_pretrained(place: Place, architecture: Architecture) -> PreTrainedModel:
    with _reading(f"the model in {place.name}"):
        config = AutoConfig.from_pretrained(place.name, **place.options)
    architectures = tuple(getattr(config, "architectures", None) or ())
    if not architecture.fits(config, architectures):
        raise LearningError(
            f"expected {architecture.name}, got {place.name!r}, which is "
            f"{', '.join(architectures) or config.model_type}"
        )
    # What the files lack is drawn anew: from a stream of its own, and then refused or left out.
    with (
        _reading(f"the model in {place.name}"),
        _quiet(),
        torch.random.fork_rng(devices=[]),
    ):
        loaded: Any = architecture.loader.from_pretrained(
            place.name,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, with their names and shapes
            **place.options,
        )
    found: PreTrainedModel = loaded[0]
    missing = sorted(
        name for name in loaded[1]["missing_keys"] if not name.startswith(f"{_POOLER}.")
    )
    if missing:
        raise LearningError(f"the weights of {place.name!r} are incomplete: no {_shown(missing)}")
    for name, got, expected in sorted(loaded[1]["mismatched_keys"]):
        raise LearningError(
            f"expected {name} of shape {list(expected)} in {place.name!r}, as its config.json "
            f"says, got {list(got)}; the weights are of another model"
        )
    return found


def _shown(names: list[str]) -> str:
    most = 5
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def tokenizer(place: Place, network: PreTrainedModel) -> PreTrainedTokenizerBase:
    """Return the tokenizer that a model's files describe, with a padding token.

    AutoTokenizer takes the class of the model's family where the files name a general one, and
    so would cut the text of a Qwen2 with its own tokenizer.json in Qwen2's ways.

    Raises:
        LearningError: there is none, it can neither pad nor end a text, or it is of another model.
    """
    with _reading(f"the tokenizer of {place.source!r}"), _quiet():
        declared = get_tokenizer_config(place.name, local_files_only=place.local)
        general = declared.get("tokenizer_class") in _GENERAL_TOKENIZERS
        loader: Any = PreTrainedTokenizerFast if general else AutoTokenizer
        found: PreTrainedTokenizerBase = loader.from_pretrained(place.name, **place.options)
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
    embeddings: Any = network.get_input_embeddings()
    known = int(embeddings.weight.shape[0])
    most = max(found.get_vocab().values())
    if most >= known:
        raise LearningError(
            f"expected a tokenizer whose tokens are numbered below {known}, as many as "
            f"{place.source!r} has embeddings, got one with numbers up to {most}; it is of "
            "another model"
        )
    return found


def preprocessor(place: Place) -> dict[str, Any]:
    """Return what a model's preprocessor_config.json holds; nothing if there is none."""
    with _reading(f"preprocessor_config.json of {place.source!r}"):
        found: dict[str, Any] = get_image_processor_config(place.name, local_files_only=place.local)
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
