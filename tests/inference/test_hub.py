"""Folders of published generators, and the Hub's own client against a stand-in for the Hub."""

import base64
import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from conftest import fork
from huggingface_hub import ModelCard

from i2ilr_mm.inference import Translator
from i2ilr_mm.inference.hub import find_pretrained, model_card

REPO = 'someone/cats-64'
COMMIT = 'c' * 40


class Hub(BaseHTTPRequestHandler):
    """The calls that up- and downloading make, after the Hub's public API; files in memory."""

    files: dict[str, bytes] = {}
    repos: dict[str, dict] = {}

    def log_message(self, *args) -> None:
        pass

    def answer(self, status: int, content: bytes = b'', **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)

    def do_GET(self) -> None:
        repo, _, rest = self.path.lstrip('/').partition('/resolve/')
        name = rest.partition('/')[2]
        if repo not in self.repos:
            self.answer(404, X_Error_Code='RepoNotFound')
        elif name not in self.files:
            self.answer(404, X_Error_Code='EntryNotFound')
        else:
            content = self.files[name]
            digest = hashlib.sha256(content).hexdigest()
            self.answer(200, content, ETag=f'"{digest}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers['Content-Length'] or 0))
        lines = [json.loads(line) for line in body.splitlines() if line]
        address = f'http://{self.headers["Host"]}/{REPO}'
        if self.path == '/api/repos/create':
            self.repos[REPO] = lines[0]
            found: dict = dict(url=address, name=REPO, id=REPO)
        elif '/preupload/' in self.path:
            names = [f['path'] for f in lines[0]['files']]
            # Small weights may go the way of text; large ones go through another service.
            found = dict(
                files=[dict(path=n, uploadMode='regular', shouldIgnore=False) for n in names]
            )
        elif '/commit/' in self.path:
            for line in lines:
                if line['key'] == 'file':
                    value = line['value']
                    self.files[value['path']] = base64.b64decode(value['content'])
            found = dict(commitOid=COMMIT, commitUrl=f'{address}/commit/{COMMIT}')
        else:
            return self.answer(200, b'{}', Content_Type='application/json')
        self.answer(200, json.dumps(found).encode(), Content_Type='application/json')


@pytest.fixture(scope='module')
def hub(tmp_path_factory):
    """Address of a running stand-in, empty."""
    Hub.files, Hub.repos = {}, {}
    server = ThreadingHTTPServer(('127.0.0.1', 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()


def client(hub, tmp_path, code, **env):
    """Run code in a process of its own: the Hub's client reads its settings when imported."""
    settings = dict(HF_ENDPOINT=hub, HF_HOME=str(tmp_path / 'home'), HF_HUB_DISABLE_XET='1')
    settings |= dict(HF_HUB_OFFLINE='0', PATH='')
    script = tmp_path / 'client.py'
    script.write_text(
        'import sys\nassert "huggingface_hub" not in sys.modules\n'
        f'from i2ilr_mm.inference import Translator\n{code}'
    )
    found = fork([script], tmp_path, **settings | env)
    return found.returncode, found.stdout


def test_up_to_a_hub_and_down_again(translator, hub, tmp_path):
    translator.save_pretrained(tmp_path / 'mine')
    up = f"""
translator = Translator.from_pretrained({str(tmp_path / 'mine')!r}, device='cpu')
print(translator.push_to_hub({REPO!r}, private=True, token='hf_x'))
"""
    code, said = client(hub, tmp_path, up)
    assert code == 0 and f'{REPO}/commit/{COMMIT}' in said, said
    assert Hub.repos[REPO]['private'] is True
    assert set(Hub.files) == {'model.safetensors', 'README.md'}
    assert len(Hub.files['model.safetensors']) > 10_000
    down = f"""
translator = Translator.from_pretrained({REPO!r}, device='cpu')
print(translator.metadata['weights'], translator.facts == {translator.facts!r})
"""
    code, said = client(hub, tmp_path, down)
    assert code == 0 and f'{translator.metadata["weights"]} True' in said, said
    # once more without network, from the client's cache
    code, said = client(hub, tmp_path, down, HF_HUB_OFFLINE='1')
    assert code == 0 and translator.metadata['weights'] in said, said


@pytest.mark.parametrize(
    'name, settings',
    [
        ('someone/else', {}),
        (REPO, dict(HF_ENDPOINT='http://127.0.0.1:9')),
        (REPO, dict(HF_HUB_OFFLINE='1')),
    ],
)
def test_a_hub_that_has_nothing_is_one_sentence(hub, tmp_path, name, settings):
    code, said = client(hub, tmp_path, f'Translator.from_pretrained({name!r})', **settings)
    last = said.strip().splitlines()[-1]
    assert code == 1 and last.startswith(f"OSError: '{name}' is no file or folder here"), said
    assert 'check the name and the network' in last


def test_without_the_client(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(ImportError, match=r"pip install 'i2ilr_mm\[hub\]'"):
        Translator.from_pretrained('someone/cats')


def test_folders_and_files(translator, tmp_path):
    folder = tmp_path / 'mine'
    translator.save_pretrained(folder)
    for name in (folder, folder / 'model.safetensors'):
        again = Translator.from_pretrained(name, device='cpu')
        assert again.metadata['weights'] == translator.metadata['weights']
        assert again.facts == translator.facts
    with pytest.raises(FileExistsError, match='not empty'):
        translator.save_pretrained(folder)
    (folder / 'model.safetensors').unlink()  # as a kill can leave it
    (folder / 'model.safetensors.1.partial').write_bytes(b'half')
    translator.save_pretrained(folder)
    (folder / 'model.safetensors').rename(tmp_path / 'whole')
    (folder / 'README.md').write_text("a user's own")
    with pytest.raises(FileExistsError, match='not empty'):
        translator.save_pretrained(folder)
    (tmp_path / 'whole').rename(folder / 'model.safetensors')
    (folder / 'b.safetensors').write_bytes(b'')
    assert find_pretrained(str(folder)).endswith('model.safetensors')
    (folder / 'model.safetensors').rename(folder / 'a.safetensors')
    with pytest.raises(ValueError, match=r"2 .* name one: \['a.safetensors', 'b.safetensors'\]"):
        Translator(folder)
    with pytest.raises(FileNotFoundError, match='no .safetensors file'):
        Translator(tmp_path)
    with pytest.raises(ValueError, match='on this machine; revision'):
        Translator.from_pretrained(folder, revision='main')
    with pytest.raises(ValueError, match="'cats' is no Hub id"):
        translator.push_to_hub('cats')


def test_the_card_is_one_of_the_hubs_format(translator):
    """Read back by the Hub's own client, scores included."""
    score = dict(value=0.25, unit='grey levels', better='lower', n=4)
    report = dict(
        scores={'lr_mae': dict(score, beside={'copy_source': score})},
        protocol=dict(name='intra'),
        data='my cats (test)',
    )
    facts = {**translator.facts, 'licence': 'CC-BY-NC-4.0', 'data': 'my cats', 'scores': report}
    card = ModelCard(model_card(facts, 'cats-64'))
    assert (card.data.license, card.data.library_name) == ('cc-by-nc-4.0', 'i2ilr_mm')
    assert card.data.pipeline_tag == 'image-to-image'
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ('lr_mae', 0.25)
    assert (result.dataset_name, card.data.model_name) == ('my cats (test)', 'cats-64')
    assert '| trained on | my cats |' in card.text and '32 x 32' in card.text
    assert '| lr_mae | 0.2500 | grey levels, lower |' in card.text
    plain = ModelCard(model_card(translator.facts, 'x'))
    assert plain.data.license is None and '| trained on | not stated |' in plain.text


def test_the_network_is_the_same_everywhere(translator, tmp_path):
    translator.save_pretrained(tmp_path / 'mine')
    again = Translator(tmp_path / 'mine', device='cpu')
    source, lr = torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 8, 8) * 2 - 1
    assert torch.equal(again.run(source, lr), translator.run(source, lr))
