"""What the tests of scores share: pairs, and a feature network that needs no weights."""

from mmagic.registry import MODELS
from torch import nn

from i2ilr_mm.evaluation.features import FeatureNetwork

PIPELINE = [
    dict(type='LoadPicture', key='img'),
    dict(type='ResizePicture', key='img'),
    dict(type='LoadPicture', key='target'),
    dict(type='ResizePicture', key='target'),
    dict(type='DownscaleLR', key='target'),
    dict(type='PackInputs', keys=['img', 'lr']),
]


@MODELS.register_module()
class MeanColour(FeatureNetwork):
    """A feature network that needs no weights: colours of a 2 x 2 picture."""

    name, resize, weights = 'mean colour', '2 x 2', __file__
    frechet, kernel, suffix = 'FD-colour', 'KD-colour', '_colour'
    calls = 0

    def forward(self, images):
        MeanColour.calls += len(images)
        return nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


class Loader:
    """What the metrics need of a data loader and a model."""

    batch_size = 4

    def __init__(self, dataset):
        self.dataset = dataset


class Module(nn.Module):
    lr_method = 'box'

    class data_preprocessor:
        device = 'cpu'


def scored(metric, dataset, samples) -> dict[str, float]:
    metric.prepare(Module(), Loader(dataset))
    metric.process(None, samples)
    return metric.evaluate()
