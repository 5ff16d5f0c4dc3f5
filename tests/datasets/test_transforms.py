import numpy as np
import pytest
import torch
from mmagic.registry import TRANSFORMS
from PIL import Image

from i2ilr_mm.config import load_config
from i2ilr_mm.datasets import BindLuma, BindPart, DownscaleLR, LoadPicture, ResizePicture
from i2ilr_mm.inference.dials import dial
from i2ilr_mm.lr import DOWN_METHODS, down, from_uint8

PICTURE = np.random.RandomState(0).randint(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture
def file(tmp_path) -> str:
    Image.fromarray(PICTURE).save(tmp_path / 'a.png')
    return str(tmp_path / 'a.png')


@pytest.mark.parametrize('key', ['img', 'target'])
def test_load_picture(file, key):
    assert np.array_equal(LoadPicture(key)({f'{key}_path': file})[key], PICTURE)


@pytest.mark.parametrize('fit, box', [('stretch', (0, 0, 64, 48)), ('crop', (8, 0, 56, 48))])
def test_resize(fit, box):
    source = Image.fromarray(PICTURE).crop(box)
    expected = source.resize((32, 32), Image.Resampling.BILINEAR)
    given = ResizePicture(32, fit=fit)(dict(img=PICTURE))['img']
    assert np.abs(given.astype(int) - np.array(expected)).max() <= 1
    from_dataset = ResizePicture(fit=fit)(dict(img=PICTURE, img_size=32))['img']
    assert np.array_equal(given, from_dataset)


def test_resize_refuses_unknown_fits():
    with pytest.raises(ValueError, match="'pad'.*stretch, crop"):
        ResizePicture(32, fit='pad')


@pytest.mark.parametrize('method', ['box', 'bicubic'])
def test_downscale_is_the_operator_of_lr(method):
    picture = torch.from_numpy(PICTURE).permute(2, 0, 1)[None].float() / 127.5 - 1
    lr = DownscaleLR(8, key='target', lr_method=method)(dict(target=PICTURE))['lr']
    assert lr.dtype == torch.float32
    assert torch.allclose(lr, down(picture, 8, method)[0], atol=1e-6)
    assert torch.equal(DownscaleLR(lr_method=method)(dict(img=PICTURE, lr_size=8))['lr'], lr)


def test_default_pipelines(root, file):
    cfg = load_config(root / 'configs/i2ilr_heads64.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert any(t['type'] == 'DownscaleLR' for t in loader.dataset.pipeline)
        results = dict(img_path=file, target_path=file, img_size=64, lr_size=8)
        for transform in loader.dataset.pipeline:
            results = TRANSFORMS.build(transform)(results)
        assert results['inputs']['img'].shape == (3, 64, 64)
        assert results['inputs']['img'].dtype == torch.uint8
        image = results['inputs']['img'][None].float() / 127.5 - 1
        assert torch.allclose(results['inputs']['lr'], down(image, 8)[0], atol=1e-6)


@pytest.mark.parametrize(
    'transform',
    [
        LoadPicture('x'),
        ResizePicture(7),
        DownscaleLR(9, lr_method='bicubic'),
        BindPart(0.5),
        BindLuma('bicubic'),
    ],
)
def test_reprs_tell_everything(transform):
    assert all(repr(v).strip("'") in repr(transform) for v in vars(transform).values())
    assert TRANSFORMS.get(type(transform).__name__) is type(transform)


@pytest.mark.parametrize('method', DOWN_METHODS)
@pytest.mark.parametrize('free', [0, 0.5])
def test_grey_targets_are_those_of_the_translator(method, free):
    """In either order with free cells: binding them changes no colour."""
    random = np.random.RandomState(0)
    source, target = random.randint(0, 256, (2, 32, 32, 3), np.uint8)
    results = dict(img=source, target=target, lr_size=8, name='a', target_name='b')
    parts = [BindLuma(method), BindPart(free)] if free else [BindLuma(method)]
    answers = []
    for order in (parts, parts[::-1]):
        found = DownscaleLR(key='target', lr_method=method)(dict(results))
        for transform in order:
            found = transform(found)
        answers.append(found['lr'])
    picture, plain = (
        from_uint8(torch.from_numpy(a).permute(2, 0, 1))[None] for a in (source, target)
    )
    expected = dial(picture, down(plain, 8, method), method, 1.0, grey=True)[0]
    for answer in answers:
        assert torch.allclose(answer[:3], expected, atol=1e-6)
        assert len(answer) == (4 if free else 3)
    assert not torch.allclose(expected, down(plain, 8, method)[0], atol=0.1)
