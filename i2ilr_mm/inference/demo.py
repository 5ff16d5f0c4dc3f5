"""A web page to translate one picture at a time: drop a source, drop or paint an LR target."""

import base64
import hashlib
import io
import ipaddress
import json
import re
import socket
import threading
from contextlib import suppress
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from PIL import Image

from ..datasets.decode import PictureError, decode, size_of
from ..datasets.pictures import read_picture
from ..datasets.transforms import fit_picture
from ..lr import down, from_uint8, to_uint8
from .places import pictures_in
from .translation import Translation
from .translator import Translator

PAGE = files('i2ilr_mm') / 'assets' / 'demo.html'
EXAMPLES = 6
MOST_PIXELS = 50_000_000
"""Of an uploaded picture; a small file can hold very many."""


def create_app(
    translator: Translator, examples: str, max_upload_mb: float = 20.0, host: str = 'localhost'
) -> Any:
    """The page as a Flask application.

    Requests that other pages send are refused: those whose Host is a name that another site may
    have pointed here (DNS rebinding), and those of another origin.

    Args:
        translator: The model.
        examples: Folder, zip or embedded set, from which some pictures are offered.
        max_upload_mb: Largest request that is accepted, in megabytes.
        host: The name that it is served under, besides 'localhost' and addresses.

    Raises:
        FileNotFoundError: If there are no such examples.
        ImportError: If Flask or waitress is missing.
    """
    try:
        import flask
        import waitress  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "the page needs packages that are not installed: pip install 'i2ilr_mm[demo]'"
        ) from error
    offered = _examples(translator, examples)
    count = len(offered)
    app = flask.Flask('i2ilr_mm')
    app.config['MAX_CONTENT_LENGTH'] = int(max_upload_mb * 1e6)
    one_at_a_time = threading.Lock()
    content = PAGE.read_bytes()
    policy = _policy(content.decode())

    @app.before_request
    def of_this_page_alone() -> Any:
        request = flask.request
        if not _is_own_name(request.host, host):
            return dict(error=f"'{request.host}' is no name of this page"), 403
        origin = request.headers.get('Origin')
        if origin is not None and urlsplit(origin).netloc != request.host:
            return dict(error='another page asked; open this one itself'), 403
        return None

    @app.after_request
    def say_what_is_allowed(response: Any) -> Any:
        response.headers['Content-Security-Policy'] = policy
        response.headers['X-Content-Type-Options'] = 'nosniff'
        response.headers['Referrer-Policy'] = 'no-referrer'
        response.headers['Cross-Origin-Resource-Policy'] = 'same-origin'
        return response

    @app.get('/')
    def page() -> Any:
        return flask.Response(content, mimetype='text/html')

    @app.get('/api/model')
    def model() -> Any:
        return dict(
            img_size=translator.img_size,
            lr_size=translator.lr_size,
            examples=count,
            fit=translator.fit,
            max_upload_mb=max_upload_mb,
            checkpoint=translator.metadata['checkpoint'],
        )

    @app.get('/api/examples/<int:number>')
    def example(number: int) -> Any:
        if number >= count:
            flask.abort(404)
        buffer = io.BytesIO()
        Image.fromarray(offered[number]).save(buffer, 'png')
        return flask.Response(buffer.getvalue(), mimetype='image/png')

    @app.post('/api/target')
    def target() -> Any:
        with one_at_a_time:
            lr = translator.target(_uploaded(flask.request.files.get('picture'), 'the target'))
        return dict(grid=_colours(to_uint8(lr)))

    @app.post('/api/translate')
    def translate() -> Any:
        form = flask.request.form
        lr = translator.target(_painted(form.get('grid', ''), translator.lr_size))[None]
        strength = _number(form.get('strength', '1'))
        mask = _list(form['mask'], 'the mask') if form.get('mask') else None
        with one_at_a_time:
            upload = _uploaded(flask.request.files.get('source'), 'the source')
            source = translator.source(upload)[None]
            lr = translator.dial(source, lr, strength, mask)
            (result,) = translator.batch(source, lr, form.get('project') == '1')
        return _answer(result, translator)

    @app.errorhandler(ValueError)
    def refused(error: ValueError) -> Any:
        return dict(error=str(error)), 400

    @app.errorhandler(413)
    def too_large(error: Any) -> Any:
        return dict(error=f'the upload is larger than the {max_upload_mb:g} MB allowed here'), 413

    return app


def _is_own_name(host: str, served: str) -> bool:
    """Whether a Host header is an address, this machine's name, or the one that was asked for."""
    try:
        name = urlsplit(f'//{host}').hostname or ''
    except ValueError:
        return False
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return name in ('localhost', served.lower(), socket.gethostname().lower())


