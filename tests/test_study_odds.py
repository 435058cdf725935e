"""The odds: the measures of study/odds.py on flows of which it is known what they know."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import tiny_settings

from data import render
from flow import (
    FlowNetwork,
    FlowSettings,
    loss_by_time,
    possible_futures,
    posterior_mean,
    trained_flow,
    velocity,
)
from study import odds, velocities
from study.measures import MOSTLY_CCW
from study.velocities import FromVelocity, OrdinaryMLP, PassesX, Rival, RivalSettings

SCALE = 5.0  # of the coordinates: the direction is decided at about step 8


def space_of_coordinates(**changes):
    """A latent space whose latents are the squares' centres, times SCALE."""
    return SimpleNamespace(
        settings=FlowSettings(embed_dim=2, **changes),
        encode=lambda centers: torch.from_numpy(SCALE * centers).float(),
        decode=lambda z: torch.from_numpy(render(z.reshape(len(z), -1, 2).numpy() / SCALE)),
    )


def futures_of(space, given):
    """The futures and their prior, from the latents of the given frame."""
    return possible_futures(space, (given / SCALE).double().numpy()[:, None])


def knows_all(space):
    """A network that is the exact flow."""
    return lambda x, t, given: posterior_mean(x, t, *futures_of(space, given))


def always(space, weights):
    """A network that gives its futures these weights, whatever it sees."""
    return lambda x, t, given: torch.einsum(
        "nkd,k->nd", futures_of(space, given)[0], torch.tensor(weights)
    )


class Forgetful:
    """A network with a memory: exact as long as it is handed the states that it made itself. Where
    it finds another one, it has lost the thread, and predicts the middle of the frame."""

    def __init__(self, space):
        self.exact = knows_all(space)
        self.expected, self.lost = torch.zeros(0), False

    def __call__(self, x, t, given):
        mean = self.exact(x, t, given)
        self.lost = t[0, 0] > 0 and (self.lost or not torch.equal(x, self.expected))
        if self.lost:
            mean = 0 * mean
        self.expected = x + (mean - x) / (odds.STEPS - round(t[0, 0].item() * odds.STEPS))
        return mean


def test_distance_of_q_from_nothing_to_all():
    space = space_of_coordinates()
    exact = odds.distance_of_q(knows_all(space), space)
    assert exact["learned"] < 1e-5 and 0.25 < exact["one half"] < 0.4
    blind = odds.distance_of_q(always(space, [0.5, 0.5]), space)
    assert blind["learned"] == pytest.approx(blind["one half"], abs=1e-6)
    sure = odds.distance_of_q(always(space, [1.0, 0.0]), space)  # right half of the time
    assert sure["learned"] == pytest.approx(0.5, abs=0.05)


def test_bits_by_hand():
    def told(*shares_and_truths):
        shares, truths = zip(*shares_and_truths)
        return odds.bits(torch.tensor(shares), torch.tensor(truths))

    assert told((0.5, True), (0.5, False)) == pytest.approx(1)
    assert told((0.25, True), (0.25, False)) == pytest.approx((2 + np.log2(4 / 3)) / 2)
    # q may be a little beyond 0 and 1; to be right then costs nearly nothing, to be wrong 10 bits
    assert told((1.3, True), (-0.2, False)) == pytest.approx(0, abs=0.002)
    assert told((1.3, False), (-0.2, True)) == pytest.approx(np.log2(1000), abs=1e-3)


def test_time_below_half():
    assert odds.time_below_half([0.0, 0.1, 0.2], [1.0, 0.6, 0.2]) == pytest.approx(0.125)
    assert odds.time_below_half([0.0, 0.1], [1.0, 0.9]) == 1.0
    assert odds.time_below_half([0.0, 0.1], [0.4, 0.2]) == 0.0


