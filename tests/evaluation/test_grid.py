import numpy as np
import torch

from i2ilr_mm.evaluation.grid import result_columns, sample_grid


def test_columns_and_rows():
    source = torch.zeros(2, 3, 64, 64)
    lr = torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)
    grid = np.array(sample_grid({'source': source, 'LR': lr}))
    assert grid.shape == (22 + 2 * 132, 4 + 2 * 132, 3)
    tile = grid[22 + 132 : 22 + 132 + 128, 4 + 132 : 4 + 132 + 128]
    expected = ((lr[1] + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert np.array_equal(tile[8::16, 8::16], expected)
    assert (grid[:22] < 128).any()  # titles


def test_notes_stand_beside_the_rows():
    source = torch.zeros(2, 3, 64, 64)
    plain, noted = (np.array(sample_grid({'a': source}, notes=n)) for n in ([], ['', '1.5 levels']))
    assert noted.shape[1] > plain.shape[1] and np.array_equal(noted[:, : plain.shape[1]], plain)
    margin = noted[:, plain.shape[1] :] < 128
    assert not margin[: 22 + 132].any() and margin[22 + 132 :].any()


def test_the_error_is_shown_eight_times_as_large():
    """A result that is 2 and 12.75 grey levels off in every cell: black is -1."""
    result = torch.zeros(2, 3, 64, 64)
    lr = torch.stack([torch.full((3, 8, 8), v / 127.5) for v in (2, -12.75)])
    columns, error = result_columns(result, lr, result, 'box')
    shown = (columns['LR error x 8'] + 1) * 127.5
    assert torch.allclose(shown, torch.tensor([16.0, 102.0]).view(2, 1, 1, 1), atol=1e-3)
    assert torch.allclose(error, torch.tensor([2.0, 12.75]).view(2, 1, 1, 1), atol=1e-4)
