import io

import numpy as np
import pytest
import torch
from PIL import Image

from i2ilr_mm.inference import Translator
from i2ilr_mm.lr import down, from_uint8


def test_every_form_of_a_picture_gives_the_same_result(translator, pictures, heads):
    with Image.open(pictures[0]) as image:
        picture = image.convert('RGB').resize((32, 32), Image.Resampling.BILINEAR)
    array = np.array(picture)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    forms = [picture, array, tensor, tensor[None], from_uint8(tensor)]
    (expected,) = translator.translate(pictures[0], pictures[1])
    assert (expected.source_name, expected.target_name) == (pictures[0], pictures[1])
    for form in forms:
        (result,) = translator.translate([form], pictures[1])
        assert np.array_equal(result.image, expected.image), type(form)
        assert result.source_name == ''


@pytest.mark.parametrize('project', [False, True])
def test_results_do_not_depend_on_the_batch(translator, pictures, project):
    several = translator.translate(pictures[:3], pictures[3:6], project=project)
    for i, result in enumerate(several):
        (alone,) = translator.translate(pictures[i], pictures[3 + i], project=project)
        gap = np.abs(np.array(alone.image, int) - np.array(result.image, int))
        assert gap.max() <= 1


def test_a_target_is_shrunk_or_taken_as_it_is(translator, pictures):
    lr = translator.target(pictures[1])
    assert torch.equal(lr, down(translator.source(pictures[1])[None], 8)[0])
    small = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    assert torch.equal(
        translator.target(small),
        from_uint8(torch.arange(192).byte()).view(8, 8, 3).permute(2, 0, 1),
    )
    assert torch.equal(translator.target(lr), lr)
    assert torch.equal(translator.target(lr[None]), lr)
    for size in ((4, 4), (8, 9), (9, 8), (12, 40)):
        message = f'is {size[0]} x {size[1]}.*trained with LR targets of 8 x 8'
        with pytest.raises(ValueError, match=message):
            translator.target(small.resize(size))


def test_folders_and_pairs(translator, heads, pictures):
    folder = heads / 'val' / 'male'
    results = translator.translate(folder, pictures[0])
    assert len(results) == 3 and {r.target_name for r in results} == {pictures[0]}
    same = translator.translate(folder.glob('*.jpg'), pictures[0])  # any iterable will do
    assert sorted(r.source_name for r in same) == sorted(r.source_name for r in results)
    batch = np.stack([np.array(r.image) for r in results])
    assert len(translator.translate(batch, pictures[0])) == 3
    every = translator.translate(pictures[:2], pictures[2:5], pairs='all')
    named = [(r.source_name, r.target_name) for r in every]
    assert named == [(s, t) for s in pictures[:2] for t in pictures[2:5]]
    with pytest.raises(ValueError, match='2 sources and 3 targets cannot be taken in order'):
        translator.translate(pictures[:2], pictures[2:5])


def test_the_certificate_is_that_of_the_file(translator, pictures, tmp_path):
    plain, projected = (
        translator.translate(pictures[0], pictures[1], project=p)[0] for p in (False, True)
    )
    assert plain.lr_worst > 5 and not plain.reached  # an untrained model
    assert projected.lr_worst < 0.5 and projected.reached
    projected.save(tmp_path / 'deep/a.png')
    with Image.open(tmp_path / 'deep/a.png') as file:
        text = {k.removeprefix('i2ilr_mm:'): v for k, v in file.info.items()}
        written = from_uint8(torch.from_numpy(np.array(file)).permute(2, 0, 1))
    error = (down(written[None], 8)[0] - translator.target(pictures[1])).abs() * 127.5
    assert float(text['lr_worst']) == pytest.approx(error.max().item(), abs=1e-3)
    assert float(text['lr_mae']) == pytest.approx(error.mean().item(), abs=1e-3)
    assert projected.error == pytest.approx(error.amax(0).numpy(), abs=1e-3)
    assert text['source'] == pictures[0] and text['projected'] == text['reached'] == 'True'
    with pytest.raises(ValueError, match=r'must end in \.png'):
        projected.save(tmp_path / 'a.jpg')