def test_half_a_bit_comes_at_the_time_that_the_distance_predicts():
    space = space_of_coordinates()
    told = odds.time_of_half_a_bit(knows_all(space), space)
    assert told["learned"] == pytest.approx(told["exact"], abs=1e-4)
    assert told["exact"] == pytest.approx(told["t_S"], abs=0.03)
    assert odds.time_of_half_a_bit(always(space, [0.5, 0.5]), space)["learned"] == 1  # never
    late = knows_all(space)  # sees its states twice as early as they are
    later = odds.time_of_half_a_bit(lambda x, t, given: late(x, t / 2, given), space)
    assert later["learned"] > told["exact"] + 0.02 and later["exact"] == told["exact"]


def test_distances_of_frequencies():
    """The share of heads in n throws has the standard deviation 1 / (2 sqrt(n)), and the difference
    of two such numbers is sqrt(2) sqrt(2 / pi) of it on average."""
    a, b = np.array([[0.5, 0.5, 0.0], [1, 0, 0]]), np.array([[0.25, 0.25, 0.5], [0, 0, 1]])
    np.testing.assert_allclose(odds.total_variation(a, b), [0.5, 1])
    chance = odds.distance_by_chance(np.array([0.5, 0.5]), 400, np.random.default_rng(0))
    assert chance == pytest.approx((2 / np.pi) ** 0.5 / 40 * 2**0.5, rel=0.05)
    assert odds.distance_by_chance(np.array([1.0, 0.0]), 400, np.random.default_rng(0)) == 0


def test_outcomes_of_four_futures():
    space = space_of_coordinates(turns=odds.FOUR)
    told = odds.outcomes(knows_all(space), space, 200)
    assert told["same turn"]["learned"] == 1 and told["frequencies"]["learned"] == 0
    assert told["right"] == {"learned": 1, "exact": 1}
    assert told["same turn"]["by chance"] == pytest.approx(0.25, abs=0.03)
    told = odds.outcomes(always(space, [0.0, 0.0, 1.0, 0.0]), space, 200)
    assert told["same turn"]["learned"] == pytest.approx(0.25, abs=0.08)
    assert told["frequencies"]["learned"] == pytest.approx(0.75, abs=0.08)
    assert told["right"]["learned"] == 1
    told = odds.outcomes(always(space, [0.25] * 4), space, 200)  # ends on the average of all
    assert told["right"] == {"learned": pytest.approx(0, abs=0.02), "exact": 1}


def test_cut_by_hand():
    futures = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]] * 4)
    p, uniform = torch.tensor([0.9, 0.6, -0.1, 1.2]), torch.tensor([0.7, 0.62, 0.0, 0.999])
    noise = torch.tensor([[10.0, -10.0]] * 4)
    torch.testing.assert_close(odds.cut(p, futures, 0, uniform, noise), noise)
    ccw, cw = [8.2, -7.6], [8.6, -7.2]  # a fifth of z and four fifths of the noise
    expected = torch.tensor([ccw, cw, cw, ccw])
    torch.testing.assert_close(odds.cut(p, futures, 10, uniform, noise), expected)


def test_the_exact_flow_needs_nothing_but_the_odds():
    space = space_of_coordinates(turns=MOSTLY_CCW)
    told = odds.loaded_coin(knows_all(space), space, 300)
    ccw = told["counter-clockwise"]
    for name in ("learned", "exact", "500 steps", "own odds", "exact odds", "cut off"):
        assert ccw[name] == pytest.approx(0.8, abs=0.07)
    assert ccw["expects"] == pytest.approx(0.8, abs=1e-4)
    assert ccw["learned"] == ccw["exact"]
    assert ccw["own odds"] == pytest.approx(ccw["exact odds"], abs=0.02)
    assert ccw["cut off"] == ccw["exact odds"]  # the same random numbers
    assert ccw["a coin"] == pytest.approx(0.5, abs=0.1)
    assert told["right"]["exact odds"] == 1


def test_its_own_odds_are_its_own():
    """A network that is sure of clockwise draws clockwise, and follows a fresh state nowhere."""
    space = space_of_coordinates(turns=MOSTLY_CCW)
    ccw = odds.loaded_coin(always(space, [0.0, 1.0]), space, 300)["counter-clockwise"]
    assert ccw["learned"] == ccw["own odds"] == ccw["exact odds"] == 0
    assert ccw["expects"] == pytest.approx(0, abs=1e-5)
    assert ccw["exact"] == pytest.approx(0.8, abs=0.07)


