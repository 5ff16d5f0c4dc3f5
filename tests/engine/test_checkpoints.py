import io
import logging
import os
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch import nn

from i2ilr_mm.engine.checkpoints import PlainCheckpointHook


def test_checkpoints_become_plain_and_come_back(tmp_path):
    hook = PlainCheckpointHook(by_epoch=False)
    history = HistoryBuffer([1.0, 2.5], [1, 1])
    checkpoint = dict(
        meta=dict(score=np.float64(1.5), shape=(1, 2), flag=np.bool_(True)),
        message_hub=dict(
            log_scalars={'train/loss': history}, runtime_info=dict(eta=np.float64(3), x=np.ones(2))
        ),
        param_schedulers=[dict(milestones=Counter([3, 5]))],  # as MultiStepLR stores them
    )
    hook.before_save_checkpoint(None, checkpoint)
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert loaded['meta'] == dict(score=1.5, shape=[1, 2], flag=True)
    assert type(loaded['param_schedulers'][0]['milestones']) is dict
    loaded.update(state_dict={}, optimizer={})
    best = dict(best_ckpt=str(tmp_path / 'a/best.pth'), best_score=2.0)
    loaded['message_hub']['runtime_info'].update(best)
    runner = SimpleNamespace(
        model=nn.Module(), _load_from='a.pth', _resume=True, work_dir=str(tmp_path / 'b')
    )
    hook.after_load_checkpoint(runner, loaded)
    restored = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(restored, HistoryBuffer)
    assert restored.data[0].tolist() == [1.0, 2.5] and restored.mean() == 1.75
    info = loaded['message_hub']['runtime_info']
    assert info['best_score'] == 2.0 and 'best_ckpt' not in info  # another run's file
    loaded['message_hub'].update(runtime_info=dict(best), log_scalars={})
    runner.work_dir = str(tmp_path / 'a')
    hook.after_load_checkpoint(runner, loaded)
    assert loaded['message_hub']['runtime_info'] == best


@pytest.mark.parametrize('moved', [True, False])
def test_the_best_checkpoint_of_a_moved_work_dir_is_its_best(tmp_path, moved):
    """Else it would stay beside the next best for ever; but another run's is not touched."""
    hook = PlainCheckpointHook(by_epoch=False)
    here = tmp_path / 'here'
    here.mkdir()
    (here / 'best_kd_iter_2.pth').touch()
    info = dict(best_ckpt='/gone/run/best_kd_iter_2.pth', best_score=2.0)
    loaded_from = here / 'iter_4.pth' if moved else tmp_path / 'other/iter_4.pth'
    runner = SimpleNamespace(
        model=nn.Module(), _load_from=str(loaded_from), _resume=True, work_dir=str(here)
    )
    checkpoint = dict(state_dict={}, optimizer={}, message_hub=dict(runtime_info=info))
    hook.after_load_checkpoint(runner, checkpoint)
    assert info.get('best_ckpt') == (str(here / 'best_kd_iter_2.pth') if moved else None)


def make_runner(work_dir, **info):
    """Enough of a runner to save checkpoints; ``there`` notes the files there at every write."""
    runner = SimpleNamespace(
        work_dir=str(work_dir),
        message_hub=MessageHub('test'),
        logger=logging.getLogger('test'),
        param_schedulers=None,
        epoch=0,
        iter=0,
        max_iters=100,
        there=[],
    )
    runner.message_hub.update_info_dict(info)

    def save(out_dir, filename, **options):
        runner.there.append({path.name for path in work_dir.iterdir()})
        runner.scheduler_saved = options['save_param_scheduler']
        (work_dir / filename).write_text('')

    runner.save_checkpoint = save
    return runner


def save_at(hook, runner, *steps: int) -> None:
    for step in steps:
        runner.iter = step - 1
        hook._save_checkpoint(runner)


def test_old_checkpoints_go_only_after_the_new_one_is_there(tmp_path):
    hook, runner = PlainCheckpointHook(by_epoch=False, max_keep_ckpts=1), make_runner(tmp_path)
    hook.before_train(runner)
    save_at(hook, runner, 2, 4)
    assert runner.there == [set(), {'iter_2.pth', 'last_checkpoint'}]
    assert {path.name for path in tmp_path.iterdir()} == {'iter_4.pth', 'last_checkpoint'}
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_4.pth')

    # Killed between writing and deleting: the checkpoint knows what it should have replaced.
    (tmp_path / 'iter_2.pth').write_text('')
    known = runner.message_hub.get_info('keep_ckpt_ids')
    hook = PlainCheckpointHook(by_epoch=False, max_keep_ckpts=1)
    runner = make_runner(tmp_path, keep_ckpt_ids=known)
    hook.before_train(runner)
    save_at(hook, runner, 6)
    assert {'iter_2.pth', 'iter_4.pth'} <= runner.there[0]
    assert {path.name for path in tmp_path.iterdir()} == {'iter_6.pth', 'last_checkpoint'}


