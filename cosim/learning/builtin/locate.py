"""Where the models are that ship with the package."""

from pathlib import Path

from cosim.wording import no_such

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
        raise LookupError(no_such("builtin model", name, names))
    return _MODELS / name
