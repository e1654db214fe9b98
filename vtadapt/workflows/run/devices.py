"""Where a run computes: Fabric, precision, and which process speaks for all."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import torch

from vtadapt.errors import ConfigError
from vtadapt.workflows.run.launcher import end_with_first, leave_at_exit, refuse_more_than, started
from vtadapt.workflows.run.settings import TrainSettings
from vtadapt.workflows.terminal.text import warn

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def open_fabric(settings: TrainSettings) -> Fabric:
    """Start Fabric with the settings' device, precision and number of processes.

    Raises:
        ConfigError: the machine has not what the settings ask for, or a launcher started another number of processes.
    """
    processes = settings.devices * settings.num_nodes
    precision = resolve_precision(settings.precision, settings.accelerator)
    refuse_more_than(processes)
    # Here, since it takes more than a second, which predicting need not wait.
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment

    for name in ("rank_zero", "distributed"):  # they tell of precisions and ranks, which nobody can act on
        logging.getLogger(f"lightning_fabric.utilities.{name}").setLevel(logging.WARNING)
    strategy = "ddp" if processes > 1 else "auto"
    if strategy == "ddp" and settings.held:  # what is of a held task alone gets no gradient
        strategy = "ddp_find_unused_parameters_true"
    if strategy != "auto":  # depthwise kernels: their one input channel has another stride, which changes nothing
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
    try:
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=strategy,
            precision=precision,  # type: ignore[arg-type]
            # Else Fabric takes a batch script of SLURM, one process, for as many as the job may have.
            plugins=LightningEnvironment() if started() is None else None,
        )
    except (ValueError, RuntimeError, TypeError) as error:  # the kinds that Fabric raises for what is not there
        asked = f"accelerator {settings.accelerator!r}, {settings.devices} devices, precision {precision!r}"
        raise ConfigError(f"{asked}: not possible on this machine ({error})") from error
    end_with_first(processes)
    fabric.launch()
    if processes > 1:
        leave_at_exit()
    return fabric


def is_first_rank() -> bool:
    """Whether this process is the one that speaks for all of a run's."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", None) or 0) == 0


def resolve_precision(precision: str, accelerator: str = "auto") -> str:
    """Turn "auto" into bf16 autocast where the hardware has it, else float32.

    On a CPU that means AMX: without it bf16 is emulated and several hundred times slower than float32.
    """
    cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    cpu = not cuda and accelerator in ("auto", "cpu")
    amx = bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
    if precision == "auto":
        return "bf16-mixed" if (cuda and torch.cuda.is_bf16_supported()) or (cpu and amx) else "32-true"
    if cpu and precision == "bf16-mixed" and not amx:
        warn("this CPU has no bf16 units (AMX); --precision 32-true is much faster here")
    return precision
