import numpy as np
import onnxruntime
import pytest
import torch
from conftest import tiny, untrained

from i2ilr_mm.inference import Translator
from i2ilr_mm.inference.export import compare, examples, export, load
from i2ilr_mm.lr import down, match, to_uint8


@pytest.fixture(scope='module')
def translator(tmp_path_factory) -> Translator:
    """A Translator of 32 px with few blocks, as each of their operations is traced."""
    path = tmp_path_factory.mktemp('shallow') / 'a.safetensors'
    return Translator(untrained(path, {**tiny(), 'lr_size': 16}), device='cpu')


@pytest.mark.parametrize(
    'kind, suffix, size', [('onnx', 'onnx', 32), ('torch-export', 'pt2', 32), ('onnx', 'onnx', 48)]
)
def test_exports_give_what_pytorch_gives(translator, kind, suffix, size, tmp_path):
    if size != translator.img_size:
        translator.save_pretrained(tmp_path / 'model')
        translator = Translator(tmp_path / 'model', device='cpu', size=size)
    path = str(tmp_path / f'a.{suffix}')
    export(translator, path, kind)
    found = compare(translator, path, projection=False)
    assert found['largest difference'] < 1e-4
    assert found['exported'] > 0 and found['pytorch'] > 0
    source, lr = examples(translator, 5)  # another batch size than either was made with
    assert source.shape[-1] == size
    expected = translator.run(source, lr)
    gap = to_uint8(load(path)(source, lr)).int() - expected.int()
    assert gap.abs().max() <= 1


def test_projection_inside_an_onnx_file(translator, tmp_path):
    """Driven by onnxruntime alone; the same pictures as PyTorch's."""
    path = str(tmp_path / 'a.onnx')
    export(translator, path, 'onnx', projection=True)
    session = onnxruntime.InferenceSession(path)
    assert [i.name for i in session.get_inputs()] == ['source', 'lr']
    assert session.get_inputs()[0].shape[1:] == [3, 32, 32]
    source, lr = examples(translator, 3)
    lr = lr / 2
    (result,) = session.run(None, dict(source=source.numpy(), lr=lr.numpy()))
    assert np.abs(result).max() <= 1
    image = torch.from_numpy(result)
    assert (down(image, 16) - lr).abs().max() * 127.5 < 0.1
    with torch.inference_mode():
        matched = match(translator.network(source, lr), lr)
    assert (to_uint8(image).int() - matched.int()).abs().float().mean() < 0.5


def test_what_cannot_be_written_is_refused(translator, tmp_path):
    (tmp_path / 'a.onnx').write_bytes(b'')
    with pytest.raises(FileExistsError, match='exists'):
        export(translator, str(tmp_path / 'a.onnx'), 'onnx')
    with pytest.raises(ValueError, match=r'must end in \.pt2'):
        export(translator, str(tmp_path / 'b.onnx'), 'torch-export')
    with pytest.raises(ValueError, match="'tflite'; accepted are onnx, torch-export"):
        export(translator, str(tmp_path / 'b.onnx'), 'tflite')
