"""The licences of all that an installation of vtadapt brings along, from what the packages say of themselves.

    python benchmarks/licences.py                    # print the table
    python benchmarks/licences.py --write docs/licences.md
    python benchmarks/licences.py --check            # 1 where one is unknown, or binds what is built with it

Only packages that are installed are looked at; the extras are those of pyproject.toml that are.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from packaging.requirements import Requirement

from vtadapt.atomic import write_text
from vtadapt.workflows.terminal.tables import markdown_table

ROOT = "vtadapt"
LEFT_OUT = ("dev", "audit")  # extras that no user installs
BINDING = re.compile(r"(?<!L)GPL|Affero|SSPL|Commons Clause|Non-?Commercial", re.IGNORECASE)
ALLOWED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software|HPND|MPL|Mozilla|Zlib|Unlicense|0BSD|CC0|LGPL|Lesser|NVIDIA|Public Domain",
    re.IGNORECASE,
)
SAID_ELSEWHERE = {
    "nvidia-": "NVIDIA's own terms, which allow passing it on with a program",
    "cuda-toolkit": "NVIDIA's own terms, which allow passing it on with a program",
    "triton": "MIT",
    "embreex": "BSD (its metadata hold the text)",
    "hdf5plugin": "MIT; its filters BSD, Apache-2.0, MIT and Zlib",
}
"""Beginning of a name -> licence, where the metadata name none or name it in words of their own."""


def licence_of(found: Distribution) -> str:
    """What a package says of its licence: the expression, else the classifiers, else the first line of the text."""
    about = found.metadata
    name = str(about["Name"]).lower()
    if said_elsewhere := next((licence for start, licence in SAID_ELSEWHERE.items() if name.startswith(start)), None):
        return said_elsewhere
    if expression := about.get("License-Expression"):
        return str(expression)
    classified = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    if classified := [c for c in classified if c != "OSI Approved"]:
        return ", ".join(classified)
    said = (about.get("License") or "").strip().splitlines()
    if said and said[0] and said[0] != "UNKNOWN":
        return said[0][:80]
    return "unknown"


def needed(name: str, extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    """Names and extras of what a package needs here."""
    for line in distribution(name).requires or ():
        wanted = Requirement(line)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield wanted.name, frozenset(wanted.extras)


def everything() -> dict[str, Distribution]:
    """All that is installed of what vtadapt and its extras need, by name in small letters."""
    own = frozenset(distribution(ROOT).metadata.get_all("Provides-Extra") or ()) - frozenset(LEFT_OUT)
    found: dict[str, Distribution] = {}
    left = list(needed(ROOT, own))
    while left:
        name, extras = left.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            found[key] = distribution(name)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        left += needed(name, extras)
    return dict(sorted(found.items()))


def wrong(licence: str) -> str:
    """Why a licence cannot stay; empty where it can. Of several, one that is allowed is enough."""
    if ALLOWED.search(licence):
        return ""
    return "binds what is built with it" if BINDING.search(licence) else "is not known to allow passing it on"


def main() -> None:
    """Print, write or check the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="file to write the table to")
    parser.add_argument("--check", action="store_true", help="fail where a licence is unknown or binding")
    asked = parser.parse_args()
    found = {name: licence_of(one) for name, one in everything().items()}
    table = markdown_table(["package", "licence"], [[name, licence] for name, licence in found.items()])
    head = [
        "# Licences of what vtadapt needs",
        "",
        "vtadapt itself is under Apache-2.0. These packages come with it, by what they say of themselves",
        "(`python benchmarks/licences.py --write docs/licences.md`; `make audit` checks them).",
        "",
    ]
    text = "\n".join([*head, *table]) + "\n"
    if asked.write:
        write_text(asked.write, text)
    elif not asked.check:
        print(text, end="")
    problems = [f"{name}: {licence} {why}" for name, licence in found.items() if (why := wrong(licence))]
    print("\n".join(problems) or f"{len(found)} packages, all of licences that allow passing them on", file=sys.stderr)
    sys.exit(bool(asked.check and problems))


if __name__ == "__main__":
    main()
