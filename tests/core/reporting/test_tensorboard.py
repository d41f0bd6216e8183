"""TensorBoard files, and what is said where it is not installed."""

import importlib.util
import sys
import warnings

import pytest

from zoo.errors import UsageError
from zoo.reporting import TensorBoard

NEEDS_TENSORBOARD = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is optional"
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def curves(folder):
    """Steps and values by name, as TensorBoard shows them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        name: [(event.step, round(event.value, 4)) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


@NEEDS_TENSORBOARD
def test_epochs_and_logged_steps_are_curves(tmp_path, drive, result):
    board = TensorBoard(folder=tmp_path)

    trainer = drive(board)
    board.on_fit_end(trainer, result)

    shown = curves(tmp_path)
    assert shown["val/top1"] == [(4, 0.4), (8, 0.8)]
    assert shown["step/train/loss"] == [(2, 0.5), (4, 0.25), (6, 0.1667), (8, 0.125)]
    assert shown["learning_rate"][0] == (2, 0.05)


@NEEDS_TENSORBOARD
def test_after_a_resume_each_step_is_shown_once(tmp_path, drive, result):
    killed = TensorBoard(folder=tmp_path)
    drive(killed, last=6)
    killed.state_dict()

    resumed = TensorBoard(folder=tmp_path)
    trainer = drive(resumed, first=4)
    resumed.on_fit_end(trainer, result)

    assert [step for step, _ in curves(tmp_path)["step/train/loss"]] == [2, 4, 6, 8]
    killed.close()


def test_without_tensorboard_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)

    with pytest.raises(UsageError, match=r"pip install 'zoo-core\[tensorboard\]'") as error:
        TensorBoard(folder=tmp_path)

    assert error.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []
