"""Networks that run with a mixture, and the routers that find its weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from inference_helpers import SITES, Given, Net, adapters, ask, experts, inputs, plain
from pool_helpers import adapter

from cosim.learning.adapter import Adapter, Layout, concatenate
from cosim.learning.errors import LearningError
from cosim.learning.inference.argmax import Argmax, ArgmaxRouter
from cosim.learning.inference.arrow import Arrow, ArrowRouter
from cosim.learning.inference.base import Codes
from cosim.learning.inference.implicit import CodeRouter, Implicit
from cosim.learning.inference.spectral import Spectral, SpectralRouter
from cosim.learning.methods.base import Expert
from cosim.learning.mixture import Mixture
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.pool._routing import mean_inputs, routed

NET = Net()


def read(x, mixture, is_prompt=None):
    tensor = torch.from_numpy(x).float()
    mask = torch.ones(x.shape[:2], dtype=torch.bool) if is_prompt is None else is_prompt
    with routed(NET.linears, mixture) as routing:
        return routing.run(lambda: NET(tensor), mask).double().numpy()


def constant(alpha):
    return lambda site, x: np.broadcast_to(alpha, (*x.shape[:2], alpha.shape[-1]))


def random_weights(rng, *shape):
    alpha = rng.random(shape)
    return (alpha / alpha.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("tokens", [1, 5])
def test_a_mixture_is_the_sum_over_its_adapters(tokens):
    parts, x = adapters(), inputs(tokens=5)
    alpha = random_weights(np.random.default_rng(4), 3, tokens, 3)
    expected = plain(NET, x, constant(alpha), parts)
    np.testing.assert_allclose(read(x, Mixture(parts, Given(alpha))), expected, atol=1e-6)


def test_all_weight_on_one_adapter_is_that_adapter_alone():
    parts, x = adapters(), inputs()
    for j, part in enumerate(parts):
        alpha = np.eye(3, dtype=np.float32)[j][None, None].repeat(3, axis=0)
        alone = plain(NET, x, constant(np.ones(1)), [part])
        np.testing.assert_allclose(read(x, Mixture(parts, Given(alpha))), alone, atol=1e-6)


def test_equal_weights_are_concatenated_adapters():
    parts, x = adapters(), inputs()
    alpha = np.full((3, 1, 3), 1 / 3, dtype=np.float32)
    both = concatenate([(part, 1 / 3) for part in parts])
    expected = plain(NET, x, constant(np.ones(1)), [both])
    np.testing.assert_allclose(read(x, Mixture(parts, Given(alpha))), expected, atol=1e-6)


def code_router(parts, sites, temperature, top_k, per_sequence, seed=5):
    """Of random means, and codes through each adapter's A."""
    rng = np.random.default_rng(seed)
    centers, *means = (
        tuple(rng.standard_normal(site.d_in).astype(np.float32) for site in sites)
        for _ in range(1 + len(parts))
    )
    codes = tuple(code_of(part, mean, centers) for part, mean in zip(parts, means, strict=True))
    return CodeRouter(parts, centers, codes, temperature, top_k, per_sequence)


def code_of(part, means, centers):
    pairs = enumerate(zip(means, centers, strict=True))
    return np.stack([part.layout.a(part.vector, site) @ (mean - mu) for site, (mean, mu) in pairs])


def routers(parts, sites=SITES):
    found = {
        "argmax": ArgmaxRouter(parts),
        "arrow": ArrowRouter(parts, 0.5, 2),
        "arrow of all": ArrowRouter(parts, 0.5, None),
        "spectral": SpectralRouter(parts, 1.0, None),
    }
    if len({part.layout.rank for part in parts}) == 1:  # codes are of one length
        found["codes, site by site"] = code_router(parts, sites, 0.1, None, False)
        found["codes of sequences"] = code_router(parts, sites, 0.1, 2, True)
    return found


EVERY = pytest.mark.parametrize("name", routers(adapters((3, 3, 3))))


def parts_for(name, ranks=(2, 3, 4)):
    return adapters((3, 3, 3)) if name.startswith("codes") else adapters(ranks)


