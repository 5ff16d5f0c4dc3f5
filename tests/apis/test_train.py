import pytest
import torch
from mmengine.config import Config

from i2ilr_mm.apis import train
from i2ilr_mm.apis.train import build_loops, set_amp, set_resume
from i2ilr_mm.datasets import ImagePool, PictureError


@pytest.mark.parametrize('capability, expected', [((8, 0), 'bfloat16'), ((7, 0), None)])
def test_amp_needs_a_gpu_with_bfloat16(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: capability)
    cfg = Config(dict(model=dict(autocast=None)))
    set_amp(cfg)
    assert cfg.model.autocast == expected


def test_resume(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), resume=False, load_from='pretrained.pth'))
    set_resume(cfg, 'auto')
    assert not cfg.resume and cfg.load_from == 'pretrained.pth'  # nothing to resume from
    torch.save({}, tmp_path / 'iter_2.pth')
    (tmp_path / 'last_checkpoint').write_text('')  # as a kill can leave it
    with pytest.raises(FileExistsError, match=r'iter_2.pth.*--resume'):
        set_resume(cfg, None)
    set_resume(cfg, 'auto')
    assert cfg.resume and cfg.load_from == str(tmp_path / 'iter_2.pth')
    set_resume(cfg, str(tmp_path / 'iter_2.pth'))
    assert cfg.load_from == str(tmp_path / 'iter_2.pth')
    with pytest.raises(FileNotFoundError, match=r'none.pth'):
        set_resume(cfg, 'none.pth')


def test_going_back_in_the_same_work_dir_is_warned_of(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(train, 'print_log', lambda text, *_: said.append(text))
    cfg = Config(dict(work_dir=str(tmp_path), load_from=None))
    for i in (2, 4):
        torch.save({}, tmp_path / f'iter_{i}.pth')
    set_resume(cfg, str(tmp_path / 'iter_4.pth'))
    assert not said
    set_resume(cfg, str(tmp_path / 'iter_2.pth'))
    assert 'iter_4.pth' in said[0] and '--work-dir' in said[0]


def test_resume_in_a_config_is_as_good_as_the_flag(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), resume=True, load_from=None))
    set_resume(cfg, None)
    assert not cfg.resume
    torch.save({}, tmp_path / 'iter_2.pth')
    cfg.resume = True
    set_resume(cfg, None)
    assert cfg.resume and cfg.load_from == str(tmp_path / 'iter_2.pth')


def test_bad_pictures_of_both_splits_are_named_at_once(tmp_path):
    for split in ('train', 'val'):
        (tmp_path / split).mkdir()
        (tmp_path / split / f'{split}.png').write_text('<html>')

    class Runner:
        def __init__(self, root):
            self.root = root

        train_loop = property(lambda self: self.pool('train'))
        val_loop = property(lambda self: self.pool('val'))

        def pool(self, split):
            return ImagePool(str(self.root), split, pipeline=[], img_size=64, lr_size=8)

    with pytest.raises(PictureError, match=r'/train\.png.* a web page.*/val\.png.* a web page'):
        build_loops(Runner(tmp_path))
    (tmp_path / 'train').rename(tmp_path / 'train_pictures')
    with pytest.raises(PictureError) as caught:
        build_loops(Runner(tmp_path))
    assert str(caught.value).count('looks like a split') == 1
