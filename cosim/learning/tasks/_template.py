"""Prompt templates: text with `{placeholders}`, of which those of the answer end the prompt.

    {question}
    Answer: {choice}

Up to the first placeholder of the answer a template is the prompt; from there on, with the space
before it, it is what the model is to say. Braces are doubled to stand for themselves. A template
is data: nothing but the names of a row's texts is looked up in it, no attribute and no index.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cosim.learning.errors import LearningError
from cosim.wording import did_you_mean

_SHIPPED = Path(__file__).parent / "templates"
_MARK = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TemplateError(ValueError):
    """A template that cannot be used; the message says what there is."""


@dataclass(frozen=True)
class Template:
    """A prompt and what follows it, both with placeholders."""

    prompt: str
    answer: str

    @classmethod
    def of(cls, text: str, fields: tuple[str, ...], answers: tuple[str, ...]) -> "Template":
        """Read a template.

        Args:
            text: the template; a line end after its last line is not part of it.
            fields: placeholders that the prompt may have.
            answers: placeholders that stand for the answer; one of them must be there.

        Raises:
            TemplateError: a placeholder is not known, or none of the answer's is there.
        """
        text = text.removesuffix("\n")
        known = (*fields, *answers)
        start = None
        for mark in _MARK.finditer(text):
            if mark[0] in ("{{", "}}"):
                continue
            name = mark[1]
            if name is None:
                raise TemplateError(
                    f"expected braces in pairs, got a lone {mark[0]!r} in the template; double it "
                    "to have it in the text"
                )
            if name not in known:
                raise TemplateError(
                    f"expected one of the placeholders {_braced(known)}, got {{{name}}}"
                    f"{did_you_mean(name, known)}"
                )
            if start is None and name in answers:
                start = mark.start()
            elif start is not None and name not in answers:
                raise TemplateError(
                    f"expected nothing but the answer after {_braced(answers)}, got {{{name}}}"
                )
        if start is None:
            raise TemplateError(
                f"expected one of {_braced(answers)}, where the answer is to stand, got a template "
                "without"
            )
        prompt = text[:start].rstrip()
        if not prompt:
            raise TemplateError("expected a prompt before the answer, got nothing there")
        return cls(prompt, text[len(prompt) :])

    def ask(self, texts: Mapping[str, str]) -> str:
        """Return the prompt with these texts in it."""
        return _filled(self.prompt, texts).rstrip()

    def reply(self, texts: Mapping[str, str]) -> str:
        """Return what follows the prompt with these texts in it."""
        return _filled(self.answer, texts)


def read_template(inline: str | None, file: Path | None, shipped: str) -> str:
    """Return the text of a template: the user's, or that of a shipped file.

    Args:
        inline: the template itself.
        file: a file that holds it.
        shipped: name of a file of the package, without its suffix, for neither of these.

    Raises:
        LearningError: the file cannot be read.
    """
    if inline is not None:
        return inline
    path = _SHIPPED / f"{shipped}.txt" if file is None else file
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "text that is no UTF-8"
        raise LearningError(
            f"{path}: expected a file with a prompt template, got {reason} (files are looked up "
            "in `data_root:`)"
        ) from None


def placeholders(text: str, answers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that a template has in braces, but for those of the answer."""
    names = dict.fromkeys(mark[1] for mark in _MARK.finditer(text) if mark[1] is not None)
    return tuple(name for name in names if name not in answers)


def _filled(text: str, texts: Mapping[str, str]) -> str:
    between, names = _parts(text)
    filled = [between[0]]
    for name, after in zip(names, between[1:], strict=True):
        filled += (texts[name], after)
    return "".join(filled)


@lru_cache(maxsize=64)
def _parts(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the texts between placeholders, one more than these, and the placeholders' names."""
    between, end = [""], 0
    names: list[str] = []
    for mark in _MARK.finditer(text):
        between[-1] += text[end : mark.start()]
        end = mark.end()
        if mark[1] is None:  # a doubled brace
            between[-1] += mark[0][0]
        else:
            names.append(mark[1])
            between.append("")
    between[-1] += text[end:]
    return tuple(between), tuple(names)


def _braced(names: tuple[str, ...]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
