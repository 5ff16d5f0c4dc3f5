import numpy as np
import pytest
from PIL import Image

from i2ilr_mm.inference import I2ILRInferencer


def test_it_answers_as_the_translator_does(root, translator, pictures, tmp_path):
    inferencer = I2ILRInferencer.__new__(I2ILRInferencer)
    inferencer.translator = translator
    out = tmp_path / 'a.png'
    found, image = inferencer.infer(pictures[0], pictures[1], str(out), project=True)
    (expected,) = translator.translate(pictures[0], pictures[1], project=True)
    assert np.array_equal(found['infer_results'], expected.image)
    assert np.array_equal(Image.open(out), expected.image)
    assert found['lr_worst'] < 0.5 and found['source'] == pictures[0]
    with pytest.raises(FileExistsError, match='exists; give a new name'):
        inferencer.infer(pictures[0], pictures[1], str(out))
    several, images = inferencer.infer(pictures[:2], pictures[2], str(tmp_path / 'more'))
    assert len(several) == len(images) == 2 and (tmp_path / 'more/00001.png').is_file()
    assert image.shape == (1, 3, 32, 32)
    assert np.array_equal(image[0].permute(1, 2, 0), expected.image)
    # what it gives it also takes, without another reading of the values
    again = inferencer.infer(image, image)[0]
    assert np.array_equal(
        again['infer_results'], translator.translate(expected.image, expected.image)[0].image
    )
    assert np.array_equal(inferencer(pictures[0], pictures[1], project=True)[1], image)


def test_it_is_made_as_mmagics(root):
    """The whole embedded model."""
    inferencer = I2ILRInferencer(
        model_config=str(root / 'configs/i2ilr_heads64.py'), model_ckpt='embedded:heads64'
    )
    source = np.zeros((64, 64, 3), np.uint8)
    assert inferencer.infer(img=source, target=source)[0]['infer_results'].shape == (64, 64, 3)
