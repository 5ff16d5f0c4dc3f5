"""Pictures of a scoring: pairs of its data set, and plots of its metrics."""

import os
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from ..datasets.pairs import PairedPool
from ..evaluation.grid import load_pairs, result_columns, sample_grid
from ..evaluation.metrics import DistributionScores, LRConsistency
from ..evaluation.plots import plot_frechet_against_n, spread_evenly
from ..models.i2ilr import I2ILR


def draw_samples(
    model: I2ILR,
    dataset: PairedPool,
    indices: list[int],
    path: str,
    others: Mapping[str, I2ILR] = MappingProxyType({}),
) -> None:
    """Draw pairs of a dataset: source, LR target, result, the result shrunk, its error.

    Further columns show the results of ``others``, under their names.
    """
    source, lr = load_pairs(model, dataset, indices)
    columns, error = result_columns(source, lr, model.predict(source, lr), model.lr_method)
    for name, other in others.items():
        columns[name] = other.to(source.device).predict(source, lr)
    grid = sample_grid(
        columns,
        notes=[f'{e:.1f} levels' for e in error.mean(dim=(1, 2, 3)).tolist()],
    )
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    grid.save(path)


def draw_plots(
    model: I2ILR, metrics: list, dataset: PairedPool, folder: str, others: Mapping[str, I2ILR]
) -> None:
    """Draw what the metrics of a scoring allow; say what was drawn."""
    drawn = []
    for metric in metrics:
        if isinstance(metric, LRConsistency):
            order = sorted(metric.errors, key=metric.errors.__getitem__)
            drawn.append(os.path.join(folder, 'best_to_worst.png'))
            draw_samples(model, dataset, spread_evenly(order, 10), drawn[-1], others)
    if sets := _feature_sets(metrics):
        drawn.append(os.path.join(folder, 'frechet_against_n.png'))
        plot_frechet_against_n(sets, drawn[-1])
    print('\n'.join(f'plot:   {path}' for path in drawn))


def _feature_sets(metrics: list) -> list[tuple[str, Tensor, Tensor]]:
    """Name, features of the results and of the reals, of the metrics that have one curve."""
    return [
        (metric.network.frechet, torch.stack(list(metric.results.values())), metric.real_features)
        for metric in metrics
        if isinstance(metric, DistributionScores)
        and not metric.by_class  # a mean over class pairs has no one curve
        and metric.real_features is not None
        and len(metric.real_features) >= 4
    ]
