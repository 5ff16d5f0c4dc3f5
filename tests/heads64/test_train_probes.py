import re

import pytest
from safetensors.torch import load_file

from i2ilr_mm.heads64.probes import HeadProbes
from i2ilr_mm.heads64.train_probes import train_probes


@pytest.mark.slow
def test_one_epoch_teaches_skin_and_the_file_is_whole(tmp_path):
    out = tmp_path / 'deep/probes.safetensors'
    text = train_probes('embedded:heads64', 1, str(out))
    right = {name: float(share) for name, share in re.findall(r'^(\w+) +(\d\.\d+)', text, re.M)}
    assert len(right) == 7 and right['skin'] > 0.8
    HeadProbes().load_state_dict(load_file(out))
    with pytest.raises(FileExistsError, match='exists; give another name'):
        train_probes('embedded:heads64', 1, str(out))


@pytest.mark.slow
def test_lr_pictures_show_less(tmp_path):
    """Skin still, but hardly the lipstick, after one epoch on heads of 4 x 4 cells."""
    text = train_probes('embedded:heads64', 1, str(tmp_path / 'a.safetensors'), lr_size=4)
    right = {name: float(share) for name, share in re.findall(r'^(\w+) +(\d\.\d+)', text, re.M)}
    assert right['skin'] > 0.8 > right['beard']


def test_other_data_are_refused(heads, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no attributes\.json'):
        train_probes(str(heads), 1, str(tmp_path / 'x.safetensors'))
    with pytest.raises(FileNotFoundError, match='nowhere'):
        train_probes('nowhere', 1, str(tmp_path / 'x.safetensors'))