def test_a_flow_with_a_memory_is_found_out():
    space = space_of_coordinates(turns=MOSTLY_CCW)
    told = odds.loaded_coin(Forgetful(space), space, 100)
    assert told["counter-clockwise"]["learned"] == told["counter-clockwise"]["exact"]
    assert told["right"]["exact odds"] < 0.1


def test_the_trained_flow_at_d_2(learned):
    network, space = learned
    q = odds.distance_of_q(network, space)
    assert q["learned"] < 0.05 and q["one half"] > 0.25
    times = odds.time_of_half_a_bit(network, space)
    assert times["exact"] == pytest.approx(times["t_S"], abs=0.05)
    assert times["learned"] == pytest.approx(times["exact"], abs=0.04)


# ---------------------------------------------------------------------------------------------
# Other networks in the place of ours


def known_gate(network, of_t, constant):
    """Passes on x times (of_t * t + constant)."""
    passes = PassesX(network)
    with torch.no_grad():
        passes.gate.weight[0, 0], passes.gate.bias[0] = of_t, constant
    return passes


def test_mean_from_a_velocity_by_hand():
    x, t = torch.tensor([[2.0, -4.0]]), torch.tensor([[0.25]])
    passes = known_gate(lambda x, t, given: torch.ones_like(x), of_t=2.0, constant=-1.0)
    assert passes(x, t, None).tolist() == [[0, 3]]  # half of x is taken from 1
    assert FromVelocity(passes)(x, t, None).tolist() == [[2, -1.75]]  # three quarters of it to go
    assert PassesX(lambda x, t, given: 0 * x)(x, t, None).tolist() == [[0, 0]]  # at first nothing


def test_the_time_as_both_networks_are_told_it():
    waves = velocities.time_features(torch.tensor([[0.5]]))
    torch.testing.assert_close(waves, torch.tensor([[0.5, 1, 0, -1, 0, 0, -1, 0, 1]]))
    ours = FlowNetwork(FlowSettings())
    assert ours.modulation[0].in_features == 2 + waves.shape[1]


def test_the_exact_velocity_is_the_exact_flow():
    space = space_of_coordinates()
    exact = knows_all(space)
    told = FromVelocity(lambda x, t, given: velocity(x, t, exact(x, t, given)))
    assert odds.distance_of_q(told, space)["learned"] < 1e-5
    assert np.mean(loss_by_time(told, space)["excess"]) < 1e-6
    off = FromVelocity(lambda x, t, given: velocity(x, t, exact(x, t, given)) + 0.5)
    excess = loss_by_time(off, space)["excess"]  # it counts errors of the velocity, at each t alike
    np.testing.assert_allclose(excess[:9], 0.25, rtol=1e-3)


def test_what_can_get_through():
    """Of D numbers of noise a network passes no more than the rank of its output as a function of
    x. The rest, (D - rank) / D, stays as the error of the velocity."""
    settings = FlowSettings(embed_dim=20)  # D = 140, and our network has 128 features
    torch.manual_seed(0)
    x, t, given = torch.randn(1, 140).double(), torch.tensor([[0.3]]).double(), torch.randn(1, 20)

    def rank(network):
        slope = torch.autograd.functional.jacobian(
            lambda x: network.double()(x, t, given.double()), x
        )
        return torch.linalg.matrix_rank(slope[0, :, 0], rtol=1e-10).item()

    assert 100 < rank(FlowNetwork(settings)) <= 128
    assert rank(known_gate(FlowNetwork(settings), of_t=0.0, constant=1.0)) == 140
    assert rank(OrdinaryMLP(settings)) == 140 and rank(OrdinaryMLP(settings, width=50)) == 50


