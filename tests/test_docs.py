"""README and docs: links lead somewhere, code compiles, commands exist, the site builds."""

import ast
import contextlib
import inspect
import io
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest
from conftest import ROOT, call

from i2ilr.main import COMMANDS
from i2ilr_mm.config import load_config

PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), ROOT / 'configs/README.md'])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
pages = pytest.mark.parametrize('page', PAGES, ids=NAMES)

TOOLS = {
    f'tools/{path.name}': re.search(r"run\('(\w+)'\)", path.read_text())[1]
    for path in sorted(ROOT.glob('tools/*.py'))
}
"""tools/x.py -> the command that it is."""


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r'^( *)```.*?^\1```$', '', page.read_text(), flags=re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(
        rf'^( *)```{language}\n(.*?)^\1```$', page.read_text(), re.MULTILINE | re.DOTALL
    )
    return [inspect.cleandoc(' ' * len(indent) + block.strip()) for indent, block in found]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r'^#+ (.*)$', prose(page), re.MULTILINE)
    plain = [re.sub(r'[^\w\- ]', '', title.lower()).strip() for title in titles]
    return {title.replace(' ', '-') for title in plain}


@pages
def test_links_and_anchors_lead_somewhere(page):
    for link in re.findall(r'\]\(([^)\s]+)\)', prose(page)):
        if link.startswith('http'):
            continue
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.exists(), f'{link}: there is no such file'
        if anchor:
            assert anchor in anchors(target), f'{link}: {target.name} has no such heading'


@pages
def test_python_compiles_and_imports_what_exists(page):
    for block in blocks(page, 'python'):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith('i2ilr'):
                module = import_module(str(node.module))
                for name in node.names:
                    assert hasattr(module, name.name) or import_module(
                        f'{node.module}.{name.name}'
                    ), f'{node.module} has no {name.name}'


def code_of_shell(page: Path) -> list[str]:
    """The command lines of a page: those of its bash blocks, and those in its sentences."""
    lines = []
    for block in blocks(page, 'bash'):
        whole = re.sub(r' *\\\n\s*', ' ', block)
        whole = re.sub(r'\n +(?=\[)', ' ', whole)  # a synopsis goes on in the next line
        lines += [line for part in whole.splitlines() for line in part.split(' && ')]
    sentences = re.findall(r'`([^`]+)`', prose(page))
    lines += [' '.join(s.split()) for s in sentences]
    return [line.partition(' # ')[0].strip() for line in lines]


def command_of(line: str) -> tuple[str, str] | None:
    """Which of our commands a line calls, and the rest of it."""
    line = re.sub(r'^(?:[A-Z_]+=\S* )+', '', line)
    if found := re.match(r'(?:i2ilr|python -m i2ilr_mm) ([a-z]\w*)\b(.*)', line):
        return found[1], found[2]
    if found := re.match(r'python (tools/\w+\.py)(.*)', line):
        return TOOLS[found[1]], found[2]
    if found := re.match(r'bash tools/dist_train\.sh (\S+) \S+(.*)', line):
        return 'train', f' {found[1]}{found[2]}'
    if found := re.match(r'bash tools/dist_test\.sh (\S+) (\S+) \S+(.*)', line):
        return 'test', f' {found[1]} {found[2]}{found[3]}'
    return None


def options_of(name: str) -> set[str]:
    module, shown = import_module(f'i2ilr.commands.{name}'), io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit):
        module.parse_args(['--help'], name)
    return set(re.findall(r'--[a-z][\w-]*', shown.getvalue()))


CALLS = [
    pytest.param(*command, id=f'{name}: {line[:70]}')
    for page, name in zip(PAGES, NAMES)
    for line in code_of_shell(page)
    if (command := command_of(line)) is not None
]


def test_commands_are_found():
    assert len(CALLS) > 40
    assert {call.values[0] for call in CALLS} == set(COMMANDS)


@pytest.mark.parametrize('name, rest', CALLS)
def test_commands_and_their_options_exist(name, rest):
    assert name in COMMANDS
    assert set(re.findall(r'(?<!\S)\[?(--[a-z][\w-]*)', rest)) <= options_of(name)
    if rest.strip() and '[' not in re.sub(r"'[^']*'", '', rest) and '...' not in rest:
        check_arguments(name, shlex.split(rest.replace('CONFIG', 'i2ilr_heads64')))


def check_arguments(name: str, argv: list[str]) -> None:
    """Read whole command lines, and look up the settings that they change."""
    complete = len(argv) > 1 or name in ('train', 'compare', 'plot', 'benchmark')
    if not complete or (argv[0].startswith('--') and len(argv) < 4 and name != 'demo'):
        return  # such as `i2ilr translate --project`, which names an option
    args = import_module(f'i2ilr.commands.{name}').parse_args(argv, name)
    config = getattr(args, 'config', None)
    if config is not None:
        # A work dir holds a copy of its config, under the same name.
        config = re.sub(r'^work_dirs/\w+/(\w+)\.py$', r'\1', config)
        load_config(ROOT / config if config.startswith('configs/') else config, args.cfg_options)


@pages
def test_scripts_exist(page):
    for line in code_of_shell(page):
        for script in re.findall(r'\b(?:tools|configs)/[\w./]+\.(?:sh|py)\b', line):
            assert (ROOT / script).is_file(), script


def test_the_map_has_every_room():
    """docs/layout.md names what exists, and no package is missing."""
    text = (ROOT / 'docs/layout.md').read_text()
    named = set(re.findall(r'`((?:i2ilr|i2ilr_mm|tools|tests|configs)/[\w./]*)`', text))
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]
    tree = re.findall(r'```text\n(.*?)```', text, re.DOTALL)[0]
    parents: dict[int, Path] = {-1: ROOT}
    mapped = set()
    for line in tree.splitlines():
        depth, names = len(line) - len(line.lstrip()), re.split(r'\s{2,}', line.strip())[0]
        parent = parents[max(d for d in parents if d < depth)]
        parents = {d: path for d, path in parents.items() if d < depth}
        for name in names.split(', '):
            parents[depth] = parent / name
            assert parents[depth].exists(), f'{parent.name}/{name} is on the map and nowhere else'
            mapped.add(parents[depth])
    for package in ('i2ilr', 'i2ilr_mm'):
        rooms = {path.parent for path in (ROOT / package).rglob('__init__.py')}
        hidden = {room for room in rooms if re.search(r'_openmmlab|\.mim', str(room))}
        assert rooms - hidden <= mapped, 'rooms that the map lacks'


def test_the_site_builds(tmp_path):
    """Strictly: every page is in the menu, every link and every documented name exists."""
    command = (sys.executable, '-m', 'mkdocs', 'build', '--strict', '-d', tmp_path)
    call(*command, NO_MKDOCS_2_WARNING='1')
    for page, name in (
        ('inference', 'Translator.translate'),
        ('lr', 'match'),
        ('models', 'ContrastiveSourceLoss'),
        ('datasets', 'DownscaleLR'),
        ('evaluation', 'DistributionScores'),
        ('training', 'load_config'),
    ):
        text = (tmp_path / f'api/{page}.html').read_text()
        assert re.search(rf'id="i2ilr_mm\.[\w.]*\b{re.escape(name)}"', text), name
        assert not re.search(r':(func|class|meth|mod|data|attr):', text)
    served = [path for path in tmp_path.rglob('*.html') if 'http' in path.read_text()]
    for path in served:  # no page asks another server for anything
        loaded = re.findall(
            r'<(?:script|img|link)[^>]+(?:src|href)="(http[^"]+)"', path.read_text()
        )
        assert not loaded, f'{path.name}: {loaded}'