def plain_scores(name, router, x, site, is_prompt):
    """Scores [rows, T, J] by loops in float64."""
    parts = router.adapters
    result = np.zeros((*x.shape[:2], len(parts)))
    for j, part in enumerate(parts):
        a = part.layout.a(part.vector, site).astype(np.float64)
        matrix = part.scale * part.layout.b(part.vector, site).astype(np.float64) @ a
        for row in range(len(x)):
            for token in range(x.shape[1]):
                here = x[row, token]
                if name.startswith("arrow"):
                    score = abs(np.linalg.svd(matrix)[2][0] @ here)
                elif name == "spectral":
                    score = np.linalg.norm(matrix @ here)
                elif name == "argmax":
                    size = np.linalg.norm(matrix) * np.linalg.norm(here)
                    score = np.linalg.norm(matrix @ here) / size
                else:
                    mean = x[row][is_prompt[row]].mean(axis=0)
                    mine = a @ (mean - router.centers[site])
                    other = router.codes[j][site].astype(np.float64)
                    score = mine @ other / np.linalg.norm(mine) / np.linalg.norm(other)
                result[row, token, j] = score
    if name == "argmax":
        for row in range(len(x)):
            result[row] = result[row][is_prompt[row]].mean(axis=0)
    return result


def plain_weights(name, router, scores):
    if name == "argmax":
        return np.eye(scores.shape[-1])[scores.argmax(axis=-1)]
    if name == "spectral":
        scores = (scores - scores.mean(-1, keepdims=True)) / scores.std(-1, keepdims=True)
    scaled = scores / router.temperature
    if router.top_k is not None:
        least = np.sort(scaled, axis=-1)[..., -router.top_k :][..., :1]
        scaled = np.where(scaled >= least, scaled, -np.inf)
    power = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)


@EVERY
def test_routers_run_as_written_out(name):
    parts, x = parts_for(name, (3, 4, 2)), inputs(seed=8)
    router = routers(parts)[name]
    is_prompt = np.arange(5) < np.array([5, 3, 1])[:, None]
    base = {}

    def watching(site, x):
        base[site] = x
        return np.zeros((*x.shape[:2], 3))

    plain(NET, x, watching, parts)
    mean = np.mean(
        [plain_scores(name, router, base[site], site, is_prompt) for site in base], axis=0
    )

    def alphas(site, x):
        scores = mean if router.per_sequence else plain_scores(name, router, x, site, is_prompt)
        return plain_weights(name, router, scores)

    expected = plain(NET, x, alphas, parts)
    found = read(x, Mixture(parts, router), torch.from_numpy(is_prompt))
    np.testing.assert_allclose(found, expected, atol=2e-5)


@EVERY
def test_weights_are_a_distribution(name):
    parts = parts_for(name)
    router = routers(parts)[name]
    x = torch.from_numpy(inputs(seed=2)).float()
    known = tuple(map(torch.from_numpy, router.known(0)))
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    alpha = router.weights(router.scores(known, x, mask))
    assert (alpha >= 0).all()
    np.testing.assert_allclose(alpha.sum(dim=-1).numpy(), 1, atol=1e-6)
    most = {"argmax": 1, "arrow": 2, "codes of sequences": 2}.get(name, 3)
    assert ((alpha > 0).sum(dim=-1) == most).all()


@EVERY
def test_padding_changes_nothing(name):
    """What is behind the prompt has no part in a row's weights, however large it is."""
    parts, x = parts_for(name), inputs(tokens=6, seed=3)
    lengths = np.array([4, 6, 2])
    is_prompt = torch.from_numpy(np.arange(6) < lengths[:, None])
    router = routers(parts)[name]
    spoiled = np.where(is_prompt.numpy()[:, :, None], x, 1e3)
    together = read(spoiled, Mixture(parts, router), is_prompt)
    for row, length in enumerate(lengths):
        alone = read(x[row : row + 1, :length], Mixture(parts, router))
        np.testing.assert_allclose(together[row, :length], alone[0], atol=1e-5)


@EVERY
def test_a_mixture_of_one_is_its_adapter(name):
    (part,), x = adapters((3,)), inputs()
    alone = plain(NET, x, constant(np.ones(1)), [part])
    router = routers((part,))[name]
    np.testing.assert_allclose(read(x, Mixture((part,), router)), alone, atol=1e-6)


@EVERY
def test_half_precision_follows(name):
    parts, x = parts_for(name), torch.from_numpy(inputs(seed=8))
    mixture = Mixture(parts, routers(parts)[name])
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    coarse = Net().bfloat16()
    with routed(coarse.linears, mixture) as routing:
        found = routing.run(lambda: coarse(x.bfloat16()), mask)
    assert found.dtype == torch.bfloat16
    # Where two adapters score nearly alike, rounding may choose between them.
    error = np.abs(found.double().numpy() - read(x.numpy(), mixture))
    assert np.median(error) < 0.03