def test_an_ordinary_network_by_its_numbers():
    """Six video frames, time, and two given frames, of 3 numbers each, through layers of 8."""
    network = OrdinaryMLP(FlowSettings(embed_dim=3, given_frames=2), width=8)
    told = [torch.randn(5, 18), torch.rand(5, 1), torch.randn(5, 6)]
    assert network(*told).shape == (5, 18)
    for i in range(3):  # each of them makes a difference
        other = [each + (place == i) for place, each in enumerate(told)]
        assert not torch.allclose(network(*other), network(*told))
    layers = (18 + 9 + 6) * 8 + 8, 8 * 8 + 8, 8 * 8 + 8, 8 * 18 + 18
    assert sum(each.numel() for each in network.parameters()) == sum(layers)


def test_others_are_trained_just_as_ours(tmp_path, few_orbits, monkeypatch):
    """A copy of ours among the others comes to the same weights, and for half the steps to those of
    half the training. Fewer --flow-steps are fewer for all."""
    ours = tiny_settings(tmp_path, embed_dim=2, flow_steps=4)
    half = tiny_settings(tmp_path, embed_dim=2, flow_steps=2)
    for name, steps in ("a copy", 1400), ("half of it", 700):
        monkeypatch.setitem(velocities.RIVALS, name, Rival(FlowNetwork, 5e-3, {2: steps}))
    for name, settings in ("ours", ours), ("a copy", ours), ("half of it", half):
        network, space = velocities.trained_rival(RivalSettings(**vars(ours), rival=name))
        expected, own_space = trained_flow(settings)
        torch.testing.assert_close(network.state_dict(), expected.state_dict(), rtol=0, atol=0)
        assert torch.equal(space.std, own_space.std)
    monkeypatch.setitem(velocities.RIVALS, "slower", Rival(FlowNetwork, 1e-3, {2: 1400}))
    slower, _ = velocities.trained_rival(RivalSettings(**vars(ours), rival="slower"))
    assert not torch.equal(slower.out.weight, trained_flow(ours)[0].out.weight)


def test_a_slow_step_is_a_slow_step(monkeypatch):
    """On a clock that only these networks move; each has one turn that is disturbed."""
    clock, calls = [0.0], []

    class Fast(OrdinaryMLP):
        seconds = 0.01

        def forward(self, x, t, given):
            calls.append(type(self).__name__)
            disturbed = 1 if calls.count(type(self).__name__) <= 2 else 0
            clock[0] += self.seconds + disturbed
            return super().forward(x, t, given)

    class Slow(Fast):
        seconds = 0.02

    kinds = {"fast": Fast, "slow": Slow}
    monkeypatch.setattr(velocities, "RIVALS", {k: Rival(v, 1e-3, {}) for k, v in kinds.items()})
    monkeypatch.setattr(velocities, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    seconds = velocities.seconds_per_step(FlowSettings(embed_dim=1), steps=2, turns=3)
    assert seconds == pytest.approx({"fast": 0.01, "slow": 0.02})
    assert calls == 3 * (2 * ["Fast"] + 2 * ["Slow"])  # in turns


def test_table_of_networks():
    told = {"networks / ours / 8 / distance of q / one half": "0.3"}
    told |= {"networks / MLP, z / 2 / excess / learned": "0.1"}
    head, _, null, *rows = velocities.rivals_table(told).splitlines()
    assert null == "| always one half | – | – | – | 0.3 | – | – | – | – | – |"
    assert "| MLP, z | – | 0.1 | – | – | – | – | – | – | – |" in rows
    assert len(rows) == 5 and head.count("|") == null.count("|")


def test_how_much_further_off_than_ours():
    q = {"ours": np.array([0.1, 0.2]), "MLP, z": np.array([0.3, 0.2])}
    networks = {name: {"100": {"distance of q": {"learned": x}}} for name, x in q.items()}
    told = velocities.rivals_texts({"networks": networks}, {})
    assert told["networks / MLP, z / 100 / distance of q / minus ours"] == "+0.100 ± 0.100"
    assert told["steps / MLP, z / 100"] == "230"
