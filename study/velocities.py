"""Which part is the loss's, and which the network's? It belongs to study/odds.py.

    python -m study.velocities    # how many training steps of each take as long as those of ours

That a flow knows the odds follows from its loss, if its network can represent them. Ours predicts
z, and multiplies by what it knows of frame 0, as the formula does. The post's network most likely
predicts the velocity, and wasn't built from a formula. So other networks are put in the place of
ours. They learn from the same loss and videos, with the same seeds, for the same time.

Measures: |q - exact|; the mean excess, their squared distance from the exact velocity; the share of
the videos that are right.
Null: a network that always says one half. Control: ours.
What speaks against it: an ordinary network is larger than ours, and in the time of ours it takes a
tenth of the steps, or a sixth. With all 1400 steps it was measured once, at d = 100: see TRIED.md.
Fixed beforehand, when nothing was known but the excess of .86 with seed 0:
- Our network with the velocity as its output has an excess of .86 at d = 100. With x passed on it
  has less than .1, and its |q - exact| is within .03 of ours. Then the velocity costs our network
  nothing but its bottleneck, and the rule is the loss's. An excess of .1 or more would refute that,
  and so would a q that is more than .03 worse.
- Ordinary networks know the odds about as ours does at d = 2, with |q - exact| under .06. They know
  them less well at d = 100, over .13, whatever they predict: there the network's form matters. An
  ordinary network within .03 of ours at d = 100 would refute that.
- At each d the order of the networks tells what the network does. If all of them know less at
  d = 100 than at d = 2, that is what none of these networks escapes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from analyze import SweepSettings
from autoencoder import shared_settings
from data import NUM_FRAMES
from flow import (
    TIME_FREQUENCIES,
    FlowNetwork,
    FlowSettings,
    LatentSpace,
    latent_space,
    latent_videos,
    train,
    trained_flow,
)
from study.question import Key, Numbers, markdown_table, name_of, paired

DIMS = (2, 8, 100)
N_TIME = 1 + 2 * TIME_FREQUENCIES  # numbers that time_features() makes

# ---------------------------------------------------------------------------------------------
# The networks


def time_features(t: Tensor) -> Tensor:
    """Times (n, 1) -> what FlowNetwork is told of them, too: t and a few waves of it, (n, 9)."""
    angle = torch.pi * t * torch.arange(1, TIME_FREQUENCIES + 1)
    return torch.cat([t, angle.sin(), angle.cos()], dim=1)


class FromVelocity(nn.Module):
    """Makes the posterior mean, which training and sampling ask for, from a network that predicts
    the velocity. Since velocity = (mean - x) / (1 - t), it is mean = x + (1 - t) velocity.

    In the loss of flow.train the error of z is divided by 1 - t. So with this network the loss is
    the squared error of the velocity; but for t above 0.8, where that divisor has a floor.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        """x (n, D), t (n, 1), given (n, given_frames * d) -> posterior mean (n, D)."""
        return x + (1 - t) * self.network(x, t, given)


