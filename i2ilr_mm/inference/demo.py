"""A web page to translate one picture at a time: drop a source, drop or paint an LR target."""

import base64
import hashlib
import io
import ipaddress
import re
import socket
import threading
from contextlib import suppress
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from PIL import Image

from ..binding import shown
from ..datasets.decode import PictureError
from ..datasets.pictures import read_picture
from ..datasets.transforms import fit_picture
from ..lr import down, from_uint8, to_uint8
from .inputs import json_list, painted_target, size_of_form, strength_of, uploaded_picture
from .places import pictures_in
from .translation import Translation
from .translator import Translator

PAGE = files('i2ilr_mm') / 'assets' / 'demo.html'
EXAMPLES = 6


def create_app(
    translator: Translator,
    examples: str | None,
    max_upload_mb: float = 20.0,
    host: str = 'localhost',
) -> Any:
    """The page as a Flask application.

    It refuses requests that other pages send. They have another origin, or name a Host that is not
    this machine's: another site may have pointed its own name here (DNS rebinding).

    Args:
        translator: The model.
        examples: Folder, zip or embedded set; the page offers some of its pictures as examples.
            None takes the embedded heads for models of heads, and no examples for others, which
            make nothing sensible of heads.
        max_upload_mb: Largest request that is accepted, in megabytes.
        host: A name under which the page may be opened, besides 'localhost' and IP addresses.

    Raises:
        FileNotFoundError: If there are no such examples.
        ImportError: If Flask or waitress is missing.
    """
    flask = _flask()
    if examples is None and 'heads' in str(translator.facts.get('config')):
        examples = 'embedded:heads64'
    offered = [] if examples is None else _examples(translator, examples)
    page = Page(translator, offered, max_upload_mb)
    app = flask.Flask('i2ilr_mm')
    app.config['MAX_CONTENT_LENGTH'] = int(max_upload_mb * 1e6)
    app.before_request(lambda: _refusal(flask.request, host))
    app.after_request(partial(_with_headers, _policy(page.html.decode())))
    app.add_url_rule('/', 'page', page.page)
    app.add_url_rule('/api/model', 'model', page.model)
    app.add_url_rule('/api/examples/<int:number>', 'example', page.example)
    app.add_url_rule('/api/target', 'target', page.target, methods=['POST'])
    app.add_url_rule('/api/translate', 'translate', page.translate, methods=['POST'])
    app.register_error_handler(ValueError, lambda error: (dict(error=str(error)), 400))
    app.register_error_handler(413, page.too_large)
    return app


def _flask() -> Any:
    try:
        import flask
        import waitress  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "the page needs packages that are not installed: pip install 'i2ilr_mm[demo]'"
        ) from error
    return flask


class Page:
    """What the addresses of the page answer.

    Args:
        translator: The model.
        offered: The example pictures, (H, H, 3) uint8.
        max_upload_mb: Largest request that is accepted, in megabytes.
    """

    def __init__(
        self, translator: Translator, offered: list[np.ndarray], max_upload_mb: float
    ) -> None:
        self.translator, self.offered, self.max_upload_mb = translator, offered, max_upload_mb
        self.flask, self.html = _flask(), PAGE.read_bytes()
        self.one_at_a_time = threading.Lock()

    def page(self) -> Any:
        return self.flask.Response(self.html, mimetype='text/html')

    def model(self) -> dict[str, Any]:
        return dict(
            img_size=self.translator.img_size,
            lr_size=self.translator.lr_size,
            lr_sizes=self.translator.lr_sizes,
            partial=self.translator.partial,
            examples=len(self.offered),
            fit=self.translator.fit,
            max_upload_mb=self.max_upload_mb,
            checkpoint=self.translator.metadata['checkpoint'],
        )

    def example(self, number: int) -> Any:
        if number >= len(self.offered):
            self.flask.abort(404)
        buffer = io.BytesIO()
        Image.fromarray(self.offered[number]).save(buffer, 'png')
        return self.flask.Response(buffer.getvalue(), mimetype='image/png')

    def target(self) -> dict[str, Any]:
        request = self.flask.request
        size = size_of_form(request.form.get('lr_size'), self.translator.lr_size)
        with self.one_at_a_time:
            picture = uploaded_picture(request.files.get('picture'), 'the target')
            lr = self.translator.target(picture, size)
        return dict(grid=_colours(to_uint8(lr)))

    def translate(self) -> dict[str, Any]:
        translator, form = self.translator, self.flask.request.form
        lr = translator.target(painted_target(form.get('grid', ''), translator.lr_sizes))[None]
        mask = json_list(form['mask'], 'the mask') if form.get('mask') else None
        dials = strength_of(form.get('strength', '1')), mask, form.get('grey') == '1'
        with self.one_at_a_time:
            upload = uploaded_picture(self.flask.request.files.get('source'), 'the source')
            source = translator.source(upload)[None]
            lr = translator.dial(source, lr, *dials)
            (result,) = translator.batch(source, lr, form.get('project') == '1')
        return _answer(result, translator)

    def too_large(self, error: Any) -> tuple[dict[str, str], int]:
        limit = f'{self.max_upload_mb:g} MB'
        return dict(error=f'the upload is larger than the {limit} allowed here'), 413


def _refusal(request: Any, host: str) -> tuple[dict[str, str], int] | None:
    """The answer to a request that another page sent; None if it is this page's own."""
    if not _is_own_name(request.host, host):
        return dict(error=f"'{request.host}' is no name of this page"), 403
    origin = request.headers.get('Origin')
    if origin is not None and urlsplit(origin).netloc != request.host:
        return dict(error='another page asked; open this one itself'), 403
    return None


def _with_headers(policy: str, response: Any) -> Any:
    response.headers['Content-Security-Policy'] = policy
    response.headers['X-Content-Type-Options'] = 'nosniff'
    response.headers['Referrer-Policy'] = 'no-referrer'
    response.headers['Cross-Origin-Resource-Policy'] = 'same-origin'
    return response


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
    """Some pictures (H, H, 3) of a folder, zip or embedded set, without those it cannot read.

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


def _colours(picture: torch.Tensor) -> list[list[str]]:
    """Rows of '#rrggbb' of a (3, s, s) uint8 picture."""
    return [['#' + bytes(cell).hex() for cell in row] for row in picture.permute(1, 2, 0).tolist()]


def _answer(result: Translation, translator: Translator) -> dict[str, Any]:
    image = from_uint8(torch.from_numpy(np.array(result.image)).permute(2, 0, 1))
    shrunk = down(image[None], result.target.shape[-1], translator.lr_method)[0]
    return dict(
        result='data:image/png;base64,' + base64.b64encode(result.png()).decode(),
        asked=_colours(to_uint8(shown(result.target[None])[0])),
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
    if not 0 <= port < 65536:
        raise ValueError(f'--port is {port}; ports go from 0 (any free one) to 65535')
    host = '127.0.0.1' if host == 'localhost' else host
    try:
        server = _server(app, host, port)
    except OSError as error:
        raise ValueError(f'{host}:{port} cannot be served: {error}; try another --port') from error
    if host not in ('127.0.0.1', '::1'):
        print(
            f'warning: --host {host} lets other machines use this page; nobody is asked who it is'
        )
    # A name can stand for several addresses.
    addresses = getattr(server, 'effective_listen', None) or [(host, server.effective_port)]
    for name, number in addresses:
        address = f'[{name}]' if ':' in name else name
        print(f'open http://{address}:{number}/ (stop with Ctrl-C)', flush=True)
    server.run()


def _server(app: Any, host: str, port: int) -> Any:
    import waitress

    return waitress.create_server(
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
