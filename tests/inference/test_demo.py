import base64
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from i2ilr_mm.binding import LUMA
from i2ilr_mm.inference import Translator
from i2ilr_mm.inference.demo import create_app, serve

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or ''
EXAMPLES = 'embedded:heads64'


@pytest.fixture(scope='module')
def client(translator):
    return create_app(translator, EXAMPLES, max_upload_mb=1).test_client()


def png(array) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8)).save(buffer, 'png')
    buffer.seek(0)
    return buffer


def picture(side: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3))


GREY = json.dumps([['#808080'] * 8] * 8)


def ask(client, grid: str = GREY, **form):
    form = {'source': (png(picture()), 'a.png'), 'grid': grid, **form}
    return client.post('/api/translate', data=form)


def test_the_page_and_what_it_asks_for(client, translator):
    assert b'Paint the target' in client.get('/').data
    assert client.get('/api/model').json == dict(
        img_size=32,
        lr_size=8,
        lr_sizes=[8],
        partial=False,
        examples=6,
        fit='stretch',
        max_upload_mb=1,
        checkpoint=translator.metadata['checkpoint'],
    )
    example = client.get('/api/examples/5')
    assert Image.open(io.BytesIO(example.data)).size == (32, 32)
    assert example.mimetype == 'image/png' and client.get('/api/examples/6').status_code == 404


@pytest.mark.parametrize('name, examples', [('heads64', 6), ('cats128', 0)])
def test_examples_are_those_of_the_models_kind(name, examples):
    client = create_app(Translator(f'embedded:{name}', device='cpu'), None).test_client()
    assert client.get('/api/model').json['examples'] == examples


def test_the_answer_is_the_translators(client, translator):
    grid = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    colours = json.dumps([['#' + bytes(cell).hex() for cell in row] for row in grid.tolist()])
    body = ask(client, colours, project='1').json
    (expected,) = translator.translate(picture().astype(np.uint8), grid, project=True)
    made = Image.open(io.BytesIO(base64.b64decode(body['result'].split(',')[1])))
    assert np.array_equal(made, expected.image)
    assert body['asked'] == body['shrunk'] == json.loads(colours)  # met to half a level
    assert body['lr_worst'] == pytest.approx(expected.lr_worst, abs=1e-3) and body['reached']
    assert np.shape(body['error']) == (8, 8)