def test_the_layers_are_as_before():
    x = torch.from_numpy(inputs()).float()
    before = NET(x)
    parts = adapters()
    with routed(NET.linears, Mixture(parts, ArgmaxRouter(parts))) as routing:
        assert not torch.allclose(
            routing.run(lambda: NET(x), torch.ones(3, 5, dtype=torch.bool)), before
        )
        assert torch.equal(NET(x), before)
    with pytest.raises(LearningError, match="tokens at every adapted layer"):
        read(inputs(), Mixture(parts, ArgmaxRouter(parts)), torch.ones(3, 4, dtype=torch.bool))


def tuned(direction, rank=2, size=1.0):
    """An adapter that reacts to inputs along `direction` [d_in of the first site] alone."""
    layout = Layout(SITES, rank)
    vector = np.zeros(layout.size, np.float32)
    rng = np.random.default_rng(6)
    for site in range(len(SITES)):
        layout.b(vector, site)[:] = size * rng.standard_normal(layout.b(vector, site).shape)
    layout.a(vector, 0)[0] = direction
    return Adapter(layout, vector, 1.0)


@pytest.mark.parametrize("kind", [Arrow(temperature=0.1), Spectral(temperature=0.1), Argmax()])
def test_inputs_go_to_the_adapter_that_is_made_for_them(kind):
    """Token t of row t lies along the direction of adapter t, either way round."""
    directions = np.linalg.qr(np.random.default_rng(2).standard_normal((12, 4)))[0].T
    known = tuple(Expert((j,), tuned(each)) for j, each in enumerate(directions))
    router = ask(kind, known).router
    known_there = tuple(map(torch.from_numpy, router.known(0)))
    x = torch.from_numpy(4 * directions * np.array([1, -1, 1, -1])[:, None]).float()[:, None]
    scores = router.scores(known_there, x, torch.ones(4, 1, dtype=torch.bool))
    alpha = router.weights(scores)[:, 0]
    assert (alpha.argmax(dim=1) == torch.arange(4)).all()
    assert (alpha.max(dim=1).values > 0.95).all()


def test_the_size_of_an_adapter_does_not_draw_sequences_to_it():
    first, second = np.eye(12)[:2]
    known = tuple(
        Expert((j,), tuned(each, size=size))
        for j, (each, size) in enumerate([(first, 1.0), (second, 100.0)])
    )
    x = torch.from_numpy(first + 0.5 * second).float()[None, None]
    for kind, expected in ((Argmax(), 0), (Spectral(), 1)):
        router = ask(kind, known).router
        alpha = router.weights(
            router.scores(tuple(map(torch.from_numpy, router.known(0))), x, torch.ones(1, 1) > 0)
        )
        assert alpha.flatten().argmax() == expected


def test_arrow_finds_no_direction_in_an_adapter_that_changes_nothing():
    layout = Layout(SITES, 2)
    nothing = Adapter(layout, np.ones(layout.size, np.float32), 1.0)
    nothing.vector[layout.part_b] = 0
    (top,) = ArrowRouter((nothing, adapter(SITES, 2, 0)), 1.0, None).known(0)
    assert not top[0].any()
    assert np.linalg.norm(top[1]) == pytest.approx(1)


@pytest.mark.parametrize("scope", ["site", "sequence"])
def test_codes_tell_tasks_apart(scope):
    """Tasks are four centers of N(0, 1), tokens lie around them by N(0, 1), sequences are of 8.

    Chance is 1/4: of n = 200 guesses more than half are right with probability below 1e-13.
    """
    rng = np.random.default_rng(7)
    centers = rng.standard_normal((4, SITES[0].d_in))
    known = experts((0,), (1,), (2,), (3,), ranks=(8, 8, 8, 8))
    truth = np.repeat(np.arange(4), 50)
    x = centers[truth][:, None] + rng.standard_normal((200, 8, SITES[0].d_in))
    means = {}
    for device, center in enumerate(centers):
        own = center + rng.standard_normal((20, 8, SITES[0].d_in))
        tensor = torch.from_numpy(own).float()
        batches = [(lambda t=part: NET(t), torch.ones(10, 8) > 0) for part in tensor.split(10)]
        means[device] = mean_inputs(NET.linears, batches)
        np.testing.assert_allclose(means[device][0], own.mean(axis=(0, 1)), atol=1e-5)
    center = tuple(np.mean(site, axis=0) for site in zip(*means.values(), strict=True))
    codes = {j: code_of(known[j].adapter, mean, center) for j, mean in means.items()}
    mixture = ask(Implicit(scope=scope), known, codes=Codes(center, codes))
    router = mixture.router
    mask = torch.ones(200, 8, dtype=torch.bool)
    scores = router.scores(
        tuple(map(torch.from_numpy, router.known(0))), torch.from_numpy(x).float(), mask
    )
    chosen = router.weights(scores)[:, 0].argmax(dim=1).numpy()
    assert (chosen == truth).mean() > 0.8
    assert read(x, mixture).shape == (200, 8, SITES[2].d_out)


