"""Plots of scores against the number of results."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from i2ilr.curves import new_figure, save_figure

from .frechet import frechet_distance


def plot_frechet_against_n(
    sets: Iterable[tuple[str, Tensor, Tensor]], path: str, draws: int = 3, steps: int = 6
) -> None:
    """Draw the Frechet distance against the number of pictures that it is computed from.

    The distance falls with n, and the plot shows how much further a score would fall. It compares
    the results with one half of the real pictures. For scale, it compares the other half with it,
    too: that is the score of new real pictures.

    Args:
        sets: Name of the score, features of the results (n1, d) and of the reals (n2, d), n2 >= 4.
        path: The picture to write.
        draws: Random subsets per n, to show their spread.
        steps: Values of n.
    """
    sets = list(sets)
    figure, axes = new_figure(1, len(sets))
    generator = torch.Generator().manual_seed(0)
    for axis, (name, fake, real) in zip(axes, sets):
        half, other = real[::2], real[1::2]
        for label, pictures in (('results', fake), ('half of the real pictures', half)):
            sizes = sorted({max(2, len(pictures) * i // steps) for i in range(1, steps + 1)})
            values = [_distances(pictures, other, n, draws, generator) for n in sizes]
            axis.plot(sizes, [sum(v) / len(v) for v in values], marker='.', label=label)
            axis.fill_between(sizes, [*map(min, values)], [*map(max, values)], alpha=0.2)
        axis.set_title(f'{name} to the other half')
        axis.set_xlabel('number of pictures')
        axis.set_ylim(bottom=0)
        axis.legend()
    save_figure(figure, path)


def _distances(
    pictures: Tensor, other: Tensor, n: int, draws: int, generator: torch.Generator
) -> list[float]:
    """Distances of ``draws`` random subsets of n pictures; one of all pictures."""
    return [
        frechet_distance(pictures[torch.randperm(len(pictures), generator=generator)[:n]], other)
        for _ in range(draws if n < len(pictures) else 1)
    ]


def spread_evenly(order: Sequence[int], count: int) -> list[int]:
    """``count`` entries of a sequence, evenly spaced, the first and the last among them."""
    count = min(count, len(order))
    return [order[round(i * (len(order) - 1) / max(1, count - 1))] for i in range(count)]
