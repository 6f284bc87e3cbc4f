"""Every kind of the world's families reads its YAML keys, and reads back what it wrote."""

import pytest

from cosim.plugin import find, kind_of, kinds, plain

EXAMPLES = {
    ("area", "disc"): {"radius": "0.2 km"},
    ("area", "rectangle"): {"width": "300 m", "height": "80 m"},
    ("mobility", "static"): {"position": ("3 m", "-4 m")},
    ("mobility", "random_waypoint"): {"speed": ("1 m/s", "7.2 km/h"), "pause": "3 s"},
    ("path_loss", "free_space"): {"min_distance": "2 m"},
    ("path_loss", "log_distance"): {"exponent": 3, "reference_loss": "40 dB", "reference": "1 m"},
    ("fading", "none"): {},
    ("fading", "rayleigh"): {"coherence_time": "20 ms"},
    ("fading", "rayleigh_jakes"): {"samples_per_cycle": 16},
    ("compute", "flops"): {"rate": ("0.5 TFLOP/s", "2 TFLOP/s"), "power": "3 W"},
    ("compute", "paper"): {"alpha": "1e-9 s"},
}


def test_the_examples_are_all_the_kinds():
    families = dict.fromkeys(family for family, _ in EXAMPLES)
    assert set(EXAMPLES) == {(family, kind) for family in families for kind in kinds(family)}


@pytest.mark.parametrize(("family", "kind"), EXAMPLES)
def test_a_kind_reads_back_what_it_wrote(family, kind):
    cls = find(family, kind)
    model = cls.model_validate(EXAMPLES[family, kind])
    written = plain(model)
    assert written.pop("kind") == kind_of(model) == kind
    assert cls.model_validate(written) == model
    assert hash(cls.model_validate(written)) == hash(model)
    assert (model == cls.model_construct()) == (EXAMPLES[family, kind] == {})
