"""Stage 3 of 5: the flow. It learns to turn noise into the latents of frames 1 to 7, given frame 0.

    python flow.py --embed-dim 2       # trains d = 2, after its autoencoder; about 10 seconds more
    python flow.py --png losses.png    # the same flow: its loss over the time t

You need to know the normal distribution and Bayes' rule. No flow matching: it is explained here.

The idea, in four steps. z stands for what we want to generate: the latents of frames 1 to 7,
written one after the other as D = 7 d numbers (6 d, if two frames are given). All that follows is
meant for one given frame 0.

1. A path. Take a video z and noise eps, D independent normal numbers, and mix them:

       x_t = t z + (1 - t) eps        t = 0 is noise, t = 1 is the video

   As t runs from 0 to 1, x_t moves on a straight line from the noise to the video. Its velocity,
   the change of x_t per unit of t, is z - eps.

2. A flow. We want to start with noise and move to a video, but we don't know to which one. Paths
   from different noises to different videos cross at a point x and a time t; here two, one to each
   possible video. The trick of flow matching (arXiv:2210.02747, arXiv:2209.03003) is to move with
   the mean velocity of all paths that cross there:

       velocity(x, t) = E[z - eps | x_t = x]

   Why is that right? Think of a crowd of people, each on their own straight path. How dense the
   crowd gets at some place depends on how many come and how many leave per second, and how many
   pass any line is the density there times the mean velocity there. Now let a second crowd start
   with the same density, in which everyone walks with the mean velocity of the place. As many come
   and as many leave, so its density remains that of the first crowd: at t = 0 that of the noise,
   and at t = 1 that of the videos. What is lost is only who came from where. So this is how a video
   will be generated, in sample.py: draw noise, and follow the velocity in small steps up to t = 1.

3. A guess. The first equation says that eps = (x_t - t z) / (1 - t). So

       z - eps = ((1 - t) z - x_t + t z) / (1 - t) = (z - x_t) / (1 - t)

   Take the mean over all z that are possible where x_t = x:

       velocity(x, t) = (posterior mean - x) / (1 - t),      posterior mean = E[z | x_t = x]

   The flow always walks towards the posterior mean: the average of all videos that may be hidden in
   x, each weighted with its probability. (Posterior means: after one has seen x.) As x gets
   clearer, this average moves to one of them.

4. A network. If one has to guess a random number and pays for the square of the error, the best
   guess is its mean. So a network that sees x_t (and t and frame 0) and is trained to predict z
   with squared error learns the mean of z given what it sees: the posterior mean. That is all we
   need.

In this project there is a rare luxury: the posterior mean is known. Only two videos can follow a
frame 0, so the average has two terms, and Bayes' rule gives their weights. The file begins with
this exact answer, which is a few lines long. Then it trains a network that doesn't know it, and
holds the two against each other.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from autoencoder import (
    Autoencoder,
    AutoencoderSettings,
    checkpoint_path,
    encode_squares,
    is_current,
    load_checkpoint,
    load_weights,
    needs_training,
    optimizer_and_schedule,
    save_checkpoint,
    shared_settings,
    trained_autoencoder,
)
from data import (
    FRAME_SIZE,
    NUM_FRAMES,
    SOURCES,
    check_range,
    distinct_turns,
    new_figure,
    ordered_turns,
    possible_orbits,
    random_first_centers,
    random_stream,
    random_videos,
    run,
    write_figure,
)

WIDTH = 128  # of the network
TIME_FREQUENCIES = 4
LEARNING_RATE = 5e-3
BATCH_SIZE = 256
NUM_ORBITS = 1024  # circles that the training videos run on
FLOOR = 0.2  # least 1 - t in the loss; see train()


@dataclass(frozen=True)
class FlowSettings(AutoencoderSettings):
    """Train the flow, or load it if it is trained already (the autoencoder likewise)."""

    given_frames: Literal[1, 2] = 1
    """Frames that are given. The second one shows which turn the video takes."""
    turns: tuple[int, ...] = (1, -1)
    """Turns that a video may take, in eighths of a circle per frame, -3 to 4.
    Counter-clockwise is positive. Naming a turn twice makes it twice as probable."""
    unseen_radii: tuple[float, float] | None = None
    """Leave the circles with a radius between these two out of the flow's training."""
    latent_scale: float = 1.0
    """Standard deviation that the latents are scaled to, 0.01 to 100.
    The noise has 1: the narrower the latents, the longer they are hidden in it."""
    flow_steps: int = 1400
    """Training steps of the flow."""
    png: Path | None = None
    """Write a picture: the losses over the time t."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "turns", ordered_turns(self.turns))  # the class is frozen
        if self.unseen_radii is not None:
            low, high = self.unseen_radii
            smallest, largest = self.center_range / 4, self.center_range
            everything = (low, high) == (smallest, largest)
            if not smallest <= low < high <= largest or everything:
                raise ValueError(
                    "--unseen-radii needs the smaller radius first, and a part of all radii, which "
                    f"lie in {smallest:g} to {largest:g}; not {low} {high}"
                )
        check_range(0.01, 100, latent_scale=self.latent_scale)
        check_range(1, 10**9, flow_steps=self.flow_steps)


# ---------------------------------------------------------------------------------------------
# The exact flow
#
# n videos at once; each has k possible futures (two, unless --turns says otherwise) of D numbers.
#
#     x         (n, D)       the noisy videos
#     t         (n, 1)       their times, in [0, 1)
#     futures   (n, k, D)    what z could be
#     prior     (n, k)       how probable each future is before one has seen x
#
# You can try it by hand. One video, one number long, is either 1 or -1. At t = 1/2, x = 0.25:
#
#     >>> futures, prior = torch.tensor([[[1.0], [-1.0]]]), torch.tensor([[0.5, 0.5]])
#     >>> x, t = torch.tensor([[0.25]]), torch.tensor([[0.5]])
#     >>> posterior(x, t, futures, prior)
#     tensor([[0.7311, 0.2689]])
#     >>> posterior_mean(x, t, futures, prior)
#     tensor([[0.4621]])
#     >>> velocity(x, t, posterior_mean(x, t, futures, prior))
#     tensor([[0.4242]])


def posterior(x: Tensor, t: Tensor, futures: Tensor, prior: Tensor) -> Tensor:
    """How probable each future is once one has seen x: P(z_k | x_t = x), (n, k).

    If the future is z_k, then x_t = t z_k + (1 - t) eps is normal around t z_k, with standard
    deviation 1 - t. Its density at x is proportional to exp(-|x - t z_k|^2 / (2 (1 - t)^2)). Bayes'
    rule multiplies it by the prior and divides by the sum over k; the softmax of the logarithms
    does both. (A future with prior 0 has the logarithm minus infinity, and gets probability 0.)
    """
    distance_squared = ((x[:, None] - t[:, None] * futures) ** 2).sum(2)
    return torch.softmax(prior.log() - distance_squared / (2 * (1 - t) ** 2), dim=1)


def posterior_mean(x: Tensor, t: Tensor, futures: Tensor, prior: Tensor) -> Tensor:
    """E[z | x_t = x], (n, D): the futures, averaged with these probabilities. No prediction of z
    has a smaller mean squared error."""
    return (posterior(x, t, futures, prior)[:, :, None] * futures).sum(1)


def velocity(x: Tensor, t: Tensor, mean: Tensor) -> Tensor:
    """E[z - eps | x_t = x], (n, D), from the posterior mean (n, D); step 3 above."""
    return (mean - x) / (1 - t)


def speciation_time(futures: Tensor) -> Tensor:
    """t_S, (n,): about the time from which on x_t shows which future is hidden in it. (It is called
    speciation time, since a crowd of samples splits there as a species does; arXiv:2402.18491.)

    Take the two futures nearest to each other, for they are the last to be told apart. In x_t they
    are t times their distance apart, so each lies t distance / 2 away from the middle between them.
    The noise has the standard deviation 1 - t. While that is larger, x_t may well lie on the wrong
    side of the middle; when it is smaller, soon hardly any more. The two lengths, t distance / 2
    and 1 - t, are equal at t_S = 1 / (1 + distance / 2); there one x_t in six is on the wrong side.
    With a single future nothing is to be told apart: the distance stays infinite, and t_S is 0.
    """
    n, k, _ = futures.shape
    nearest = torch.full((n,), torch.inf)
    for i in range(k):
        for j in range(i):
            distance = (futures[:, i] - futures[:, j]).norm(dim=1)
            nearest = torch.minimum(nearest, distance)
    return 1 / (1 + nearest / 2)


# ---------------------------------------------------------------------------------------------
# From frames to latents and back


@dataclass(frozen=True)
class LatentSpace:
    """The autoencoder's latents, moved and scaled: over the training videos each of the d numbers
    has mean 0 and the standard deviation --latent-scale, 1 by default, as the noise has."""

    autoencoder: Autoencoder
    mean: Tensor  # (d,), of the autoencoder's own latents
    std: Tensor  # (d,), their standard deviation
    settings: FlowSettings

    def standardize(self, latents: Tensor) -> Tensor:
        """The autoencoder's own latents (..., d) -> moved and scaled (..., d)."""
        return self.settings.latent_scale * (latents - self.mean) / self.std

    def encode(self, centers: np.ndarray) -> Tensor:
        """Draw squares at the centres (n, frames, 2) and encode them: latents (n, frames, d)."""
        return self.standardize(encode_squares(self.autoencoder, centers, self.settings))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (n, frames * d) or (n, frames, d) -> frames (n, frames, 51, 51), about [0, 1]."""
        scaled = latents.reshape(-1, self.settings.embed_dim)
        own = scaled / self.settings.latent_scale * self.std + self.mean
        frames = torch.cat([self.autoencoder.decode(batch) for batch in own.split(128)])
        return frames.reshape(len(latents), -1, FRAME_SIZE, FRAME_SIZE)


def training_circles(settings: FlowSettings) -> np.ndarray:
    """The circles that the training videos run on: (circles, 8, 2), the centres of the eight places
    of each circle where a square can be, counter-clockwise."""
    rng = random_stream(settings.seed, "flow training")
    first_centers = random_first_centers(
        NUM_ORBITS, rng, settings.center_range, settings.unseen_radii
    )
    return possible_orbits(first_centers, [1])[:, 0]


def latent_space(autoencoder: Autoencoder, settings: FlowSettings) -> tuple[LatentSpace, Tensor]:
    """The latent space of an autoencoder: it is standardised over the training circles.

    Returns:
        The space, and in it the latents of the training circles, (circles, 8, d).
    """
    own_latents = encode_squares(autoencoder, training_circles(settings), settings)
    mean, std = own_latents.mean((0, 1)), own_latents.std((0, 1)).clamp_min(1e-6)
    space = LatentSpace(autoencoder, mean, std, settings)
    return space, space.standardize(own_latents)


def places(start: Tensor, turn: Tensor) -> Tensor:
    """Where on its circle a video is in its eight frames: starts (n,) and turns (n,) -> (n, 8). The
    eight places are numbered 0 to 7, counter-clockwise."""
    frame = torch.arange(NUM_FRAMES)
    return (start[:, None] + turn[:, None] * frame) % NUM_FRAMES


def possible_futures(space: LatentSpace, given_centers: np.ndarray) -> tuple[Tensor, Tensor]:
    """What may follow the given frames: all that the exact flow needs to know.

    Args:
        space: its settings say which turns there are.
        given_centers: (n, given_frames, 2), where the squares of the given frames are.

    Returns:
        futures (n, k, D), one for each turn, and their prior (n, k). A second given frame shows the
        turn: then the prior is 1 for it, and 0 for the others.

    Raises:
        ValueError: the second given frame fits none of the turns.
    """
    turns, probability = distinct_turns(space.settings.turns)
    first_centers, given_frames = given_centers[:, 0], given_centers.shape[1]
    # All futures go through the same eight places of the circle. So these are encoded once, and
    # each turn looks its places up.
    circle = space.encode(possible_orbits(first_centers, [1])[:, 0])  # (n, 8, d), place by place
    place = places(torch.zeros(len(turns), dtype=torch.long), torch.from_numpy(turns))  # (k, 8)
    videos = circle[:, place]  # (n, k, 8, d)

    # Which futures agree with what is given? With frame 0 alone all do.
    orbits = possible_orbits(first_centers, turns)[:, :, :given_frames]
    agrees = np.isclose(orbits, given_centers[:, None], atol=1e-6).all((2, 3))  # (n, k)
    if not agrees.any(1).all():
        raise ValueError("the second given frame fits none of the turns")
    prior = torch.from_numpy(probability * agrees).float()
    return videos[:, :, given_frames:].flatten(2), prior / prior.sum(1, keepdim=True)


# ---------------------------------------------------------------------------------------------
# The network


class FlowNetwork(nn.Module):
    """Predicts the posterior mean from x_t, t, and the latents of the given frames.

    What does it have to imitate? Let z_ccw and z_cw be the counter-clockwise and the clockwise
    future, and p_ccw and p_cw how probable they are once one has seen x. By posterior(), if both
    are as probable beforehand,

        log(p_ccw / p_cw) = (|x - t z_cw|^2 - |x - t z_ccw|^2) / (2 (1 - t)^2)

    Expand the squares: |x - t z|^2 = |x|^2 - 2 t x.z + t^2 |z|^2. The first term is the same for
    both futures. So is the last, because frames 1 to 7 of a video and of the one with the opposite
    turn show the same places, in reverse order. What remains is

        log(p_ccw / p_cw) = t x . (z_ccw - z_cw) / (1 - t)^2

    a product of x and a difference that depends on the given frame. Layers that only add what they
    get from x and what they get from the given frame are bad at products. So here the given frame
    and the time, together called the context, multiply: a small network of their own turns them
    into a scale and a shift for each of 128 features (known as FiLM, arXiv:1709.07871). The
    features are sums of numbers of x, with something of the context added.

    This is done twice. Written with the mean of both videos and their difference, what is wanted is

        posterior mean = (z_ccw + z_cw) / 2 + (p_ccw - p_cw) (z_ccw - z_cw) / 2

    The first product is the one in the odds above. The second one is that of what follows from the
    odds, p_ccw - p_cw, with the difference, which again depends on the given frame. And the first
    term depends on the given frame alone and needs no product. (In coordinates it is even linear:
    the middle between the two places is a multiple of the given one.) So the context also goes
    straight to the last layer.
    """

    def __init__(self, settings: FlowSettings) -> None:
        super().__init__()
        self.latent_scale = settings.latent_scale
        n_given = settings.embed_dim * settings.given_frames
        n_video = settings.embed_dim * (NUM_FRAMES - settings.given_frames)
        n_context = n_given + 1 + 2 * TIME_FREQUENCIES
        first = nn.Linear(n_context, WIDTH)
        self.modulation = nn.Sequential(
            first, nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 4 * WIDTH)
        )
        # The map from the given frame to the video has to be exact to a part of a pixel. Networks
        # learn features that change slowly with their input much sooner than those that change
        # quickly (compare arXiv:2006.10739). So the weights for the given frames start several
        # times larger than PyTorch would make them: what they add to each unit has a standard
        # deviation of 2.
        with torch.no_grad():
            first.weight[:, :n_given].normal_(std=2 / n_given**0.5)
        self.input = nn.Linear(n_video + n_context, WIDTH)
        # Brings the features of each video to mean 0 and standard deviation 1, so that the scales
        # act on numbers of the same size at each t. From all features of a video it takes away one
        # number, and divides by another one: so the product above remains, up to a factor. It has
        # no weights of its own, because scale and shift come from the context.
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.fc1 = nn.Linear(WIDTH, WIDTH)
        self.fc2 = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH + n_context, n_video)
        nn.init.zeros_(self.fc2.weight)  # h + fc2(...) starts as h plus a constant

    def forward(self, x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        """x (n, D), t (n, 1), given (n, given_frames * d) -> posterior mean (n, D)."""
        # Bring both to a size of about 1, at any --latent-scale. (By default this changes nothing.
        # The exact size of x would be the root of the sum of squares; about is enough.)
        given = given / self.latent_scale
        x = x / (t * self.latent_scale + 1 - t)
        # Besides t itself the network gets a few waves of t, so that it can bend quickly over time.
        angle = torch.pi * t * torch.arange(1, TIME_FREQUENCIES + 1)
        context = torch.cat([given, t, angle.sin(), angle.cos()], dim=1)

        scale_1, shift_1, scale_2, shift_2 = self.modulation(context).chunk(4, dim=1)
        h = self.input(torch.cat([x, context], dim=1))
        modulated = self.norm(h) * (1 + scale_1) + shift_1
        h = h + self.fc2(F.silu(self.fc1(modulated)))
        modulated = self.norm(h) * (1 + scale_2) + shift_2
        return self.latent_scale * self.out(torch.cat([modulated, context], dim=1))


# ---------------------------------------------------------------------------------------------
# The training


def random_times(n: int) -> Tensor:
    """Times (n, 1) to train at, in [0, 1]. They crowd at both ends: near 0, where at large d x_t
    begins to show which future it is, and near 1, where errors count most (train() says why). It
    doesn't matter much: with uniform times the flow is nearly as good.

    A quarter of them is u^3, with u uniform in [0, 1]: nearly half of these lie under 0.1. The
    others are 1 - u^2: nearly a third of these lie above 0.9.
    """
    u = torch.rand(n, 1)
    early = torch.rand(n, 1) < 0.25
    return torch.where(early, u**3, 1 - u**2)


def latent_videos(circles: Tensor, settings: FlowSettings) -> Iterator[Tensor]:
    """Training videos without end, in batches (256, 8, d). Each has a random circle, a random place
    to start at, and a random turn. circles (circles, 8, d) are the latents of the places of each
    circle, as latent_space() gives them."""
    turns, probability = map(torch.from_numpy, distinct_turns(settings.turns))
    while True:
        circle = torch.randint(len(circles), (BATCH_SIZE,))
        start = torch.randint(NUM_FRAMES, (BATCH_SIZE,))
        # Cut the line from 0 to 1 into pieces as long as the probabilities of the turns. A uniform
        # random number falls into one of the pieces.
        turn = turns[torch.searchsorted(probability.cumsum(0), torch.rand(BATCH_SIZE))]
        yield circles[circle[:, None], places(start, turn)]


def train(
    network: nn.Module,
    videos: Iterator[Tensor],
    settings: FlowSettings,
    learning_rate: float = LEARNING_RATE,
) -> None:
    """Train a network to predict z from x_t: flow matching, steps 1 and 4 above.

    Args:
        network: x (n, D), t (n, 1), given (n, given_frames * d) -> z (n, D), as FlowNetwork.
        videos: batches (n, 8, d) of latents, as latent_videos() gives them.
        settings: its given_frames and flow_steps.
        learning_rate: the highest one. (Only the study in study/ names another.)
    """
    optimizer, schedule = optimizer_and_schedule(
        network, learning_rate, settings.flow_steps, weight_decay=0.01
    )
    progress = tqdm(range(settings.flow_steps), desc="flow", unit="step")
    for _ in progress:
        video = next(videos)
        given = video[:, : settings.given_frames].flatten(1)
        z = video[:, settings.given_frames :].flatten(1)
        t = random_times(len(z))
        noise = torch.randn_like(z)
        x = t * z + (1 - t) * noise

        # The network predicts z, but what we need to be right is the velocity. The predicted one is
        # (predicted - x) / (1 - t) and that of the path (z - x) / (1 - t): so the error of the
        # velocity is (predicted - z) / (1 - t). Near t = 1 this divisor would let a few videos
        # outweigh all others, and so it has a floor, 0.2: the squared error weighs at most
        # 1 / 0.2^2 = 25 times. This doesn't change what the best network is: at each t separately
        # the posterior mean has the least squared error, however much that t weighs.
        predicted = network(x, t, given)
        loss = ((predicted - z) ** 2 / (1 - t).clamp_min(FLOOR) ** 2).mean()

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.4f}", refresh=False)


def train_flow(autoencoder: Autoencoder, settings: FlowSettings) -> tuple[FlowNetwork, LatentSpace]:
    """Train a flow in the latents of an autoencoder: all of its circles are encoded once, and then
    the videos are put together from them."""
    space, circles = latent_space(autoencoder, settings)
    torch.manual_seed(settings.seed)  # of the first weights, and of all that the training draws
    network = FlowNetwork(settings)
    train(network, latent_videos(circles, settings), settings)
    return network, space


# ---------------------------------------------------------------------------------------------
# How good is it?


@torch.no_grad()
def loss_by_time(network: nn.Module, space: LatentSpace) -> dict[str, list[float]]:
    """The loss of the velocity over ten intervals of t in [0.025, 0.975], on 1024 new videos (on
    circles like those that were trained on).

    x_t doesn't tell everything about z. So even the exact flow has a loss, the irreducible one, and
    no network can have less. What a network has beyond it is the excess: its squared distance from
    the exact flow. The three are related. Write network - z = (network - exact) + (exact - z) and
    take the square. The product of the two brackets is zero on average: at each x_t the first one
    is a fixed number, and the second averages to zero, because exact is the mean of the z that are
    possible there. So

        loss = irreducible + excess      (up to chance, with 1024 videos)

    Returns:
        Lists of ten: "t", the middles of the intervals; "loss", "irreducible" and "excess", per
        number of the latent. They are errors of the velocity, and so divided by (1 - t)^2, where
        1 - t has a floor of 0.05. (The training has one of 0.2.)
    """
    settings, n = space.settings, 1024
    rng = random_stream(settings.seed, "flow test")
    first_centers = random_first_centers(n, rng, settings.center_range, settings.unseen_radii)
    turns, probability = distinct_turns(settings.turns)
    video_centers, taken = random_videos(first_centers, turns, probability, rng)
    given_centers = video_centers[:, : settings.given_frames]
    futures, prior = possible_futures(space, given_centers)
    given = space.encode(given_centers).flatten(1)
    z = futures[torch.arange(n), taken]

    bins: dict[str, list[float]] = {"t": [], "loss": [], "irreducible": [], "excess": []}
    edges = np.linspace(0.025, 0.975, 11).tolist()
    for low, high in itertools.pairwise(edges):
        t = torch.from_numpy(rng.uniform(low, high, (n, 1)).astype(np.float32))
        noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32))
        x = t * z + (1 - t) * noise
        predicted = network(x, t, given)
        exact = posterior_mean(x, t, futures, prior)
        weight = 1 / (1 - t).clamp_min(0.05) ** 2
        bins["t"].append((low + high) / 2)
        bins["loss"].append((weight * (predicted - z) ** 2).mean().item())
        bins["irreducible"].append((weight * (exact - z) ** 2).mean().item())
        bins["excess"].append((weight * (predicted - exact) ** 2).mean().item())
    return bins


def mean_speciation_time(space: LatentSpace) -> float:
    """t_S, averaged over 1024 first frames. 0 if a second frame is given, which tells the turn."""
    settings = space.settings
    if settings.given_frames > 1:
        return 0.0
    rng = random_stream(settings.seed, "flow test")
    first = random_first_centers(1024, rng, settings.center_range, settings.unseen_radii)
    futures, _ = possible_futures(space, first[:, None])
    return speciation_time(futures).mean().item()


def write_losses(path: Path, space: LatentSpace, losses: dict[str, list[float]]) -> None:
    """Write the losses over t as a PNG, with t_S marked."""
    figure = new_figure(7, 4)
    plot = figure.subplots()
    looks: dict[str, dict[str, Any]] = {
        "loss": {"color": "#0072B2", "ls": "-", "label": "loss of the network"},
        "irreducible": {"color": "#E69F00", "ls": "--", "label": "loss of the exact flow"},
        "excess": {"color": "#D55E00", "ls": "-", "label": "excess: distance between the two"},
    }
    for name, look in looks.items():
        plot.plot(losses["t"], losses[name], marker="o", ms=3, **look)
    t_s = mean_speciation_time(space)
    if 0 < t_s < 1:
        plot.axvline(t_s, color="#888888", ls=":", label=f"$t_S$ = {t_s:.2f}: x shows the turn")
    plot.set(xlabel="t (0: noise, 1: video)", ylabel="squared error of the velocity", yscale="log")
    plot.set_title(
        f"d = {space.settings.embed_dim}: the network's loss, and the least possible one"
    )
    plot.legend()
    write_figure(path, figure)


# ---------------------------------------------------------------------------------------------
# Plumbing, from here on: the checkpoint and the command line. A first reading can skip it.

SOURCES["flow.py"] = Path(__file__).read_text(encoding="utf-8")


def trained_flow(settings: FlowSettings) -> tuple[FlowNetwork, LatentSpace]:
    """The flow of these settings and its latent space. It is trained now if it is missing, after
    its autoencoder. Its checkpoint holds the autoencoder too, so that the two always belong
    together. Raises as trained_autoencoder() does."""
    settings = shared_settings(settings, FlowSettings)
    if needs_training(settings):
        earlier = shared_settings(settings, AutoencoderSettings)
        retrain = settings.retrain and not is_current(earlier)
        autoencoder = trained_autoencoder(replace(earlier, retrain=retrain))
        # Older code than this may have trained the autoencoder: so its sources are kept, too.
        sources = load_checkpoint(earlier)["sources"]
        sources.append({file: SOURCES[file] for file in ("data.py", "autoencoder.py", "flow.py")})
        network, space = train_flow(autoencoder, settings)
        content = {
            "weights": network.state_dict(),
            "autoencoder": autoencoder.state_dict(),
            "mean": space.mean,
            "std": space.std,
        }
        save_checkpoint(settings, sources, content)

    checkpoint = load_checkpoint(settings)
    network, autoencoder = FlowNetwork(settings), Autoencoder(settings)
    load_weights(network, checkpoint["weights"], checkpoint_path(settings))
    load_weights(autoencoder, checkpoint["autoencoder"], checkpoint_path(settings))
    return network, LatentSpace(autoencoder, checkpoint["mean"], checkpoint["std"], settings)


def main(settings: FlowSettings) -> None:
    """Train the flow or load it, and hold it against the exact flow."""
    network, space = trained_flow(settings)
    losses = loss_by_time(network, space)
    print(f"{checkpoint_path(settings)}: squared error of the velocity, on new videos")
    print("     t   network  exact flow    excess")
    for t, loss, irreducible, excess in zip(*losses.values()):
        print(f"{t:6.2f}  {loss:8.4f}  {irreducible:10.4f}  {excess:8.4f}")
    loss, least, excess = (np.mean(losses[name]) for name in ("loss", "irreducible", "excess"))
    print(
        f"On average over t the network's loss is {loss:.4f}. The exact flow's, the least possible "
        f"but for chance, is {least:.4f}; the mean excess is {excess:.4f}."
    )
    if settings.png:
        write_losses(settings.png, space, losses)
        print(f"{settings.png} shows these losses.")


if __name__ == "__main__":
    run(main, FlowSettings)
