import json
import math

import torch

from i2ilr_mm.evaluation.estimate import sample_mean
from i2ilr_mm.evaluation.report import (
    Score,
    collect_reports,
    report_dict,
    report_table,
    score_of,
)


def test_score_of_an_estimate():
    estimate = sample_mean(torch.tensor([0.0, 1.0, 1.0]))
    score = score_of('x', estimate, 'share', 'higher', 3, (0, 1))
    assert 0 <= score.low < score.value < score.high <= 1


def test_json_has_no_nan_and_no_empty_fields():
    scores = [Score('a', 1.0, 'dB', 'higher', 3), Score('b', math.nan, 'dB', '', 3, problem='few')]
    data = json.loads(json.dumps(report_dict(scores), allow_nan=False))
    assert data == dict(
        a=dict(value=1.0, unit='dB', better='higher', n=3),
        b=dict(value=None, unit='dB', better='', n=3, problem='few'),
    )


def test_table():
    scores = [
        Score(
            'fd_lite0', 94.6, 'FD-lite0', 'lower', 800, 92.0, 97.3, 400, 'test x', 'Lite0', 'abc'
        ),
        Score('kid', 4e-5, 'KID', 'lower', 800, spread=0.25),
        Score('kd_lite0', math.nan, 'KD-lite0', 'lower', 800, problem='too few'),
        Score('transfer_skin', 0.9, 'share like the target', 'higher', 100, 0.8, 1.0),
        Score('transfer_skin', 0.99, 'share like the target', '', 100, 0.9, 1.0, role='ceiling'),
    ]
    lines = report_table(scores).splitlines()
    assert lines[2].split() == [
        'fd_lite0', '94.60', '92.00', '-', '97.30', 'FD-lite0,', 'lower', 'is', 'better', '800',
        '400', 'Lite0', 'abc',
    ]  # fmt: skip
    beside = next(line for line in lines if line.startswith('transfer_skin')).split()
    assert beside[:6] == ['transfer_skin', '0.9000', '0.8000', '-', '1.000', '0.9900']
    assert '4e-05' in lines[3] and 'KID (spread 0.2500), lower is better' in lines[3]
    assert sum('transfer_skin' in line for line in lines) == 1  # the ceiling is a column
    assert 'kd_lite0: too few' in lines


def test_scores_with_other_roles_beside_them_share_a_table():
    """As in the evaluation of the heads: source kept has no ceiling, a transferred trait has."""
    scores = [
        Score('source_kept', 0.6, 'share', 'higher', 100),
        Score('source_kept', 0.01, 'share', '', 100, role='chance'),
        Score('transfer_skin', 0.9, 'share', 'higher', 100),
        Score('transfer_skin', 0.99, 'share', '', 100, role='ceiling'),
    ]
    header, _, kept, skin = (line.split() for line in report_table(scores).splitlines()[3:])
    assert header[-4:] == ['chance', 'ceiling', 'unit', 'n']
    assert kept == ['source_kept', '0.6000', '-', '0.0100', '-', 'share', '100']
    assert skin == ['transfer_skin', '0.9000', '-', '-', '0.9900', 'share', '100']
    data = report_dict(scores)
    assert list(data) == ['source_kept', 'transfer_skin']
    assert data['source_kept']['beside']['chance']['value'] == 0.01
    assert 'role' not in data['source_kept'] and data['transfer_skin']['value'] == 0.9


def test_collect():
    class Metric:
        report = [1, 2]

    assert collect_reports([Metric(), object(), Metric()]) == [1, 2, 1, 2]


def test_what_says_little_is_told_once_for_all_its_scores():
    scores = [Score(name, 1.0, 'x', 'lower', 2, warning='of 2 pictures') for name in 'ab']
    scores.append(Score('c', math.nan, 'x', 'lower', 2, problem='too few'))
    lines = report_table(scores).splitlines()
    assert lines[-2:] == ['a, b: of 2 pictures', 'c: too few']
    assert report_dict(scores)['a']['warning'] == 'of 2 pictures'
