import pytest
import torch
from PIL import Image

from i2ilr_mm.evaluation import plots
from i2ilr_mm.evaluation.frechet import frechet_distance
from i2ilr_mm.evaluation.plots import plot_frechet_against_n, spread_evenly


def test_frechet_is_drawn_against_n(tmp_path, monkeypatch):
    """It falls with n, and ends at the distance of all from one half of the reals."""
    drawn = []
    original = plots.new_figure

    def keep(*size):
        figure, axes = original(*size)
        drawn.append(axes[0])
        return figure, axes

    monkeypatch.setattr(plots, 'new_figure', keep)
    generator = torch.Generator().manual_seed(0)
    fake, real = (torch.randn(n, 30, generator=generator) for n in (120, 60))
    plot_frechet_against_n([('FD-lite0', fake, real)], str(tmp_path / 'n.png'))
    results, half = drawn[0].get_lines()
    assert list(results.get_xdata()) == [20, 40, 60, 80, 100, 120]
    values = results.get_ydata()
    assert values[0] > values[-1] == pytest.approx(frechet_distance(fake, real[1::2]))
    assert half.get_xdata()[-1] == 30
    assert half.get_ydata()[-1] == pytest.approx(frechet_distance(real[::2], real[1::2]))
    assert Image.open(tmp_path / 'n.png').width > 300


def test_spread_evenly():
    assert spread_evenly([5, 3, 9], 10) == [5, 3, 9]
    assert spread_evenly(list(range(100)), 4) == [0, 33, 66, 99]
    assert spread_evenly([7, 8], 1) == [7]
