"""Published generators in folders and on the Hugging Face Hub, with a model card beside them.

The Hub's own client does the transfer; it is the extra ``hub``. Folders need nothing.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from i2ilr.files import at_home, replacing
from i2ilr.scores import number

from ..datasets.pictures import EMBEDDED
from .release import SUFFIX, release_path, write_release

WEIGHTS_FILE = f'model{SUFFIX}'
CARD_FILE = 'README.md'
HUB_ID = re.compile(r'[\w.-]+/[\w.-]+')

INTRODUCTION = (
    'A generator for image-to-image translation with low-resolution conditioning '
    '([I2I-LR](https://arxiv.org/abs/2107.11262)), written by i2ilr_mm. It takes a source picture '
    'and a very small LR target. Its result keeps the detail of the source and equals the target '
    'when it is shrunk.'
)
USAGE = """```python
from i2ilr_mm.inference import Translator

model = Translator.from_pretrained('user/name')  # or the folder of this card
model.translate('source.jpg', 'target.jpg')[0].save('result.png')
```
"""


def find_pretrained(name: str, revision: str | None = None, token: str | None = None) -> str:
    """The file of a published generator.

    Args:
        name: A .safetensors file, a folder with one, 'embedded:heads64', or a Hub id, 'user/name'.
            What exists on disk comes first; a Hub id is fetched into the Hub's cache.
        revision: Branch, tag or commit, for a Hub id alone.
        token: Access token for a Hub id; None takes the one that `hf auth login` left.

    Raises:
        FileNotFoundError: If there is no such place, or no such file in it.
        ImportError: If a Hub id is given and huggingface_hub is missing.
        ValueError: If a revision is given for what is no Hub id, or a folder has several files.
        OSError: If the Hub cannot be reached, or has no such model.
    """
    path = at_home(name)
    local = name.startswith(EMBEDDED) or os.path.exists(path)
    if local and (revision or token):
        raise ValueError(f"'{name}' is on this machine; revision and token are for the Hub alone")
    if local and os.path.isdir(path):
        return _file_of_folder(path)
    if local or name.endswith(SUFFIX):
        return path
    if not HUB_ID.fullmatch(name):
        raise FileNotFoundError(
            f"there is no '{name}'; give a {SUFFIX} file, a folder with one, '{EMBEDDED}heads64', "
            f"or a Hub id such as 'user/name'"
        )
    return _fetch(name, revision, token)


def _file_of_folder(folder: str) -> str:
    candidates = sorted(n for n in os.listdir(folder) if n.endswith(SUFFIX))
    if WEIGHTS_FILE in candidates:
        return os.path.join(folder, WEIGHTS_FILE)
    if len(candidates) > 1:
        raise ValueError(f"'{folder}' has {len(candidates)} {SUFFIX} files; name one: {candidates}")
    if not candidates:
        raise FileNotFoundError(
            f"there is no {SUFFIX} file in '{folder}'; a model is written by `i2ilr publish`"
        )
    return os.path.join(folder, candidates[0])


def _hub() -> Any:
    try:
        import huggingface_hub

        huggingface_hub.HfApi  # noqa: B018
    except (ImportError, AttributeError) as error:
        raise ImportError(
            "the Hugging Face Hub needs its client: pip install 'i2ilr_mm[hub]'"
        ) from error
    return huggingface_hub


def _fetch(name: str, revision: str | None, token: str | None) -> str:
    hub = _hub()
    try:
        return hub.hf_hub_download(name, WEIGHTS_FILE, revision=revision, token=token)
    except Exception as error:
        raise OSError(
            f"'{name}' is no file or folder here, and {WEIGHTS_FILE} of the Hub's model '{name}' "
            f'cannot be fetched ({_short(error)}); check the name and the network'
        ) from error


def _short(error: Exception) -> str:
    """Kind and first line of an error of the Hub's client.

    The client has a dozen kinds of errors, of three HTTP libraries, with sentences over many lines.
    """
    why = str(error).strip().partition('\n')[0] or type(error).__name__
    return f'{type(error).__name__}: {why}'


def check_hub_id(name: str) -> Any:
    """The Hub's client, if it is there and the name can be one of the Hub's.

    Raises:
        ImportError: If huggingface_hub is missing.
        ValueError: If the name is no Hub id.
    """
    if not HUB_ID.fullmatch(name):
        raise ValueError(f"'{name}' is no Hub id; it is of the form user/name")
    return _hub()


def save_pretrained(network: nn.Module, facts: dict[str, Any], folder: str) -> None:
    """Write a folder that :func:`find_pretrained` and the Hub take: weights and model card.

    Raises:
        FileExistsError: If the folder has anything in it.
    """
    folder = at_home(folder)
    card = model_card(facts, os.path.basename(os.path.abspath(folder)))
    if os.path.exists(folder) and not _is_unfinished(folder, card):
        raise FileExistsError(f"'{folder}' exists and is not empty; give a new folder")
    os.makedirs(folder, exist_ok=True)
    # The weights come last: a folder that has them is whole.
    with replacing(os.path.join(folder, CARD_FILE)) as partial:
        Path(partial).write_text(card, encoding='utf-8')
    write_release(network, facts, os.path.join(folder, WEIGHTS_FILE))


def _is_unfinished(folder: str, card: str) -> bool:
    """Whether a folder is empty, or has no more than what a kill leaves of writing it."""
    if not os.path.isdir(folder):
        return False
    names = [name for name in os.listdir(folder) if not name.endswith('.partial')]
    if names != [CARD_FILE]:
        return not names
    return Path(folder, CARD_FILE).read_text(encoding='utf-8', errors='replace') == card


def push_to_hub(
    network: nn.Module,
    facts: dict[str, Any],
    name: str,
    private: bool = False,
    token: str | None = None,
) -> str:
    """Upload weights and model card as one commit; earlier commits stay in the history.

    Returns:
        The address of the commit.

    Raises:
        ImportError: If huggingface_hub is missing.
        ValueError: If the name is no Hub id.
        OSError: If the Hub cannot be reached, or refuses.
    """
    hub = check_hub_id(name)
    with tempfile.TemporaryDirectory() as parent:
        folder = os.path.join(parent, name.partition('/')[2])
        save_pretrained(network, facts, folder)
        try:
            api = hub.HfApi(token=token)
            api.create_repo(name, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=name, folder_path=folder, commit_message='Model of i2ilr_mm'
            )
        except Exception as error:
            raise OSError(
                f"'{name}' cannot be written to the Hub ({_short(error)}); check the name, the "
                f'network, and that you are logged in (`hf auth login`)'
            ) from error
    return str(commit.commit_url)


def model_card(facts: dict[str, Any], name: str) -> str:
    """A model card in the Hub's format: YAML between lines of dashes, then Markdown.

    Args:
        facts: See :func:`~i2ilr_mm.inference.release.describe`.
        name: Title of the card.
    """
    report = facts.get('scores') or {}
    scores = {k: s for k, s in report.get('scores', {}).items() if s['value'] is not None}
    head = _front_matter(name, facts.get('licence'), report, scores)
    parts = [
        f'---\n{yaml.safe_dump(head, sort_keys=False)}---\n',
        f'# {name}\n\n{INTRODUCTION}\n',
        USAGE,
        _table(('property', 'value'), _properties(facts)),
    ]
    if scores:
        protocol = report.get('protocol', {}).get('name')
        parts.append(f'Scores, protocol {protocol}, on {report.get("data")}:\n')
        lines = [
            (k, number(s['value']), f'{s["unit"]}{s.get("better") and ", " + s["better"]}')
            for k, s in scores.items()
        ]
        parts.append(_table(('score', 'value', 'unit, which is better'), lines))
    return '\n'.join(parts)


def _front_matter(
    name: str, licence: str | None, report: dict[str, Any], scores: dict[str, dict]
) -> dict[str, Any]:
    head: dict[str, Any] = dict(
        library_name='i2ilr_mm',
        pipeline_tag='image-to-image',
        tags=['image-to-image', 'i2i-lr', 'gan', 'arxiv:2107.11262'],
    )
    if licence:
        head['license'] = licence.lower()
    if scores:
        head['model-index'] = [dict(name=name, results=[_result(report, scores)])]
    return head


def _properties(facts: dict[str, Any]) -> list[tuple[str, str]]:
    network = facts['network']
    size, lr_sizes = network['img_size'], network.get('lr_sizes') or [network['lr_size']]
    lr = ', '.join(f'{s} x {s}' for s in lr_sizes)
    parts = '; cells may be free' if network.get('partial') else ''
    return [
        ('source and result', f'{size} x {size} pixels, RGB'),
        ('LR target', f'{lr} pixels, operator `{facts["lr_method"]}`{parts}'),
        ('exact LR layer', network.get('exact_lr') or 'none'),
        ('widths', f'{network["base_channels"]} to {network["max_channels"]} channels'),
        ('trained on', facts.get('data') or 'not stated'),
        ('config', f'`{facts.get("config") or "not stated"}`'),
        ('training', f'{facts.get("steps")} steps, {facts.get("pictures")} pictures'),
        ('licence of the weights', facts.get('licence') or 'not stated'),
    ]


def _result(report: dict[str, Any], scores: dict[str, dict]) -> dict[str, Any]:
    data = str(report.get('data') or 'not stated')
    return dict(
        task=dict(type='image-to-image'),
        dataset=dict(type=re.sub(r'\W+', '-', data).strip('-'), name=data),
        metrics=[dict(type=k, name=k, value=s['value']) for k, s in scores.items()],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, tuple('---' for _ in head), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines) + '\n'


def published(model: Any, cfg_options: Any) -> str:
    """The file of a model that is given without a checkpoint.

    Raises:
        ValueError: If it is a config.
    """
    name = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    if name is None or name.endswith('.py'):
        raise ValueError(
            f"'{name or 'the model'}' is a config; give a checkpoint beside it, or a published "
            f"model alone, such as 'embedded:heads64'"
        )
    if cfg_options:
        raise ValueError('cfg_options change a config, and a published model has none: drop them')
    path = find_pretrained(name)
    return release_path(path) or path
