import pytest
from mmengine.config import DictAction

from i2ilr.options import parse_value


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
