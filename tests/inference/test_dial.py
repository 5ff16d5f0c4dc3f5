"""What a model with a dial takes: LR sizes, free cells; in Python and on the page."""

import io
import json

import numpy as np
import pytest
import torch
from conftest import tiny, untrained
from PIL import Image

from i2ilr_mm.apis.translate import translate_files
from i2ilr_mm.binding import luma
from i2ilr_mm.inference import Translator
from i2ilr_mm.inference.demo import create_app
from i2ilr_mm.inference.export import SUFFIXES, compare, export
from i2ilr_mm.lr import down, from_uint8, to_uint8

SIZES = (4, 8, 16)


@pytest.fixture(scope='module')
def dial(tmp_path_factory):
    """A Translator with a small untrained model of 32 px and three LR sizes."""
    dials = {'model.generator.lr_sizes': list(SIZES), 'model.target_draws.shares': [1, 1, 1]}
    path = tmp_path_factory.mktemp('dial') / 'dial.safetensors'
    untrained(path, {**tiny(), **dials}, 'i2ilr_cats_dial')
    return Translator(path, device='cpu', batch_size=3)


@pytest.fixture(scope='module')
def pair():
    random = np.random.RandomState(0)
    noise = [random.randint(60, 200, (4, 4, 3), np.uint8) for _ in range(2)]
    return [np.array(Image.fromarray(n).resize((32, 32), Image.Resampling.BICUBIC)) for n in noise]


def shrunk(result, size: int) -> torch.Tensor:
    image = from_uint8(torch.from_numpy(np.array(result.image)).permute(2, 0, 1))
    return down(image[None], size)


@pytest.mark.parametrize('size', SIZES)
def test_targets_of_every_size_are_met(dial, pair, size):
    (result,) = dial.translate(*pair, project=True, lr_size=size)
    assert result.target.shape == (3, size, size) and result.error.shape == (size, size)
    expected = down(from_uint8(torch.from_numpy(pair[1]).permute(2, 0, 1))[None], size)
    assert (shrunk(result, size) - expected).abs().max() * 127.5 <= 1


def test_sizes_grow_with_the_pictures(dial, tmp_path, pair):
    dial.save_pretrained(tmp_path / 'model')
    larger = Translator(tmp_path / 'model', device='cpu', size=40)
    assert larger.lr_size == 10 and larger.lr_sizes == (5, 10, 20)
    (result,) = larger.translate(*pair, project=True, lr_size=20)
    assert result.error.shape == (20, 20) and result.reached


def test_lr_pictures_are_taken_in_their_own_size(dial, pair):
    targets = [np.full((s, s, 3), 40 + s, np.uint8) for s in (4, 16, 16, 8)]
    results = dial.translate([pair[0]] * 4, targets)
    assert [r.target.shape[-1] for r in results] == [4, 16, 16, 8]
    with pytest.raises(ValueError, match='LR targets of 8 x 8'):
        dial.target(targets[0], lr_size=8)
    with pytest.raises(ValueError, match=r'lr_size is 32; this model takes .*\[4, 8, 16\]'):
        dial.translate(*pair, lr_size=32)
    with pytest.raises(ValueError, match=r'\[4, 8\] pixels a side do not blend'):
        dial.blend([targets[0], targets[3]])
    assert dial.blend(pair, lr_size=16).shape == (3, 16, 16)


@pytest.mark.parametrize('project', [False, True])
def test_free_cells_are_left_to_the_model(dial, pair, project):
    mask = np.ones((8, 8))
    mask[:, 4:] = 0
    target = np.full((8, 8, 3), 120, np.uint8)
    other = target.copy()
    other[:, 4:] = 10
    first, second = dial.translate([pair[0]] * 2, [target, other], mask=mask, project=project)
    assert np.array_equal(first.image, second.image)
    error = (shrunk(first, 8) * 127.5 + 127.5 - 120).abs().amax(dim=1)[0]
    assert not project or error[:, :4].max() <= 1
    assert error[:, 4:].max() > 5  # its own, not the target's
    assert not project or first.reached
    assert not first.error[:, 4:].any()


def test_cells_that_bind_by_a_share_are_moved_once(dial, pair):
    mask = np.ones((8, 8))
    mask[:, 4:] = 0.5
    (plain,), (moved,) = (dial.translate(*pair, mask=mask, project=p) for p in (False, True))
    change = (shrunk(moved, 8) - shrunk(plain, 8)).abs()[..., 4:]
    assert change.max() * 127.5 <= 1 and moved.reached
    free, bound = mask.copy(), np.ones((8, 8))
    free[:, 4:] = 0
    asked = [shrunk(dial.translate(*pair, mask=m)[0], 8)[..., 5:] for m in (free, mask, bound)]
    nearer = [(a - dial.target(pair[1])[None, ..., 5:]).abs().mean() for a in asked]
    assert nearer[0] > nearer[1] > nearer[2]


@pytest.mark.parametrize('kind', ['dial', 'translator'])
def test_grey_targets_take_the_colours_of_the_source(kind, pair, request):
    """With a dial and without: of a drab target and a colourful one with its luma."""
    model = request.getfixturevalue(kind)
    lr = model.target(pair[1])[None] * 0.5
    grey = to_uint8(luma(lr).expand_as(lr))[0].permute(1, 2, 0).numpy()
    (result,) = model.translate(pair[0], grey, grey=True, project=True)
    assert (luma(shrunk(result, 8)) - luma(lr)).abs().max() * 127.5 <= 1.5  # grey has 8 bits, too
    own = down(model.source(pair[0])[None], 8)
    colours = own - luma(own)
    assert ((shrunk(result, 8) - luma(shrunk(result, 8))) - colours).abs().max() * 127.5 <= 2
    assert result.reached and result.report()['reached']
    (coloured,) = model.translate(pair[0], pair[1], grey=True)
    plain = np.asarray(Image.fromarray(pair[1]).convert('L').convert('RGB'))
    (drab,) = model.translate(pair[0], plain, grey=True)
    difference = np.asarray(coloured.image).astype(int) - np.asarray(drab.image)
    assert np.abs(difference).max() <= 3


