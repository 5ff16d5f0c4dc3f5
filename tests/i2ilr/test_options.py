import argparse

import pytest
from mmengine.config import DictAction

from i2ilr.options import add_config_arguments, parse_value


@pytest.mark.parametrize(
    'text',
    ['3', '1e-3', 'true', 'abc', 'a,b', '[a,b]', '(a,b)', '1,2', '[1,2]', '(1,2)', '[a]', '[1]',
     '[(a,b),[c,d]]', '[(1,2),x]', 'a/b.jpg,c', '[]', '()'],
)  # fmt: skip
def test_values_are_those_of_mmengines_tools(text):
    assert parse_value(text) == DictAction._parse_iterable(text)


@pytest.mark.parametrize(
    'text, value',
    [
        ("'a,b'", 'a,b'),
        ('none', None),
        ('{"type": "x"}', dict(type='x')),
        ('[{"type":"LRConsistency"}]', [dict(type='LRConsistency')]),
        ('[0', '[0'),
        ('my folder', 'my folder'),
    ],
)
def test_values_beyond_them(text, value):
    assert parse_value(text) == value


def test_names_of_places_are_text():
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    given = ['data_root=2020', 'val_dataloader.dataset.pair_file=none', 'work_dir=1e3', 'x.y=2020']
    options = parser.parse_args(['config', '--cfg-options', *given]).cfg_options
    assert options == {
        'data_root': '2020',
        'val_dataloader.dataset.pair_file': None,
        'work_dir': '1e3',
        'x.y': 2020,
    }
