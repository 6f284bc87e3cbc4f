"""The tokenizer of the builtin tiny model: a Qwen2 tokenizer whose merges spell the tasks' words.

It is byte-level BPE, as every Qwen2 model has: the space belongs to the word after it, digits
stand one by one, and no text is unknown. The merges of each word go from its first letter to its
last, so every beginning of a word is in the vocabulary and every word is one token.
"""

from collections.abc import Iterable

from tokenizers import pre_tokenizers
from transformers import Qwen2Tokenizer

END = "<|endoftext|>"


def build_tokenizer(words: Iterable[str]) -> Qwen2Tokenizer:
    """Return a tokenizer to which each of `words` is one token.

    Args:
        words: pieces of text, with the space before them where there is one.
    """
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelled = sorted({byte_level.pre_tokenize_str(word)[0][0] for word in words})
    # Merges at a space come first: within a known word they are then never overtaken by the
    # merges of a word that is written without a space.
    spelled.sort(key=lambda word: not word.startswith("Ġ"))
    steps = ((word[:end], word[end]) for word in spelled for end in range(1, len(word)))
    merges = list(dict.fromkeys(steps))
    entries = [END, *sorted(byte_level.alphabet()), *(left + right for left, right in merges)]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    return Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,  # type: ignore[arg-type]  # pairs, as they are read from a file
        pad_token=END,
        eos_token=END,
    )
