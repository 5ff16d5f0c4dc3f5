"""What users of MMEngine write to switch a part off, brought to what MMEngine takes."""

from typing import Any

from mmengine.config import Config

from i2ilr.files import at_home
from i2ilr.options import PLACES

BY_DEFAULT = ('env_cfg', 'randomness', 'launcher', 'log_level', 'resume')
"""Settings of which MMEngine accepts any but None, its own default."""

LISTS = ('pipeline', 'vis_backends', 'custom_hooks', 'val_evaluator', 'test_evaluator', 'metrics')
"""Lists of parts."""

MMENGINES_HOOKS = (
    *('runtime_info', 'timer', 'sampler_seed'),
    *('logger', 'param_scheduler', 'checkpoint'),
)
"""Default hooks that MMEngine adds where a config has none; None takes them out."""


def settle(cfg: Config) -> None:
    """Accept what MMEngine refuses: None for a part that is to be left out.

    A setting that is None has MMEngine's default, a hook or a part of a list is left out, and no
    workers are no persistent workers. Places that begin with ~ are below the home folder.
    """
    for name in BY_DEFAULT:
        if cfg.get(name) is None:
            cfg._cfg_dict.pop(name, None)
    if 'default_scope' in cfg and cfg.default_scope is None:
        cfg.default_scope = 'mmagic'
    _settle_below(cfg._cfg_dict)
    hooks = cfg.get('default_hooks')
    if isinstance(hooks, dict):
        for name in [n for n, hook in hooks.items() if hook is None and n not in MMENGINES_HOOKS]:
            del hooks[name]
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if isinstance(loader, dict) and loader.get('num_workers') == 0:
            if loader.get('persistent_workers') is True:
                loader['persistent_workers'] = False
            loader.pop('prefetch_factor', None)


def _settle_below(node: Any) -> None:
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        if name in LISTS and isinstance(value, list):
            value[:] = [part for part in value if part is not None]
        if isinstance(value, (dict, list)):
            _settle_below(value)
        elif name in PLACES and isinstance(value, str):
            node[name] = at_home(value)
