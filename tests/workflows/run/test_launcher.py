"""What torchrun and srun have started is obeyed, or refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from vtadapt.errors import ConfigError
from vtadapt.workflows.run.devices import open_fabric
from vtadapt.workflows.run.launcher import obey, started

NAMES = (
    "WORLD_SIZE",
    "GROUP_WORLD_SIZE",
    "TORCHELASTIC_RUN_ID",
    "SLURM_STEP_ID",
    "SLURM_NTASKS",
    "SLURM_NTASKS_PER_NODE",
)
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "6", "GROUP_WORLD_SIZE": "2"}
SRUN = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "6", "SLURM_STEP_NUM_NODES": "2", "SLURM_NTASKS_PER_NODE": "3"}


@pytest.fixture(params=[TORCHRUN, SRUN], ids=["torchrun", "srun"])
def launched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("launched")
def test_a_run_has_the_processes_that_were_started(tiny: Any) -> None:
    found = obey(tiny.settings)
    assert (found.devices, found.num_nodes) == (3, 2)
    assert obey(found) == found == obey(found, begun=True)


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize("asked", [{"devices": 2}, {"devices": 3}, {"num_nodes": 2}])
def test_another_number_is_refused(tiny: Any, asked: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="started 3 processes on each of 2 nodes; .*leave --devices"):
        obey(tiny.settings.model_copy(update=asked))


@pytest.mark.usefixtures("launched")
def test_a_run_goes_on_with_as_many_as_it_was_begun_with(tiny: Any) -> None:
    with pytest.raises(ConfigError, match="the run was begun with devices = 1, num_nodes = 1; start as many again"):
        obey(tiny.settings, begun=True)


@pytest.mark.usefixtures("launched")
def test_commands_for_one_process_are_not_done_six_times(tiny: Any) -> None:
    with pytest.raises(ConfigError, match="started 6 processes; this command works in 1"):
        open_fabric(tiny.settings)


@pytest.mark.usefixtures("launched")
def test_one_process_is_none_of_a_launchers_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert started() is None


def test_a_batch_script_is_one_process(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables tell of the whole job."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"SLURM_NTASKS": "6", "SLURM_NTASKS_PER_NODE": "3", "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    assert obey(tiny.settings) == tiny.settings
    assert open_fabric(tiny.settings).world_size == 1


def test_unlike_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SRUN, "SLURM_STEP_NUM_TASKS": "5"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="5 processes on 2 nodes; wanted as many on each"):
        started()
