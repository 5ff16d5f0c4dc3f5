import math

import pytest

from i2ilr.scores import compare, number, read_report

LR = dict(value=1.5, unit='grey levels', better='lower', n=3, low=1.0, high=2.0)
FD = dict(LR, unit='FD-lite0', n_real=5, network='Lite0', weights='abc', resize='224')
PROTOCOL = dict(name='intra', n_targets=5)


def run(protocol=PROTOCOL, **scores) -> dict:
    return dict(protocol=protocol, scores=scores)


@pytest.mark.parametrize(
    'value, text',
    [
        (306.5712, '306.6'),
        (0.041234, '0.0412'),
        (28.129, '28.13'),
        (0.0, '0.0000'),
        (4e-5, '4e-05'),
        (3e-21, '0.0000'),
        (-1.5, '-1.500'),
        (12345.6, '12345.6'),
        (math.nan, '-'),
        (None, '-'),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_compare():
    text = compare(dict(old=run(lr_mae=LR, fd=FD), new=run(lr_mae=dict(LR, value=0.25), fd=FD)))
    assert 'protocol: name intra, n_targets 5' in text
    row = next(line for line in text.splitlines() if line.startswith('lr_mae'))
    assert '1.500 (1.000 - 2.000)  0.2500 (1.000 - 2.000)' in row
    assert '3 / 5 real' in text and 'grey levels, lower is better' in text


def test_compare_leaves_out_what_stands_beside():
    text = compare(dict(a=run(t=dict(LR, beside=dict(ceiling=dict(LR, value=0.125))))))
    assert 'ceiling' not in text and '0.125' not in text


@pytest.mark.parametrize(
    'other, message',
    [
        (run(dict(PROTOCOL, name='stargan2'), fd=FD), r'name: intra \(a\), stargan2 \(b\)'),
        (run(dict(PROTOCOL, n_targets=2), fd=FD), 'n_targets: 5'),
        (run(fd=dict(FD, n=4)), r'fd: n: 3 \(a\), 4 \(b\)'),
        (run(fd=dict(FD, n_real=4)), 'fd: n_real: 5'),
        (run(fd=dict(FD, real='train x')), 'fd: real: None'),
        (run(fd=dict(FD, weights='xyz')), 'fd: weights: abc'),
        (run(fd=dict(FD, resize='299')), 'fd: resize'),
        (run(fd=dict(FD, settings='k = 3')), 'fd: settings: None'),
        (dict(scores=dict(fd=FD)), 'name: intra'),
    ],
)
def test_compare_refuses(other, message):
    with pytest.raises(ValueError, match=message):
        compare(dict(a=run(fd=FD), b=other))


def test_scores_that_only_one_run_has():
    assert ' -  ' in compare(dict(a=run(fd=FD, lr_mae=LR), b=run(fd=FD)))


@pytest.mark.parametrize('content', [None, 'no json', '{}', '[]', '{"scores": 3}'])
def test_reading_what_is_no_report(content, tmp_path):
    path = tmp_path / 'x.json'
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=r'x\.json.*(cannot be read|holds no scores)'):
        read_report(str(path))
