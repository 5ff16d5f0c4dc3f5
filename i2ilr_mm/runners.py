"""MMEngine's Runner links and checks our configs, whoever builds it: MMagic's tools, a script."""

import os
from functools import wraps

from mmengine.config import Config
from mmengine.runner import Runner

from .config import check_known, copy_config, prepare, read_config
from .linking import unlink
from .parts import is_i2ilr


def link_configs_of_runners() -> None:
    """Let MMEngine's Runner link and check our configs, as MMagic's tools, mim and others build it.

    It writes its config down as a user would have, without what was filled in. Configs that do not
    import this package are left alone.
    """
    original = Runner.from_cfg.__func__  # type: ignore[attr-defined]
    original_dump = Runner.dump_config

    def from_cfg(cls: type[Runner], cfg: Config | dict) -> Runner:
        if _is_ours(cfg):
            changed = _changed(cfg)
            cfg = copy_config(cfg)
            prepare(cfg, changed)
        return original(cls, cfg)

    def dump_config(self: Runner) -> None:
        if 'linked' not in self.cfg:
            return original_dump(self)
        whole, self.cfg = self.cfg, copy_config(self.cfg)
        try:
            unlink(self.cfg)
            original_dump(self)
        finally:
            self.cfg = whole

    Runner.from_cfg = classmethod(wraps(original)(from_cfg))  # type: ignore[assignment]
    Runner.dump_config = wraps(original_dump)(dump_config)  # type: ignore[method-assign]


def _is_ours(cfg: Config | dict) -> bool:
    section = cfg.get('custom_imports')
    imports = (section.get('imports') if isinstance(section, dict) else None) or ()
    names = [imports] if isinstance(imports, str) else imports
    return any(str(name).partition('.')[0] == 'i2ilr_mm' for name in names) or is_i2ilr(cfg)


def _changed(cfg: Config | dict) -> list[str]:
    """Top-level names that have other values than in the config's file; MMEngine keeps no list.

    Raises:
        ValueError: If one is neither in the file nor read by MMEngine.
    """
    file = getattr(cfg, 'filename', None)
    if 'linked' in cfg or not file or not os.path.isfile(file):
        return []  # load_config has done this, or nobody can tell
    written = read_config(file)
    changed = [name for name in cfg if name not in written or cfg[name] != written[name]]
    for name in changed if is_i2ilr(cfg) else ():
        check_known(written, name)
    return changed
