import json
import shutil

import pytest
import torch
from mmagic.registry import METRICS
from torch import nn

from i2ilr_mm.datasets import PairedPool
from i2ilr_mm.evaluation.features import (
    EfficientNetLite0,
    FeatureNetwork,
    PyTorchInception,
    StyleGANInception,
)
from i2ilr_mm.evaluation.metrics import (
    I2ILRFID,
    FDLite0,
    LRConsistency,
    collect_reports,
    report_dict,
    report_table,
)
from i2ilr_mm.evaluation.scores import frechet_distance
from i2ilr_mm.lr import down, from_uint8

PIPELINE = [
    dict(type='LoadPicture', key='img'),
    dict(type='ResizePicture', key='img'),
    dict(type='LoadPicture', key='target'),
    dict(type='ResizePicture', key='target'),
    dict(type='DownscaleLR', key='target'),
    dict(type='PackInputs', keys=['img', 'lr']),
]


class MeanColour(FeatureNetwork):
    """A feature network that needs no weights: colours of a 2 x 2 picture."""

    name, weights = 'mean colour', __file__
    calls = 0

    def forward(self, images):
        MeanColour.calls += 1
        return nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


class ColourFID(I2ILRFID):
    def _load_inception(self, style, path):
        return MeanColour(), style


class Loader:
    """What the metrics need of a data loader and a model."""

    batch_size = 4

    def __init__(self, dataset):
        self.dataset = dataset


class Module(nn.Module):
    class data_preprocessor:
        device = 'cpu'


@pytest.fixture
def dataset(heads) -> PairedPool:
    from mmengine.registry import init_default_scope

    init_default_scope('mmagic')
    return PairedPool(str(heads), 'val', pipeline=PIPELINE, img_size=32, lr_size=8, n_targets=2)


def results(dataset) -> list[dict]:
    """As if the model returned every source unchanged."""
    items = [dataset[i] for i in range(len(dataset))]
    return [
        dict(fake_img=x['inputs']['img'], lr=x['inputs']['lr'], sample_idx=i)
        for i, x in enumerate(items)
    ]


def test_lr_consistency(dataset):
    metric = LRConsistency()
    samples = results(dataset)
    for sample in samples[:6]:
        sample['lr'] = down(from_uint8(sample['fake_img'])[None], 8)[0]
    metric.process(None, samples[:6])
    assert metric.evaluate() == dict(
        lr_mae=pytest.approx(0, abs=1e-4), lr_psnr=pytest.approx(100, abs=20), lr_within2=1.0
    )
    metric.process(None, samples)
    values = metric.evaluate()
    expected = torch.stack(
        [(down(from_uint8(s['fake_img'])[None], 8)[0] - s['lr']).abs().mean() for s in samples]
    )
    assert values['lr_mae'] == pytest.approx(expected.mean().item() * 127.5, rel=1e-4)
    assert metric.report[0].n == 12


def test_padding_for_even_ranks_counts_once(dataset):
    metric = LRConsistency()
    samples = results(dataset)
    metric.process(None, [*samples, *samples[:3]])
    metric.evaluate()
    assert metric.report[0].n == 12


def fid(dataset, samples=None, **options) -> tuple[float, ColourFID]:
    metric = ColourFID(**{'cache_dir': None, **options})
    metric.prepare(Module(), Loader(dataset))
    metric.process(None, samples if samples is not None else results(dataset))
    return metric.evaluate()['fid'], metric


def test_fid_takes_every_pair_and_every_real_picture_once(dataset):
    value, metric = fid(dataset)
    fakes = torch.stack([s['fake_img'] for s in results(dataset)])
    reals = torch.stack([dataset[i]['inputs']['img'] for i in range(0, 12, 2)])
    assert value == pytest.approx(frechet_distance(MeanColour()(fakes), MeanColour()(reals)))
    report = metric.report[0]
    assert (report.n, report.n_real, report.network) == (12, 6, 'mean colour')


def test_fid_counts(dataset):
    _, metric = fid(dataset, fake_nums=5, real_nums=4)
    assert (metric.report[0].n, metric.report[0].n_real) == (5, 4)
    for option, there in (('fake_nums', 12), ('real_nums', 6)):
        with pytest.raises(ValueError, match=f'{option}=99.*{there}'):
            fid(dataset, **{option: 99})


