"""The network of the peers of `peers.py`, and the loop that answers its requests.

Runs in the peers' environments, so it imports only torch and the standard library.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

WINDOW = 100_000
SEED = 1
# Number of bare passes that are timed after each request.
PASSES = 3

#: A variant in JSON: contig, 1-based position, ref, alt.
Variant = tuple[str, int, str, str]
#: Maps FASTA, variants and batch size to the effect (alt - ref) of each variant.
Score = Callable[[Path, list[Variant], int], list[float]]


class Residual(nn.Module):
    """A dilated pre-activation block, as in Basenji (10.1101/gr.227819.117)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.BatchNorm1d(width), nn.GELU()),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            *(nn.BatchNorm1d(width), nn.GELU(), nn.Conv1d(width, width, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, width, bins]`` to the same shape."""
        return x + self.body(x)


class Head(nn.Module):
    """Attention pooling over the bins, then a small MLP to one output.

    gReLU requires `n_tasks` of a head.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.n_tasks = 1
        self.norm = nn.BatchNorm1d(width)
        self.attend = nn.Linear(width, 1)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, width, bins]`` to ``[B, 1, 1]``."""
        x = self.norm(x).transpose(1, 2)
        pooled = (self.attend(x).softmax(dim=1) * x).sum(1)
        return self.mlp(pooled)[..., None]


class Network(nn.Module):
    """Convolution tower to 50-bp bins and dilated residual blocks over +-50 kb, one output.

    Its number of parameters is within 0.01 % of GMT mini's (1,628,962). Pooling comes early, so a
    pass is cheap for that number. The weights are random, because only the cost matters; with the
    same seed, both peers have the same network.
    """

    def __init__(self, width: int = 128, blocks: int = 23, hidden: int = 52) -> None:
        super().__init__()
        self.embedding = nn.Sequential(
            *(nn.Conv1d(4, 64, 15, padding=7), nn.GELU(), nn.MaxPool1d(5)),
            *(nn.Conv1d(64, 96, 5, padding=2), nn.BatchNorm1d(96), nn.GELU(), nn.MaxPool1d(5)),
            *(nn.Conv1d(96, width, 5, padding=2), nn.BatchNorm1d(width)),
            *(nn.GELU(), nn.MaxPool1d(2)),
            *(Residual(width, 2 ** (i % 11)) for i in range(blocks)),
        )
        self.head = Head(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot bases ``[B, 4, WINDOW]`` to ``[B, 1, 1]``."""
        return self.head(self.embedding(x))


def build() -> Network:
    """Build the network on one thread, in evaluation mode.

    He initialisation without biases (residual branches scaled down) keeps the effect of one
    base well above rounding.
    """
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    network = Network()
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    for layer in network.modules():
        if isinstance(layer, Residual):  # otherwise the sum over many blocks would explode
            layer.body[-1].weight.data.mul_(0.3)
    return network.eval()


def pass_seconds(network: nn.Module) -> float:
    """Return the seconds of one bare pass over one sequence, the median of `PASSES`."""
    bases = torch.randint(0, 4, (WINDOW,))
    x = nn.functional.one_hot(bases, 4).T[None].float().contiguous()
    spent = []
    with torch.inference_mode():
        for _ in range(PASSES):
            start = time.process_time()
            network(x)
            spent.append(time.process_time() - start)
    return median(spent)


def serve(version: str, network: Network, score: Score) -> None:
    """Answer requests, one JSON line each, until stdin ends.

    A request is ``{"fasta": ..., "variants": [...], "batch": ...}``. The first line of output names
    the tool. Anything that the tool prints itself goes to stderr.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message: dict[str, object]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    parameters = sum(p.numel() for p in network.parameters())
    answer({"version": version, "torch": torch.__version__, "parameters": parameters})
    for line in sys.stdin:
        request = json.loads(line)
        variants = [tuple(variant) for variant in request["variants"]]
        start = time.process_time()
        effects = score(Path(request["fasta"]), variants, request["batch"])
        seconds = time.process_time() - start
        answer({"seconds": seconds, "effects": effects, "pass": pass_seconds(network)})
