"""From the loader's bytes to the networks' floats."""

import torch
from mmagic.registry import MODELS
from mmengine.model import BaseDataPreprocessor

from ..lr import from_uint8


@MODELS.register_module()
class I2ILRPreprocessor(BaseDataPreprocessor):
    """Stack a batch, move it to the device, bring uint8 pictures to [-1, 1]; RGB throughout."""

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: ``inputs`` is a dict of lists (or stacked tensors): ``img`` uint8 (3, H, W),
                ``lr`` float (3, s, s). Other entries pass through.
            training: Unused; the same work is done for training and prediction.

        Returns:
            The batch with ``inputs`` stacked: float32 in [-1, 1], on the device.
        """
        data = self.cast_data(data)
        inputs = {}
        for name, value in data['inputs'].items():
            stacked = torch.stack(list(value)) if isinstance(value, (list, tuple)) else value
            inputs[name] = from_uint8(stacked) if stacked.dtype == torch.uint8 else stacked
        return dict(data, inputs=inputs)