def test_experts_alike_answer_with_their_sum_where_the_best_has_weight_one():
    parts = adapters((3, 3, 3))
    literal = code_router(parts, SITES, 0.1, None, True)
    router = replace(literal, best_is_one=True)
    scores = torch.from_numpy(np.random.default_rng(3).standard_normal((5, 1, 3)))
    expected = np.exp((scores.numpy() - scores.numpy().max(axis=-1, keepdims=True)) / 0.1)
    np.testing.assert_allclose(router.weights(scores).numpy(), expected, rtol=1e-9)
    alike = torch.zeros(5, 1, 3)
    np.testing.assert_allclose(router.weights(alike).numpy(), 1.0)
    np.testing.assert_allclose(literal.weights(alike).numpy(), 1 / 3, rtol=1e-6)
    center = tuple(np.zeros(site.d_in) for site in SITES)
    known = experts((0,), (1,), ranks=(3, 3))
    codes = Codes(center, {j: code_of(known[j].adapter, center, center) for j in (0, 1)})
    for how in ("sum", "best"):
        router = ask(Implicit(normalise=how), known, codes=codes).router
        assert router.best_is_one == (how == "best")


def test_mean_inputs_counts_the_tokens_it_is_told():
    x = inputs(tokens=6)
    tensor = torch.from_numpy(x).float()
    mask = torch.from_numpy(np.arange(6) < np.array([2, 6, 3])[:, None])
    batches = [(lambda: NET(tensor[:2]), mask[:2]), (lambda: NET(tensor[2:]), mask[2:])]
    found = mean_inputs(NET.linears, batches)
    np.testing.assert_allclose(found[0], x[mask.numpy()].mean(axis=0), atol=1e-6)
    hidden = NET.linears[0](tensor).tanh()[mask].mean(dim=0).detach()
    np.testing.assert_allclose(found[1], hidden.numpy(), atol=1e-6)


@pytest.fixture(scope="module")
def tiny():
    base = CausalLm(source="builtin:tiny").load()
    return base, [base.network.get_submodule(name) for name in base.targets]


@EVERY
def test_a_language_model_answers_with_a_mixture(name, tiny):
    """Padded on the right, a row's logits are those of the row alone; hard routing is one's own."""
    base, linears = tiny
    sites = tuple(
        replace(SITES[0], name=name, d_in=linear.in_features, d_out=linear.out_features)
        for name, linear in zip(base.targets, linears, strict=True)
    )
    parts = tuple(adapter(sites, 4, j) for j in range(3))
    router = routers(parts, sites)[name]
    texts = ["Review: the film was very good. Answer:", "Sum: 3 plus 4. Answer:"]
    rows = [base.tokenizer(text, return_tensors="pt")["input_ids"][0] for text in texts]
    length = max(map(len, rows))
    ids = torch.full((2, length), base.tokenizer.pad_token_id)
    is_prompt = torch.arange(length) < torch.tensor([[len(row)] for row in rows])
    for row, text in enumerate(rows):
        ids[row, : len(text)] = text
    with routed(linears, Mixture(parts, router)) as routing:
        both = routing.run(lambda: base.network(input_ids=ids, use_cache=False).logits, is_prompt)
        for row, text in enumerate(rows):
            mask = torch.ones(1, len(text), dtype=torch.bool)
            alone = routing.run(
                lambda text=text: base.network(input_ids=text[None], use_cache=False).logits, mask
            )
            torch.testing.assert_close(both[row, : len(text)], alone[0], atol=2e-4, rtol=0)
    with torch.no_grad():
        plain_logits = base.network(input_ids=ids, use_cache=False).logits
    assert not torch.allclose(both, plain_logits, atol=1e-2)
