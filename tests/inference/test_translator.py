import hashlib
import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from i2ilr_mm.inference import Translator, init_model
from i2ilr_mm.inference.release import publish
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


def test_what_is_returned_is_taken_back(translator):
    """Bright pictures, which by their values could be in [0, 1] as well."""
    bright = Image.new('RGB', (32, 32), (250, 200, 180))
    source, target = translator.source(bright), translator.target(bright)
    assert min(source.min(), target.min()) > 0
    blend = translator.blend([bright, target])
    (result,) = translator.translate([source], target, strength=0.5)
    dialled = translator.dial(source[None], target[None])
    for lr in (target, blend, result.target, dialled):
        assert torch.allclose(translator.target(lr), target)
    assert torch.equal(translator.source(source), source)
    assert len(translator.translate([source, bright], dialled)) == 2


@pytest.mark.parametrize('size', [8, 32])
def test_floats_of_an_unknown_range_are_refused(translator, size):
    """By their values: a picture in [0, 1], with a bicubic undershoot; levels of 255."""
    read = translator.target if size == 8 else translator.source
    for picture in (torch.zeros(3, size, size), torch.rand(3, size, size) * 1.1 - 0.1):
        with pytest.raises(ValueError, match='meant from 0 to 1'):
            read(picture.clamp(max=1))
    with pytest.raises(ValueError, match='floats go from -1 to 1'):
        read(torch.rand(3, size, size) * 255)
    returned = read(Image.new('RGB', (size, size), 'white'))
    returned *= 0.5  # is no longer what was returned
    with pytest.raises(ValueError, match='meant from 0 to 1'):
        read(returned)
    with pytest.raises(ValueError, match='meant from 0 to 1'):
        read(read(Image.new('RGB', (size, size), 'white')) * 0.5)


def test_pictures_larger_than_trained(tmp_path, translator):
    random = np.random.RandomState(0)
    source, target = random.randint(60, 200, (2, 48, 48, 3), np.uint8)
    translator.save_pretrained(tmp_path / 'model')
    larger = Translator(tmp_path / 'model', device='cpu', size=48)
    assert (larger.img_size, larger.lr_size, larger.lr_sizes) == (48, 12, (12,))
    (result,) = larger.translate(source, target, project=True)
    assert result.image.size == (48, 48) and result.error.shape == (12, 12)
    # Pillow's box filter is another program for the LR operator.
    own, wanted = (
        np.asarray(Image.fromarray(p).resize((12, 12), Image.Resampling.BOX), np.float32)
        for p in (np.array(result.image), target)
    )
    assert np.abs(own - wanted).max() <= 2  # both are rounded
    mask = np.zeros((12, 12))
    assert larger.translate(source, target, mask=mask)[0].error.shape == (12, 12)
    same = Translator(tmp_path / 'model', device='cpu', size=32)
    assert np.array_equal(
        same.translate(source, target)[0].image, translator.translate(source, target)[0].image
    )


@pytest.mark.parametrize('size', [0, 16, 42, 80, '64', 64.5])
def test_sizes_that_are_refused(tmp_path, translator, size):
    translator.save_pretrained(tmp_path / 'model')
    with pytest.raises(
        ValueError, match=r'trained at 32 pixels .* multiples of 4 from there to 64'
    ):
        Translator(tmp_path / 'model', size=size)


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
        message = f'is {size[0]} x {size[1]}.*is asked for LR targets of 8 x 8'
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
    lr = torch.full((3, 8, 8), -0.25)
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
        (dict(mask=np.full((8, 8), 1e300)), 'one share from 0 to 1'),
        (dict(mask=[]), r'mask is \(0,\)'),
        (dict(mask='x'), 'one share from 0 to 1'),
    ):
        with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
            warnings.simplefilter('error')
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
        (torch.rand(3, 32, 32), r'may be meant from 0 to 1.*\(x \* 255\)\.round\(\)\.byte\(\)'),
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


def test_the_served_model_is_the_scored_one(root, heads, tmp_path):
    """Pictures of Translator and of val_step: both in float32, but for spectral norm's folding."""
    config = root / 'configs/published/i2ilr_celebahq_128.py'
    sizes = dict(img_size=32, lr_size=8, data_root=str(heads))
    widths = {f'model.{n}.max_channels': 8 for n in ('generator', 'discriminator')}
    first = {f'model.{n}.base_channels': 4 for n in ('generator', 'discriminator')}
    options = {**sizes, **widths, **first}
    torch.manual_seed(0)
    publish(init_model(config, cfg_options=options), str(tmp_path / 'a.safetensors'), {})
    served = Translator(config, tmp_path / 'a.safetensors', 'cpu', cfg_options=options)
    scored = init_model(config, tmp_path / 'a.safetensors', cfg_options=options)
    paths = sorted(heads.rglob('*.jpg'))[:4]
    results = served.translate(paths[:2], paths[2:])
    img = torch.stack([served.source(path) for path in paths[:2]])
    lr = torch.stack([served.target(path) for path in paths[2:]])
    samples = scored.val_step(dict(inputs=dict(img=img, lr=lr)))
    for result, sample in zip(results, samples, strict=True):
        picture = np.array(result.image, dtype=int)
        difference = abs(picture - sample.fake_img.permute(1, 2, 0).numpy())
        assert difference.max() <= 1 and (difference == 0).mean() > 0.99


def test_bfloat16_is_asked_for(translator, pictures, monkeypatch):
    types = []
    hook = translator.network.register_forward_hook(
        lambda *_: types.append(
            torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else torch.float32
        )
    )
    results = []
    for amp in (False, True):
        monkeypatch.setattr(translator, 'amp', amp)
        results.append(np.array(translator.translate(pictures[0], pictures[1])[0].image, float))
    hook.remove()
    assert types == [torch.float32, torch.bfloat16]
    assert 0 < abs(results[0] - results[1]).mean() < 4


@pytest.mark.parametrize('before', [False, True])
def test_denormals_are_zero_while_the_network_runs_and_as_before_after(
    translator, pictures, before
):
    def flushed():
        return (torch.full((1,), 1e-40) * 1).item() == 0

    seen = []
    hook = translator.network.register_forward_hook(lambda *_: seen.append(flushed()))
    torch.set_flush_denormal(before)
    try:
        translator.translate(pictures[0], pictures[1])
        assert seen == [True] and flushed() is before
    finally:
        hook.remove()
        torch.set_flush_denormal(False)


def test_the_hash_is_that_of_the_weights(translator, tmp_path):
    state = translator.network.state_dict()
    expected = hashlib.sha256(b''.join(v.numpy().tobytes() for v in state.values())).hexdigest()
    assert translator.metadata['weights'] == expected[:16]
    translator.save_pretrained(tmp_path / 'same')
    same = Translator(tmp_path / 'same', device='cpu')
    assert same.metadata['weights'] == expected[:16]
    with torch.no_grad():
        next(same.network.parameters()).view(-1)[0].add_(1e-3)
    same.save_pretrained(tmp_path / 'other')
    assert Translator(tmp_path / 'other', device='cpu').metadata['weights'] != expected[:16]


def test_results_that_are_not_finite_are_refused(translator, tmp_path):
    translator.save_pretrained(tmp_path / 'copy')
    broken = Translator(tmp_path / 'copy', device='cpu')
    with torch.no_grad():
        for parameter in broken.network.parameters():
            parameter.fill_(3e38)
    source, lr = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match='not finite: its weights are broken'):
        broken.run(source + 0.1, lr)
