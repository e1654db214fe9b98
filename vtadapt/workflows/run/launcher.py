"""Which processes a run has: those that torchrun or srun started are obeyed; ours end with the first."""

from __future__ import annotations

import atexit
import gc
import os
import threading
import time
from typing import NamedTuple

from vtadapt.errors import ConfigError
from vtadapt.workflows.run.settings import TrainSettings

FIRST = "VTADAPT_FIRST_PROCESS"
LOOK = 2.0  # seconds between two looks at the parent
PATIENCE = 10.0  # seconds for leaving the other processes, which takes a tenth of one where nothing went wrong


class Started(NamedTuple):
    """Processes that a launcher has started for one job, this one among them.

    Attributes:
        by: the launcher, for messages.
        devices: processes on a node.
        nodes: machines.
    """

    by: str
    devices: int
    nodes: int


def started() -> Started | None:
    """What torchrun or srun has started; None where this process stands alone or was started by the first of a run.

    Raises:
        ConfigError: another number of processes on each node.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        by, tasks, nodes = "torchrun", _number("WORLD_SIZE"), _number("GROUP_WORLD_SIZE")
    elif "SLURM_STEP_ID" in os.environ:  # not in the batch script itself, which is one process whatever it may start
        by, tasks, nodes = "srun", _number("SLURM_STEP_NUM_TASKS"), _number("SLURM_STEP_NUM_NODES")
    else:
        return None
    if tasks == 1:
        return None
    if tasks % nodes or (by == "srun" and "SLURM_NTASKS_PER_NODE" not in os.environ):
        raise ConfigError(
            f"{by} started {tasks} processes on {nodes} nodes; wanted as many on each: --ntasks-per-node N"
        )
    return Started(by, tasks // nodes, nodes)


def _number(name: str) -> int:
    return int(os.environ.get(name) or 1)


def obey(settings: TrainSettings, begun: bool = False) -> TrainSettings:
    """Settings of a run with the processes that a launcher started for it.

    Args:
        settings: of the run; a number of processes that is not named there is the launcher's.
        begun: the run is gone on with: its number of processes belongs to it.

    Raises:
        ConfigError: the settings, or the run, want another number.
    """
    found = started()
    if found is None:
        return settings
    asked = (settings.devices, settings.num_nodes)
    if asked != (found.devices, found.nodes) and (begun or asked != (1, 1)):
        wanted = "the run was begun with" if begun else "settings want"
        raise ConfigError(
            f"{found.by} started {found.devices} processes on each of {found.nodes} nodes; {wanted} devices = "
            f"{settings.devices}, num_nodes = {settings.num_nodes}; "
            + ("start as many again" if begun else "leave --devices and --num-nodes out")
        )
    return settings.model_copy(update={"devices": found.devices, "num_nodes": found.nodes})


def refuse_more_than(processes: int) -> None:
    """See that a launcher did not start more processes than the command at hand has work for.

    Raises:
        ConfigError: it did; each of them would do the whole work, into the same files.
    """
    if (found := started()) is not None and found.devices * found.nodes != processes:
        raise ConfigError(
            f"{found.by} started {found.devices * found.nodes} processes; this command works in {processes}: "
            f"type it without {found.by}"
        )


def end_with_first(processes: int) -> None:
    """End this process with the one that started it, where that is the first of a run.

    The first sees to the others, but killed it can no longer, and they would wait for it for half an hour.

    Args:
        processes: of the run.
    """
    if processes == 1 or started() is not None:
        return
    if os.environ.get("LOCAL_RANK", "0") == "0":
        os.environ[FIRST] = str(os.getpid())  # Fabric hands the environment on
        return
    first = int(os.environ.get(FIRST) or os.getppid())

    def wait() -> None:
        while os.getppid() == first:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def leave_at_exit() -> None:
    """Leave the group of the run's processes when this one ends, however that comes about.

    The group's threads in C++ hand tensors back to Python. One that is at this while the interpreter goes down is ended
    in the middle of it, and then C++ aborts the process ("terminate called without an active exception").
    """
    atexit.register(_leave)


def _leave() -> None:
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return
    gc.collect()  # models that know the group keep its threads alive
    # After an error a thread of it may wait for what another process will never send; so this one does not for that.
    leaving = threading.Thread(target=distributed.destroy_process_group, daemon=True)
    leaving.start()
    leaving.join(PATIENCE)