def test_masks_of_nothing_and_of_another_size_are_refused(dial, pair):
    with pytest.raises(ValueError, match='leaves every cell free'):
        dial.translate(*pair, mask=np.zeros((8, 8)))
    with pytest.raises(ValueError, match='4 x 4 cells'):
        dial.translate(*pair, mask=np.ones((8, 8)), lr_size=4)
    with pytest.raises(ValueError, match='lr_size is 8.0'):
        dial.translate(*pair, lr_size=8.0)


def test_a_mask_says_the_size(dial, pair):
    (result,) = dial.translate(*pair, mask=np.ones((16, 16)))
    assert result.target.shape == (4, 16, 16)
    small = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match='is 4 x 4: this model is asked for LR targets of 16 x 16'):
        dial.translate(pair[0], small, mask=np.ones((16, 16)))


def test_finer_targets_bind_more(dial, pair):
    """Asked for its own LR picture, a source comes back; for another's, the other comes."""
    own, from_target = [], []

    def distance(result, picture) -> float:
        return np.abs(np.asarray(result.image, float) - picture).mean()

    for size in SIZES:
        same, other = dial.translate([pair[0]] * 2, pair, lr_size=size)
        own.append(distance(same, pair[0]))
        from_target.append(distance(other, pair[1]))
    assert own == sorted(own, reverse=True) and own[0] > 2 * own[-1]
    assert from_target == sorted(from_target, reverse=True) and from_target[0] > 2 * from_target[-1]


def test_models_without_a_dial_say_so(translator, pair):
    with pytest.raises(ValueError, match=r'lr_size is 16; this model takes .*\[8\]'):
        translator.translate(*pair, lr_size=16)


def test_files_remember_their_dials(dial, pair, tmp_path):
    for name, array in zip('ab', pair):
        Image.fromarray(array).save(tmp_path / f'{name}.png')
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(tmp_path / 'mask.png')
    places = [str(tmp_path / 'a.png')], [str(tmp_path / 'b.png')]
    out = str(tmp_path / 'out')
    options = dict(lr_size=4, grey=True, mask=str(tmp_path / 'mask.png'))
    grid = str(tmp_path / 'grid.png')
    assert translate_files(dial, *places, out, grid=grid, **options) == (1, 0)
    assert translate_files(dial, *places, out, **options) == (1, 0)  # is there
    with pytest.raises(FileExistsError, match='another mask and lr_size and grey'):
        translate_files(dial, *places, out)
    text = Image.open(tmp_path / 'out/a__b.png').text
    assert text['i2ilr_mm:lr_size'] == '4' and text['i2ilr_mm:grey'] == 'True'


def test_a_grid_shows_targets_of_several_sizes(dial, tmp_path):
    for size in (4, 16):
        Image.new('RGB', (size, size), 'red').save(tmp_path / f'{size}.png')
    Image.new('RGB', (32, 32), 'blue').save(tmp_path / 'source.png')
    targets, grid = [str(tmp_path / f'{size}.png') for size in (4, 16)], tmp_path / 'grid.png'
    places = [str(tmp_path / 'source.png')], targets
    assert translate_files(dial, *places, str(tmp_path / 'out'), grid=str(grid)) == (2, 0)
    assert Image.open(grid).height == 22 + 2 * 132


@pytest.mark.parametrize('size, kind', [(4, 'onnx'), (16, 'onnx'), (16, 'torch-export')])
def test_exports_are_made_for_one_size(dial, size, kind, tmp_path):
    path = str(tmp_path / f'a{SUFFIXES[kind]}')
    export(dial, path, kind, projection=True, lr_size=size)
    assert compare(dial, path, True, size)['largest difference'] < 1e-4


def png(array) -> tuple:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, 'png')
    buffer.seek(0)
    return buffer, 'a.png'


def test_the_page_offers_the_dial(dial, pair):
    client = create_app(dial, 'embedded:heads64').test_client()
    facts = client.get('/api/model').json
    assert facts['lr_sizes'] == [4, 8, 16] and facts['partial']
    form = dict(picture=png(pair[1]), lr_size='16')
    grid = client.post('/api/target', data=form).json['grid']
    assert np.shape(grid) == (16, 16)
    mask = np.ones((16, 16), int)
    mask[:8] = 0
    form = dict(source=png(pair[0]), grid=json.dumps(grid), mask=json.dumps(mask.tolist()))
    body = client.post('/api/translate', data=dict(form, grey='1', project='1')).json
    assert np.shape(body['shrunk']) == (16, 16) and body['reached']
    assert body['asked'][0][0] == '#ffffff' and not np.any(body['error'][:8])
    wrong = client.post('/api/target', data=dict(picture=png(pair[1]), lr_size='5'))
    assert wrong.status_code == 400 and 'lr_size is 5' in wrong.json['error']
    wrong = client.post('/api/target', data=dict(picture=png(pair[1]), lr_size='x'))
    assert wrong.status_code == 400 and "lr_size is 'x'" in wrong.json['error']
