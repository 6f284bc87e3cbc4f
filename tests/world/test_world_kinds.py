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
    ("mobility", "random_direction"): {"travel_time": ("5 s", "20 s")},
    ("mobility", "gauss_markov"): {"memory": 0.9},
    ("mobility", "manhattan"): {"block_width": "100 m", "block_height": "100 m"},
    ("mobility", "circular"): {"radius": "50 m"},
    ("mobility", "group"): {"leader": {"kind": "gauss_markov"}, "radius": "5 m"},
    ("mobility", "sumo_fcd"): {"file": "a.xml", "start": "60 s"},
    ("mobility", "ns2"): {"file": "a.tcl", "duration": "1 h"},
    ("mobility", "bonnmotion"): {"file": "a.movements.gz", "dimensions": 3},
    ("mobility", "csv_trace"): {"file": "a.csv", "delimiter": ";"},
    ("path_loss", "two_ray"): {"permittivity": 15},
    ("path_loss", "umi"): {},
    ("path_loss", "uma"): {},
    ("path_loss", "inh"): {"office": "open"},
    ("path_loss", "v2v"): {"environment": "highway"},
    ("path_loss", "d2d"): {},
    ("path_loss", "measured"): {"file": "g.csv", "missing": "140 dB"},
    ("shadowing", "none"): {},
    ("shadowing", "gudmundson"): {"sigma": "6 dB", "decorrelation": "20 m"},
    ("fading", "none"): {},
    ("fading", "rician"): {"k": "9 dB"},
    ("fading", "nakagami"): {"m": 2.0},
    ("delay_profile", "flat"): {},
    ("delay_profile", "exponential"): {"delay_spread": "300 ns", "paths": 8},
    ("delay_profile", "tdl"): {"profile": "C"},
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
