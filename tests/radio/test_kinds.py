import pytest

from cosim.plugin import find, kinds


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("rate", ["cqi", "fixed", "shannon"]),
        ("error", ["cqi_bler", "finite_blocklength", "fixed", "none"]),
        (
            "rule",
            [
                "delay_equalising",
                "equal",
                "max_min",
                "max_rate",
                "proportional_fair",
                "weighted",
            ],
        ),
    ],
)
def test_kinds_are_found_by_name(family, names):
    assert set(names) <= set(kinds(family))
    for name in names:
        find(family, name).model_validate({})