def _policy(page: str) -> str:
    """A Content-Security-Policy under which the page's own script runs, and nothing else."""
    scripts = re.findall(r'<script>(.*?)</script>', page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = ' '.join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; connect-src 'self'; "
        f"img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _examples(translator: Translator, place: str) -> list[np.ndarray]:
    """Some pictures (H, H, 3) of a folder, zip or embedded set; those that cannot be read are not.

    Raises:
        FileNotFoundError: If there is none.
    """
    paths = [path for path, _ in pictures_in(place)]
    first = [paths[i * len(paths) // EXAMPLES] for i in range(min(EXAMPLES, len(paths)))]
    offered: list[np.ndarray] = []
    for path in dict.fromkeys([*first, *paths]):
        try:
            offered.append(fit_picture(read_picture(path), translator.img_size, translator.fit))
        except PictureError:
            continue
        if len(offered) == EXAMPLES:
            break
    if not offered:
        raise FileNotFoundError(f"no picture in '{place}' can be read")
    return offered


def _uploaded(file: Any, what: str) -> Image.Image:
    """The picture in an uploaded file.

    Raises:
        ValueError: If there is none, or it cannot be read.
    """
    if file is None:
        raise ValueError(f'{what} is missing')
    data, name = file.read(), file.filename
    try:
        width, height = size_of(data, name)
        if width * height > MOST_PIXELS:
            raise PictureError(
                f"'{name}' is {width} x {height}; this page takes up to "
                f'{MOST_PIXELS // 10**6} million pixels'
            )
        return Image.fromarray(decode(data, name))
    except PictureError as error:
        raise ValueError(f'{what} {error}') from error


def _list(text: str, what: str) -> list:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise ValueError(f'{what} must be a JSON list')
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"strength is '{text}'; it is a number from 0 to 1") from None


def _painted(text: str, lr_size: int) -> np.ndarray:
    """(s, s, 3) uint8 of rows of colours such as '#a0b1c2', as JSON.

    Raises:
        ValueError: If it is anything else.
    """
    try:
        rows = [
            [bytes.fromhex(cell.removeprefix('#')) for cell in row]
            for row in _list(text, 'the LR target')
        ]
        grid = np.array([[list(cell) for cell in row] for row in rows], dtype=np.uint8)
    except (ValueError, TypeError, AttributeError):
        grid = np.zeros(0, np.uint8)
    if grid.shape != (lr_size, lr_size, 3):
        raise ValueError(
            f"the LR target must be {lr_size} rows of {lr_size} colours like '#a0b1c2'"
        )
    return grid


def _colours(picture: torch.Tensor) -> list[list[str]]:
    """Rows of '#rrggbb' of a (3, s, s) uint8 picture."""
    return [['#' + bytes(cell).hex() for cell in row] for row in picture.permute(1, 2, 0).tolist()]


def _answer(result: Translation, translator: Translator) -> dict[str, Any]:
    image = from_uint8(torch.from_numpy(np.array(result.image)).permute(2, 0, 1))
    shrunk = down(image[None], translator.lr_size, translator.lr_method)[0]
    return dict(
        result='data:image/png;base64,' + base64.b64encode(result.png()).decode(),
        asked=_colours(to_uint8(result.target)),
        shrunk=_colours(to_uint8(shrunk)),
        error=np.round(result.error, 2).tolist(),
        **result.report(),
    )


def serve(app: Any, host: str, port: int) -> None:
    """Serve the page until it is interrupted.

    Raises:
        ImportError: If waitress is missing.
        ValueError: If the address cannot be used.
    """
    import waitress

    if not 0 <= port < 65536:
        raise ValueError(f'--port is {port}; ports go from 0 (any free one) to 65535')
    host = '127.0.0.1' if host == 'localhost' else host
    try:
        server = waitress.create_server(
            app,
            host=host,
            port=port,
            threads=4,
            # Connections on which nothing comes must not keep others out.
            connection_limit=1000,
            channel_timeout=20,
            cleanup_interval=5,
            asyncore_use_poll=True,
            # Flask's answer is the better one, so that it should see what is little too large.
            max_request_body_size=2 * app.config['MAX_CONTENT_LENGTH'],
        )
    except OSError as error:
        raise ValueError(f'{host}:{port} cannot be served: {error}; try another --port') from error
    if host not in ('127.0.0.1', '::1'):
        print(
            f'warning: --host {host} lets other machines use this page; nobody is asked who it is'
        )
    # A name can stand for several addresses.
    addresses = getattr(server, 'effective_listen', None) or [(host, server.effective_port)]
    for name, number in addresses:
        shown = f'[{name}]' if ':' in name else name
        print(f'open http://{shown}:{number}/ (stop with Ctrl-C)', flush=True)
    server.run()