def test_dials_reach_the_answer(client):
    plain = ask(client).json['asked']
    assert plain == json.loads(GREY)
    assert ask(client, strength='0.5').json['asked'] != plain
    drab = ask(client, grey='1').json['asked']  # of any model
    bands = np.array([[tuple(bytes.fromhex(c[1:])) for c in row] for row in drab])
    assert np.ptp(bands, axis=2).max() > 10
    assert np.abs(bands @ LUMA - 128).max() <= 1
    mask = np.ones((8, 8), int)
    mask[2, 3] = 0
    masked = ask(client, mask=json.dumps(mask.tolist())).json['asked']
    assert [i for i in range(64) if masked[i // 8][i % 8] != '#808080'] == [2 * 8 + 3]


def test_an_uploaded_target_becomes_a_grid(client):
    flat = np.full((50, 50, 3), (10, 200, 30))
    answer = client.post('/api/target', data=dict(picture=(png(flat), 'b.png')))
    assert answer.json['grid'] == [['#0ac81e'] * 8] * 8


@pytest.mark.parametrize(
    'form, message',
    [
        (dict(source=(io.BytesIO(b'no picture'), 'a.jpg')), "the source 'a.jpg' is no picture"),
        (dict(grid='[]'), '8 rows of 8 colours'),
        (dict(grid=json.dumps([['red'] * 8] * 8)), '8 rows of 8 colours'),
        (dict(strength='2'), 'strength is 2'),
        (dict(strength='much'), "strength is 'much'"),
        (dict(mask='[[1]]'), 'the mask is (1, 1)'),
        (dict(mask='[]'), 'the mask is (0,)'),
        (dict(mask='{}'), 'the mask must be a JSON list'),
        (dict(grid='[' * 100000), '8 rows of 8 colours'),
        (dict(source=(png(np.zeros((8000, 8000))), 'a.png')), 'is 8000 x 8000; this page takes'),
    ],
)
def test_mistakes_are_told(client, form, message):
    answer = ask(client, **form)
    assert answer.status_code == 400 and message in answer.json['error']


def test_large_uploads_are_refused(client):
    answer = ask(client, source=(io.BytesIO(bytes(2_000_000)), 'a.jpg'))
    assert answer.status_code == 413 and 'larger than the 1 MB' in answer.json['error']


@pytest.mark.parametrize('listens', [True, False])
def test_a_port_that_is_taken(translator, listens):
    """Also if whoever has it does not listen yet."""
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        if listens:
            other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f'127.0.0.1:{port} cannot be served.*another --port'):
            serve(create_app(translator, EXAMPLES), 'localhost', port)


RESULT_CELL = """async ([row, column]) => {
  const picture = document.getElementById('result'), canvas = document.createElement('canvas');
  await picture.decode();
  const cell = picture.naturalWidth / 8, context = canvas.getContext('2d');
  canvas.width = canvas.height = picture.naturalWidth;
  context.drawImage(picture, 0, 0);
  const data = context.getImageData(column * cell, row * cell, cell, cell).data, sum = [0, 0, 0];
  data.forEach((value, i) => { if (i % 4 < 3) sum[i % 4] += value; });
  return sum.map(value => value / cell / cell);
}"""


@pytest.fixture
def address(translator):
    import waitress

    server = waitress.create_server(
        create_app(translator, EXAMPLES), host='127.0.0.1', port=0, threads=4
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f'http://127.0.0.1:{server.effective_port}/'
    server.close()


def colour(page, box: str, row: int, column: int) -> str:
    return (
        page.locator(f'#{box} > .cell')
        .nth(row * 8 + column)
        .evaluate('cell => getComputedStyle(cell).backgroundColor')
    )


@pytest.mark.skipif(not CHROMIUM, reason='needs Chromium (Debian: apt install chromium)')
def test_painting_in_a_browser(address, heads, tmp_path):
    """Upload, paint a cell by mouse and by keyboard, leave one to the source, narrow the window."""
    from playwright.sync_api import expect, sync_playwright

    offline = ['--disable-background-networking', '--disable-component-update', '--disable-sync']
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu', *offline]
        )
        page = browser.new_page(viewport=dict(width=1200, height=900))
        problems: list[str] = []
        page.on('pageerror', lambda error: problems.append(str(error)))
        elsewhere: list[str] = []
        page.on(
            'request',
            lambda r: (
                elsewhere.append(r.url)
                if not r.url.startswith((address, 'data:', 'blob:'))
                else None
            ),
        )
        page.goto(address)
        figures = page.locator('#figures')
        expect(figures).to_contain_text('grey levels', timeout=20_000)

        source = sorted((heads / 'val/male').glob('*.jpg'))[0]
        before = page.locator('#result').get_attribute('src')
        page.set_input_files('#source-file', source)
        expect(page.locator('#result')).not_to_have_attribute('src', before)

        page.check('#project')
        expect(figures).to_contain_text('it meets the target')
        page.locator('#colour').fill('#00ff00')
        page.locator('#paint .cell').nth(3 * 8 + 4).click()
        expect(figures).to_contain_text('it meets the target')
        expect(page.locator('#shrunk > .cell').nth(28)).to_have_css(
            'background-color', 'rgb(0, 255, 0)'
        )
        page.keyboard.press('ArrowRight')
        page.keyboard.press('Space')
        expect(page.locator('#shrunk > .cell').nth(29)).to_have_css(
            'background-color', 'rgb(0, 255, 0)'
        )
        label = page.locator('#paint .cell').nth(29).get_attribute('aria-label')
        assert label == 'row 4, column 6: #00ff00'
        page.check('input[value=free]')
        page.locator('#paint .cell').nth(29).click()
        expect(page.locator('#asked > .cell').nth(29)).not_to_have_css(
            'background-color', 'rgb(0, 255, 0)'
        )
        page.click('#undo')
        expect(page.locator('#asked > .cell').nth(29)).to_have_css(
            'background-color', 'rgb(0, 255, 0)'
        )
        assert colour(page, 'shrunk', 3, 4) == 'rgb(0, 255, 0)'
        shown = page.evaluate(RESULT_CELL, [3, 4])  # the picture itself
        assert shown == pytest.approx([0, 255, 0], abs=1)

        notes = tmp_path / 'notes.txt'
        notes.write_text('no picture')
        page.set_input_files('#target-file', notes)
        expect(page.locator('#message')).to_contain_text("'notes.txt' is no picture")

        page.locator('#paint .cell').nth(29).click()  # left to the source, and so with a new target
        other = page.locator('#paint .cell').nth(0)
        before = other.get_attribute('aria-label')
        page.set_input_files('#target-file', source)
        expect(other).not_to_have_attribute('aria-label', before)
        assert page.evaluate('state.mask[3][5]') == 0

        page.set_viewport_size(dict(width=390, height=800))
        assert page.evaluate('document.documentElement.scrollWidth') <= 390
        shot = os.environ.get('I2ILR_SCREENSHOT')
        if shot:
            page.screenshot(path=shot, full_page=True)
        browser.close()
    assert problems == [] and elsewhere == []


@pytest.mark.parametrize(
    'headers, status',
    [
        ({'Host': 'localhost:7860'}, 200),
        ({'Host': '127.0.0.1:7860'}, 200),
        ({'Host': '[::1]:7860'}, 200),
        ({'Host': '192.168.0.7'}, 200),
        ({'Host': socket.gethostname()}, 200),
        ({'Host': 'evil.example:7860'}, 403),
        ({'Host': '[::1'}, 403),
        ({'Host': 'localhost:7860', 'Origin': 'http://localhost:7860'}, 200),
        ({'Host': 'localhost:7860', 'Origin': 'http://localhost:8000'}, 403),
        ({'Host': 'localhost:7860', 'Origin': 'https://evil.example'}, 403),
        ({'Host': 'localhost:7860', 'Origin': 'null'}, 403),
    ],
)
def test_other_pages_are_kept_out(client, headers, status):
    """DNS rebinding, and forms of other sites."""
    assert client.get('/api/examples/0', headers=headers).status_code == status


def test_the_pages_own_script_is_all_that_may_run(client):
    answer = client.get('/')
    policy = answer.headers['Content-Security-Policy']
    scripts = re.findall(r'<script>(.*?)</script>', answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1 and f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert not re.search(r'\son\w+=', answer.text)  # attributes that hold scripts would not run


def test_silent_connections_keep_nobody_out():
    """110 connections on which nothing is sent."""
    served = subprocess.Popen(
        [sys.executable, '-m', 'i2ilr', 'demo', '--model', 'embedded:heads64', '--port', '0'],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    silent = []
    try:
        line = next(line for line in served.stdout if 'open http' in line)
        port = int(re.search(r':(\d+)/', line)[1])
        silent = [socket.create_connection(('127.0.0.1', port)) for _ in range(110)]
        with urllib.request.urlopen(f'http://127.0.0.1:{port}/api/model', timeout=10) as answer:
            assert json.load(answer)['img_size'] == 64
    finally:
        for connection in silent:
            connection.close()
        served.terminate()
        served.communicate(timeout=20)
