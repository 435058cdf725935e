"""Networks that predict the velocity, beside the one that predicts z; a part of study/odds.py."""

import torch
from torch import Tensor, nn

from data import NUM_FRAMES
from flow import TIME_FREQUENCIES, FlowSettings

N_TIME = 1 + 2 * TIME_FREQUENCIES  # numbers that time_features() makes


def time_features(t: Tensor) -> Tensor:
    """Times (n, 1) -> what FlowNetwork is told of them, too: t and a few waves of it, (n, 9)."""
    angle = torch.pi * t * torch.arange(1, TIME_FREQUENCIES + 1)
    return torch.cat([t, angle.sin(), angle.cos()], dim=1)


class FromVelocity(nn.Module):
    """Makes the posterior mean, which training and sampling ask for, from a network that predicts
    the velocity. Since velocity = (mean - x) / (1 - t), it is mean = x + (1 - t) velocity."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        """x (n, D), t (n, 1), given (n, given_frames * d) -> posterior mean (n, D)."""
        return x + (1 - t) * self.network(x, t, given)


class OrdinaryMLP(nn.Module):
    """A network as one writes it in a notebook, which knows nothing of the answer's form: all that
    it is told stands in one row, and three hidden layers follow."""

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
