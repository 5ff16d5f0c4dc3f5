"""Write a translator's network for other runtimes: ONNX, or PyTorch's own export format."""

import copy
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from i2ilr.files import at_home, replacing

from ..binding import binding_whole, bound
from ..lr import GREY_LEVELS, down, matched
from .translator import Translator

SUFFIXES = {'onnx': '.onnx', 'torch-export': '.pt2'}
PROJECTION_ROUNDS = 5
INPUTS = ('source', 'lr')


class Exportable(nn.Module):
    """Source (B, 3, H, H) and LR target (B, 3, s, s) in [-1, 1] -> result (B, 3, H, H), clamped.

    The LR target of a network with ``partial`` is (B, 4, s, s), see :mod:`i2ilr_mm.binding`.

    Args:
        translator: Its network is copied.
        projection: Move results to their targets inside the network, as
            :func:`i2ilr_mm.lr.match` does but for the rounding to 8 bits (with 'bicubic' in five
            rounds).
    """

    def __init__(self, translator: Translator, projection: bool) -> None:
        super().__init__()
        self.network = copy.deepcopy(translator.network).cpu()
        self.projection, self.lr_method = projection, translator.lr_method

    def forward(self, source: Tensor, lr: Tensor) -> Tensor:
        image = self.network(source, lr).clamp(-1, 1)
        if self.projection:
            whole = bound(down(image, lr.shape[-1], self.lr_method), binding_whole(lr))
            image = matched(image, whole, self.lr_method, PROJECTION_ROUNDS)
        return image


def export(
    translator: Translator,
    path: str,
    kind: str,
    projection: bool = False,
    lr_size: int | None = None,
) -> None:
    """Write the network with a free batch size, for LR targets of one size.

    Args:
        translator: The model; its network runs in float32.
        path: A new file.
        kind: 'onnx' or 'torch-export'.
        projection: See :class:`Exportable`.
        lr_size: Side of the LR targets; None takes the model's usual one.

    Raises:
        FileExistsError: If the file exists.
        ImportError: If 'onnx' is asked for and its packages are missing.
        ValueError: If the kind is unknown, the file's name ends otherwise, or the model takes no LR
            targets of that size.
    """
    if kind not in SUFFIXES:
        raise ValueError(f"format is '{kind}'; accepted are {', '.join(SUFFIXES)}")
    translator.check_lr_size(lr_size)
    path = at_home(path)
    if not path.endswith(SUFFIXES[kind]):
        raise ValueError(f"'{path}' must end in {SUFFIXES[kind]}, the format it is written in")
    if os.path.exists(path):
        raise FileExistsError(f"'{path}' exists; choose another name, or move it away")
    if kind == 'onnx':
        _need_onnx()
    network = Exportable(translator, projection).eval()
    example = examples(translator, 2, lr_size)
    with torch.no_grad():
        network(*example)  # fills the caches of constants, which cannot be made while tracing
        batch = torch.export.Dim('batch', min=1, max=4096)
        program = torch.export.export(network, example, dynamic_shapes=({0: batch}, {0: batch}))
    with replacing(path) as partial:
        if kind == 'onnx':
            onnx_program = torch.onnx.export(
                program,
                dynamo=True,
                input_names=list(INPUTS),
                output_names=['result'],
                verbose=False,
            )
            assert onnx_program is not None
            onnx_program.save(partial)
        else:
            with open(partial, 'wb') as file:
                torch.export.save(program, file)


def _need_onnx() -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "writing ONNX needs packages that are not installed: pip install 'i2ilr_mm[export]'"
        ) from error


def examples(
    translator: Translator, count: int, lr_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """Random sources and LR targets of a translator's sizes, in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    lr_size = lr_size or translator.lr_size
    sizes = (translator.img_size, lr_size)
    source, lr = (torch.rand(count, 3, s, s, generator=generator) * 2 - 1 for s in sizes)
    if translator.partial:
        share = torch.rand(count, 1, lr_size, lr_size, generator=generator)
        share = (3 * share - 1).clamp(0, 1)  # a third free, a third binding, a third between
        lr = torch.cat([lr, share], dim=1)
    return source, lr


def load(path: str) -> Callable[[Tensor, Tensor], Tensor]:
    """An exported network as a function of source and LR target.

    Raises:
        ImportError: If it is ONNX and onnxruntime is missing.
    """
    if path.endswith(SUFFIXES['torch-export']):
        module = torch.export.load(path).module()
        return lambda source, lr: module(source, lr)
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def run(source: Tensor, lr: Tensor) -> Tensor:
        inputs = dict(zip(INPUTS, (np.asarray(source), np.asarray(lr))))
        return torch.from_numpy(session.run(None, inputs)[0])

    return run


def compare(
    translator: Translator, path: str, projection: bool, lr_size: int | None = None
) -> dict[str, float]:
    """How an exported network differs from PyTorch's, and how long each takes for one picture.

    Returns:
        ``largest difference`` in the units of [-1, 1] over batches of one and three, in ``grey
        levels``, and ``exported``, ``pytorch``: median seconds for one picture.
    """
    exported, network = load(path), Exportable(translator, projection).eval()
    with torch.inference_mode():
        gaps = [
            (exported(*pair) - network(*pair)).abs().max().item()
            for pair in (examples(translator, n, lr_size) for n in (1, 3))
        ]
        one = examples(translator, 1, lr_size)
        seconds = [_median_time(run, one) for run in (exported, network)]
    return {
        'largest difference': max(gaps),
        'grey levels': max(gaps) * GREY_LEVELS,
        'exported': seconds[0],
        'pytorch': seconds[1],
    }


def _median_time(run: Callable, inputs: tuple, times: int = 15) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run(*inputs)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[times // 2]