def test_real_features_are_cached_under_their_content(dataset, heads, tmp_path):
    cache = tmp_path / 'cache'
    value, _ = fid(dataset, cache_dir=str(cache))
    before = MeanColour.calls
    again, _ = fid(dataset, cache_dir=str(cache))
    assert again == value and MeanColour.calls == before + 1  # the fakes only
    shutil.copytree(heads, tmp_path / 'changed')
    victim = next((tmp_path / 'changed/val').rglob('*.jpg'))
    other = next((heads / 'train').rglob('*.jpg'))
    shutil.copy(other, victim)  # the same names, another picture
    changed = PairedPool(
        str(tmp_path / 'changed'), 'val', pipeline=PIPELINE, img_size=32, lr_size=8, n_targets=2
    )
    fid(changed, cache_dir=str(cache))
    larger = PairedPool(str(heads), 'val', pipeline=PIPELINE, img_size=64, lr_size=8, n_targets=2)
    fid(larger, cache_dir=str(cache))
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize('style, file', [('StyleGAN', '.pt'), ('PyTorch', '6726825d.pth')])
def test_missing_inception_says_what_to_put_where(style, file, monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf'https://\S+{file}.*put it at.*{tmp_path}'):
        I2ILRFID(inception_style=style)
    with pytest.raises(FileNotFoundError, match='mine.bin'):
        I2ILRFID(inception_style=style, inception_path='mine.bin')
    with pytest.raises(ValueError, match="'TF'.*StyleGAN, PyTorch"):
        I2ILRFID(inception_style='TF')


def test_pytorch_inception_reads_a_local_file(tmp_path):
    from mmagic.evaluation.functional.fid_inception import InceptionV3, fid_inception_v3

    torch.manual_seed(0)
    weights = fid_inception_v3(load_ckpt=False).eval()
    torch.save(weights.state_dict(), tmp_path / 'weights.pth')
    ours = PyTorchInception(str(tmp_path / 'weights.pth'))
    theirs = InceptionV3([3], normalize_input=False, load_fid_inception=False).eval()
    blocks = [module for block in theirs.blocks for module in block]
    named = [weights.get_submodule(n) for n in LAYERS]
    for block, source in zip([b for b in blocks if list(b.parameters())], named):
        block.load_state_dict(source.state_dict())
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        expected = theirs(images.float() / 127.5 - 1)[0].flatten(1)
        assert torch.allclose(ours(images), expected, rtol=1e-3, atol=1e-4)
    torch.save({'other': torch.ones(1)}, tmp_path / 'wrong.pth')
    with pytest.raises(ValueError, match='wrong.pth.*does not hold'):
        PyTorchInception(str(tmp_path / 'wrong.pth'))


LAYERS = [
    'Conv2d_1a_3x3',
    'Conv2d_2a_3x3',
    'Conv2d_2b_3x3',
    'Conv2d_3b_1x1',
    'Conv2d_4a_3x3',
    'Mixed_5b',
    'Mixed_5c',
    'Mixed_5d',
    'Mixed_6a',
    'Mixed_6b',
    'Mixed_6c',
    'Mixed_6d',
    'Mixed_6e',
    'Mixed_7a',
    'Mixed_7b',
    'Mixed_7c',
]


class Scripted(nn.Module):
    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return x.float().mean(dim=[2, 3]) if return_features else x.float()


def test_stylegan_inception_reads_a_local_file(tmp_path):
    torch.jit.script(Scripted()).save(str(tmp_path / 'scripted.pt'))
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    network = StyleGANInception(str(tmp_path / 'scripted.pt'))
    assert torch.allclose(network(images), images.float().mean((2, 3)))
    torch.save({'weights': torch.ones(1)}, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='weights.pth.*TorchScript'):
        StyleGANInception(str(tmp_path / 'weights.pth'))


def test_lite0_knows_pictures_apart(dataset):
    """Real ImageNet weights: a picture is nearer to its flipped self than to another picture."""
    network = EfficientNetLite0()
    images = torch.stack([dataset[i]['inputs']['img'] for i in (0, 6)])
    features, flipped = network(images), network(images.flip(-1))
    assert features.shape == (2, 1280)
    assert (features[0] - flipped[0]).norm() < (features[0] - features[1]).norm()
    assert len(network.weights_hash) == 16


def test_fd_lite0_is_not_called_fid(dataset):
    metric = FDLite0(cache_dir=None)
    metric.prepare(Module(), Loader(dataset))
    metric.process(None, results(dataset))
    assert list(metric.evaluate()) == ['fd_lite0']
    table, data = report_table(metric.report), report_dict(metric.report)
    assert 'FD-lite0' in table and 'EfficientNet-Lite0' in table and 'FID' not in table
    assert json.loads(json.dumps(data))['fd_lite0']['n'] == 12
    assert collect_reports([metric]) == metric.report


@pytest.mark.parametrize('name', ['LRConsistency', 'I2ILRFID', 'FDLite0'])
def test_registered(name):
    assert METRICS.get(name).__name__ == name