def test_a_target_that_no_picture_has_is_reported(translator, pictures):
    lr = torch.zeros(3, 8, 8)
    lr[0, 2, 3] = 1.2
    (result,) = translator.translate(pictures[0], lr, project=True)
    assert not result.reached
    assert result.lr_worst == pytest.approx(0.2 * 127.5, abs=0.5)
    assert np.unravel_index(result.error.argmax(), (8, 8)) == (2, 3)
    assert np.sort(result.error.ravel())[-2] < 0.5  # all other cells are met


def test_dials(translator, pictures):
    source, lr = translator.source(pictures[0]), translator.target(pictures[1])
    own = down(source[None], 8)[0]

    def target(**dials) -> torch.Tensor:
        return translator.translate(pictures[0], pictures[1], **dials)[0].target

    assert torch.allclose(target(strength=0.0), own, atol=1e-6)
    assert torch.allclose(target(strength=0.25), 0.75 * own + 0.25 * lr, atol=1e-6)
    mask = np.zeros((8, 8))
    mask[:, :4] = 1
    halves = target(mask=mask)
    assert torch.allclose(halves[..., :4], lr[..., :4]) and torch.equal(
        halves[..., 4:], own[..., 4:]
    )
    other = translator.target(pictures[2])
    blend = translator.blend([pictures[1], pictures[2]], [3, 1])
    assert torch.allclose(blend, 0.75 * lr + 0.25 * other, atol=1e-6)
    assert torch.allclose(translator.translate(pictures[0], blend)[0].target, blend)
    for dials, message in (
        (dict(strength=1.5), 'strength is 1.5'),
        (dict(mask=np.ones((4, 4))), r'mask is \(4, 4\)'),
        (dict(mask=np.full((8, 8), 2.0)), 'one share from 0 to 1'),
        (dict(mask=[]), r'mask is \(0,\)'),
        (dict(mask='x'), 'one share from 0 to 1'),
    ):
        with pytest.raises(ValueError, match=message):
            target(**dials)
    for weights in ([1, 2], [-1], [float('nan')], [0]):
        with pytest.raises(ValueError, match='weights'):
            translator.blend([pictures[1]], weights)


@pytest.mark.parametrize(
    'picture, message',
    [
        (np.zeros((8, 8, 3), np.float32), 'array of float32.*accepted are uint8'),
        (np.zeros((8, 8, 7), np.uint8), 'the last axis has 3 or 4'),
        (torch.zeros(1, 8, 8), r'\(3, H, W\)'),
        (torch.full((3, 32, 32), 200.0), 'floats go from -1 to 1'),
        (torch.rand(3, 32, 32), r'may be a picture in \[0, 1\].* x \* 2 - 1'),
        (torch.zeros(3, 32, 32, dtype=torch.int32), 'uint8 and floats'),
        (12, 'a int was given'),
        ('nowhere.jpg', "'nowhere.jpg' cannot be read"),
    ],
)
def test_what_is_no_picture_is_refused(translator, picture, message):
    with pytest.raises(ValueError, match=message):
        translator.source(picture)


def test_pil_pictures_are_turned_upright(translator):
    picture = Image.new('RGB', (32, 32), 'white')
    picture.paste('red', (0, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    buffer = io.BytesIO()
    picture.save(buffer, 'jpeg', exif=exif, quality=95)
    source = translator.source(Image.open(buffer))
    assert source[1, :8].mean() > 0.9 and source[1, -8:].mean() < -0.9


def test_devices_are_checked(root, translator):
    with pytest.raises(ValueError, match="device 'nonsense' cannot be used"):
        Translator(root / 'configs/i2ilr_heads64.py', 'none.pth', device='nonsense')