@pytest.mark.parametrize('best', [['a'], ['a', 'b']])
def test_the_best_so_far_stays_until_the_better_one_is_there(tmp_path, best):
    hook = PlainCheckpointHook(by_epoch=False, save_best=best, rule='less')
    runner = make_runner(tmp_path)
    hook.before_train(runner)
    names = {f'best_{name}_iter_1.pth' for name in best}
    for step, score in ((1, 3.0), (2, 4.0), (3, 2.0)):
        runner.iter = step
        hook._save_best_checkpoint(runner, dict(a=score, b=score))
        if step == 2:
            assert {path.name for path in tmp_path.iterdir()} == names
    assert len(runner.there) == 2 * len(best) and all(names <= n for n in runner.there[len(best) :])
    assert {p.name for p in tmp_path.iterdir()} == {f'best_{name}_iter_3.pth' for name in best}


def test_a_best_checkpoint_written_anew_stays(tmp_path):
    """As after a run was set back and comes to the same iteration again."""
    hook = PlainCheckpointHook(by_epoch=False, save_best='a', rule='less')
    path = tmp_path / 'best_a_iter_3.pth'
    path.write_text('')
    runner = make_runner(tmp_path, best_ckpt=str(path), best_score=3.0)
    hook.before_train(runner)
    runner.iter = 3
    hook._save_best_checkpoint(runner, dict(a=2.0))
    assert path.exists()


def test_schedules_are_saved_where_there_are_any(tmp_path):
    hook, runner = PlainCheckpointHook(by_epoch=False), make_runner(tmp_path)
    hook.before_train(runner)
    save_at(hook, runner, 2)
    assert not runner.scheduler_saved
    runner.param_schedulers = dict(generator=[object()])
    save_at(hook, runner, 4)
    assert runner.scheduler_saved


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    for name in ('iter_9.pth.123.partial', 'mine.partial'):
        (tmp_path / name).write_text('')
    PlainCheckpointHook(by_epoch=False).before_train(make_runner(tmp_path))
    assert os.listdir(tmp_path) == ['mine.partial']


def test_checkpoints_that_do_not_fit_are_refused():
    hook = PlainCheckpointHook(by_epoch=False)
    runner = SimpleNamespace(model=nn.Linear(2, 3), _load_from='a.pth', _resume=True)
    with pytest.raises(ValueError, match=r'a.pth.*does not fit.*weight'):
        hook.after_load_checkpoint(runner, dict(state_dict=nn.Linear(2, 4).state_dict()))
    with pytest.raises(ValueError, match=r'a.pth.*weights only.*load_from=a.pth'):
        hook.after_load_checkpoint(runner, dict(state_dict=nn.Linear(2, 3).state_dict()))


@pytest.mark.parametrize('resume', [True, False])
def test_wrappers_in_names_are_understood(resume):
    """With load_from and on a resume; MMEngine loads what the hook leaves."""
    hook = PlainCheckpointHook(by_epoch=False)
    model = nn.Sequential(nn.Linear(2, 3))
    runner = SimpleNamespace(model=model, _load_from='a.pth', _resume=resume)
    for name in ('module.0.{}', '0.module.{}'):
        state = {name.format(n): v for n, v in model[0].state_dict().items()}
        checkpoint = dict(state_dict=state, optimizer={}, message_hub={})
        hook.after_load_checkpoint(runner, checkpoint)
        assert checkpoint['state_dict'].keys() == model.state_dict().keys()


def test_another_interval_of_r1_is_not_resumed():
    """The optimiser's corrected rate would stay as it was."""
    hook = PlainCheckpointHook(by_epoch=False)
    model = nn.Linear(2, 3)
    model.objective = SimpleNamespace(r1_interval=16)
    runner = SimpleNamespace(model=model, _load_from='a.pth', _resume=True)
    groups = [dict(lr=1.0)]
    checkpoint = dict(
        state_dict=model.state_dict(),
        message_hub={},
        optimizer=dict(discriminator=dict(param_groups=groups)),
    )
    with pytest.raises(ValueError, match=r'a.pth.*interval=1, and the config has 16'):
        hook.after_load_checkpoint(runner, checkpoint)
    groups[0]['r1_interval'] = 16
    hook.after_load_checkpoint(runner, checkpoint)


def test_a_score_that_is_not_there_keeps_no_best_and_says_so(tmp_path):
    hook = PlainCheckpointHook(by_epoch=False, save_best='kd_lite2', rule='less')
    runner = make_runner(tmp_path)
    lines = []
    runner.logger = type('Logger', (), dict(warning=staticmethod(lines.append)))
    hook._save_best_checkpoint(runner, dict(lr_mae=1.0))
    assert "no 'kd_lite2', it has ['lr_mae']; set default_hooks.checkpoint.save_best" in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_no_best_checkpoint_is_wanted():
    """save_best=None, MMEngine's way to switch it off."""
    hook = PlainCheckpointHook(by_epoch=False, save_best=None)
    hook._save_best_checkpoint(runner=None, metrics=dict(a=1.0))  # type: ignore[arg-type]