class PassesX(nn.Module):
    """A network to whose output a multiple of x is added.

    The velocity (mean - x) / (1 - t) holds all the noise of x, D numbers, and FlowNetwork has 128
    features: at d = 100 they can't pass 700 numbers. But the noise needs no work. It is in x, times
    a number that depends on t alone. So this goes past the features: x times one number, a linear
    function of the time features, which is 0 when the training begins.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.gate = nn.Linear(N_TIME, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        """x (n, D), t (n, 1), given (n, given_frames * d) -> (n, D)."""
        return self.network(x, t, given) + self.gate(time_features(t)) * x


class OrdinaryMLP(nn.Module):
    """A network as one writes it in a notebook. It isn't built from the answer's form: all that it
    is told stands in one row, and goes through three hidden layers."""

    def __init__(self, settings: FlowSettings, width: int = 1024) -> None:
        super().__init__()
        n_given = settings.embed_dim * settings.given_frames
        n_video = settings.embed_dim * (NUM_FRAMES - settings.given_frames)
        first = nn.Linear(n_video + N_TIME + n_given, width)
        second, third = nn.Linear(width, width), nn.Linear(width, width)
        last = nn.Linear(width, n_video)
        self.layers = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), third, nn.SiLU(), last)

    def forward(self, x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        """x (n, D), t (n, 1), given (n, given_frames * d) -> (n, D)."""
        return self.layers(torch.cat([x, time_features(t), given], dim=1))


def our_velocity(settings: FlowSettings) -> FromVelocity:
    """Our network with the velocity as its output."""
    return FromVelocity(FlowNetwork(settings))


def our_velocity_with_x(settings: FlowSettings) -> FromVelocity:
    """The same, with x passed on."""
    return FromVelocity(PassesX(FlowNetwork(settings)))


def mlp_velocity(settings: FlowSettings) -> FromVelocity:
    """An ordinary network that predicts the velocity."""
    return FromVelocity(OrdinaryMLP(settings))


# ---------------------------------------------------------------------------------------------
# Their training


@dataclass(frozen=True)
class Rival:
    """A network and how it is trained."""

    untrained: Callable[[FlowSettings], nn.Module]
    learning_rate: float
    steps: dict[int, int]  # by d


# The steps take as long as the 1400 of ours, as main() printed it once. For the ordinary networks
# three learning rates were tried, 5e-3, 1e-3 and 3e-4, with seed 5, which isn't told: each row has
# the one with the least loss on new videos.
RIVALS = {
    "ours": Rival(FlowNetwork, 5e-3, {2: 1400, 8: 1400, 100: 1400}),
    "velocity": Rival(our_velocity, 5e-3, {2: 1390, 8: 1390, 100: 1390}),
    "velocity, x passed on": Rival(our_velocity_with_x, 5e-3, {2: 1360, 8: 1400, 100: 1350}),
    "MLP, velocity": Rival(mlp_velocity, 5e-3, {2: 130, 8: 140, 100: 230}),
    "MLP, z": Rival(OrdinaryMLP, 5e-3, {2: 130, 8: 140, 100: 230}),
}


@dataclass(frozen=True)
class RivalSettings(FlowSettings):
    """A flow with another network in the place of ours."""

    rival: str = "ours"
    """One of RIVALS."""


def rival_cases(settings: SweepSettings) -> dict[tuple[Key, ...], list[RivalSettings]]:
    """Each of RIVALS at each d, all seeds; the longest trainings first."""
    return {
        ("networks", name, dim): [
            RivalSettings(**vars(flow), rival=name) for flow in settings.flows(embed_dim=dim)
        ]
        for dim in reversed(DIMS)
        for name in RIVALS
    }


def trained_rival(settings: RivalSettings) -> tuple[nn.Module, LatentSpace]:
    """A network and the latent space of our flow, in which it was trained. Only ours is kept; any
    other one is trained anew each time. With fewer --flow-steps all are trained for fewer."""
    ours = shared_settings(settings, FlowSettings)
    network, space = trained_flow(ours)
    if settings.rival == "ours":
        return network, space
    rival = RIVALS[settings.rival]
    steps = max(1, rival.steps[ours.embed_dim] * ours.flow_steps // FlowSettings.flow_steps)
    _, circles = latent_space(space.autoencoder, ours)
    torch.manual_seed(ours.seed)
    other = rival.untrained(ours)
    videos = latent_videos(circles, ours)
    train(other, videos, replace(ours, flow_steps=steps), rival.learning_rate)
    return other, space


def seconds_per_step(settings: FlowSettings, steps: int = 10, turns: int = 7) -> dict[str, float]:
    """How long a training step of each of RIVALS takes. They are trained in turns, on latents that
    are drawn at random; the fastest of its turns counts, which was disturbed the least."""
    videos = latent_videos(torch.randn(64, NUM_FRAMES, settings.embed_dim), settings)
    seconds = dict.fromkeys(RIVALS, float("inf"))
    for _ in range(turns):
        for name, rival in RIVALS.items():
            network = rival.untrained(settings)
            start = time.perf_counter()
            train(network, videos, replace(settings, flow_steps=steps))
            seconds[name] = min(seconds[name], (time.perf_counter() - start) / steps)
    return seconds


# ---------------------------------------------------------------------------------------------
# What the pages tell


def rivals_table(told: dict[str, str]) -> str:
    """Each network at each d, out of the texts of single numbers; "–" where one isn't measured."""
    measures = ("distance of q", "excess", "right")

    def cell(rival: str, dim: int, measure: str, of: str) -> str:
        return told.get(name_of("networks", rival, dim, measure, of), "–")

    null = [cell("ours", dim, measure, "one half") for dim in DIMS for measure in measures]
    rows = [["always one half", *null]]
    for name in RIVALS:
        learned = [cell(name, dim, measure, "learned") for dim in DIMS for measure in measures]
        rows.append([name, *learned])
    columns = [f"d = {dim}: {measure}" for dim in DIMS for measure in measures]
    return markdown_table(["network", *columns], rows)


def rivals_texts(numbers: Numbers, told: dict[str, str]) -> dict[str, str]:
    """The table; the steps of each network at each d; and, paired by seed, how much further from
    the exact odds its q is than that of ours. told are the texts of single numbers."""
    texts = {"table of networks": rivals_table(told)}
    for name, rival in RIVALS.items():
        texts |= {name_of("steps", name, d): str(steps) for d, steps in rival.steps.items()}
    networks = numbers.get("networks", {})
    for name, dims in networks.items():
        for d, results in dims.items():
            q, ours = (x["distance of q"]["learned"] for x in (results, networks["ours"][d]))
            further = name_of("networks", name, d, "distance of q", "minus ours")
            texts[further] = paired(q, ours, "%+.3f")
    return texts


def main() -> None:
    """Print how many steps of each network take as long as the training of ours."""
    for dim in DIMS:
        seconds = seconds_per_step(FlowSettings(embed_dim=dim))
        for name, each in seconds.items():
            steps = FlowSettings.flow_steps * seconds["ours"] / each
            print(f"d = {dim}: {name}, {1000 * each:.1f} ms a step, {steps:.0f} steps")


if __name__ == "__main__":
    main()
