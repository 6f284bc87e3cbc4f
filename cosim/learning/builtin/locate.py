"""Where the models are that ship with the package."""

from difflib import get_close_matches
from pathlib import Path

_MODELS = Path(__file__).parent


def builtin_names() -> list[str]:
    """Return the names of the shipped models, sorted."""
    return sorted(config.parent.name for config in _MODELS.glob("*/config.json"))


def builtin_model_dir(name: str) -> Path:
    """Return the folder of a shipped model, in Hugging Face format.

    Args:
        name: the part after `builtin:` in a scenario's `source`.

    Raises:
        LookupError: there is no such model; the message says which there are.
    """
    names = builtin_names()
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise LookupError(f"expected a builtin model ({', '.join(names)}), got {name!r}{hint}")
    return _MODELS / name
