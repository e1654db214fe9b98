"""The affinities of a run for the page: each matrix that there is, and what it advises."""

from __future__ import annotations

from pathlib import Path

from vtadapt.viz.explore.page import Affinity
from vtadapt.viz.report.charts import matrix
from vtadapt.workflows.affinity.measure import LEARNED
from vtadapt.workflows.affinity.pictures import displayed, footer_of
from vtadapt.workflows.affinity.run_affinity import affinity_files
from vtadapt.workflows.affinity.words import advice_of
from vtadapt.workflows.report.facts import no_affinity
from vtadapt.workflows.run import files
from vtadapt.workflows.run.affinity_file import read_affinity
from vtadapt.workflows.run.load import Loaded
from vtadapt.workflows.train.records import BROKEN, broken


def affinities_of(loaded: Loaded, more: Path) -> tuple[list[Affinity], list[str]]:
    """The matrices that training learned and that ``vtadapt affinity`` measured, and what is missing, in sentences.

    Args:
        loaded: the run.
        more: folder that ``vtadapt affinity`` writes ``affinity/MEASURE`` into.
    """
    found, missing = [], []
    for path in affinity_files(loaded.path, more):
        try:
            found.append(_affinity(path, loaded))
        except BROKEN as error:
            missing.append(broken(path.name, error))
    if not found and not missing:
        missing.append(no_affinity(loaded))
    return found, missing


def _affinity(path: Path, loaded: Loaded) -> Affinity:
    learned = path == loaded.path / files.AFFINITY
    unknown = set(loaded.added) if learned else set()  # training did not know what was added later
    result = read_affinity(path, [name for name in loaded.tasks if name not in unknown])
    if learned:
        result["measure"] = LEARNED
    title = "Learned in training" if learned else f"Measured afterwards ({result['measure']})"
    values = [[None if v != v else v for v in row] for row in displayed(result).tolist()]
    about = {"error": result["error"], "marked": result["marked"], "footer": f"{footer_of(result)}."}
    return Affinity(matrix(title, result["tasks"], values, **about), advice_of(result))
