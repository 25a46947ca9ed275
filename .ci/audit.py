"""Ask what is known of faults in the packages that embedkit runs with, extras included.

    python .ci/audit.py [--extras serve,sql,...]

It runs pip-audit in the environment it is started in, over what embedkit and its extras have resolved to there, against
PyPI's own list and then OSV's, and prints for each what was looked up, what was skipped and why. It ends with

    0  every package could be looked up in one list at least, and nothing is known against any
    1  something is known: the package, the fault and the version that mends it are printed
    3  no list could be asked, or not about every package: that is no pass
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("pypi", "osv")
SECONDS = 600
NO_PASS = 3


def resolved(extras: list[str]) -> dict[str, str]:
    """Return the versions that are installed here of all that embedkit needs, directly or through others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    found: dict[str, str] = {}
    waiting = [one for requirement in own for one in needed(requirement, frozenset())]
    asked = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in asked:
            continue
        asked.add((name, extra))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            found.setdefault(name, "")
            continue
        found[name] = distribution.version
        for requirement in distribution.requires or ():
            waiting += needed(requirement, extra)
    missing = [name for name, version in found.items() if not version]
    if missing:
        print(
            f"not installed here (of another system or Python, or left out), so not asked about: {', '.join(missing)}"
        )
    return {name: version for name, version in sorted(found.items()) if version}


def needed(requirement: str, extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    """Return the package of a requirement, where these extras, or none, ask for it."""
    head, _, marker = requirement.partition(";")
    only = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
    if only and only[1] not in extras:
        return []
    name, given = re.match(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?", head).groups()
    more = frozenset(part.strip() for part in (given or "").split(",") if part.strip())
    return [(re.sub(r"[-_.]+", "-", name).lower(), more)]


def audit(service: str, requirements: Path) -> dict[str, Any] | str:
    """Return what pip-audit found with one service, or why it found nothing."""
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--format", "json", "--no-deps",
               "--disable-pip", "--progress-spinner", "off", "--requirement", str(requirements)]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {SECONDS} s"
    try:
        return json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["pip-audit said nothing"]
        return lines[-1][:300]


def told(service: str, answer: dict[str, Any] | str, packages: dict[str, str]) -> tuple[set[str], int]:
    """Print what a service said; return which packages it knew, and how much it has against them."""
    if isinstance(answer, str):
        print(f"{service}: not asked: {answer}")
        return set(), 0
    entries = answer["dependencies"]
    skipped = [entry for entry in entries if "skip_reason" in entry]
    known = {entry["name"] for entry in entries if "skip_reason" not in entry}
    print(f"{service}: {len(known)} of {len(packages)} packages looked up, {len(skipped)} skipped")
    reasons: dict[str, list[str]] = {}
    for entry in skipped:
        reasons.setdefault(entry["skip_reason"].partition(":")[0], []).append(entry["name"])
    for reason, names in reasons.items():
        print(f"  skipped, {reason}: {', '.join(names)}")
    faults = [(entry, fault) for entry in entries for fault in entry.get("vulns", ())]
    for entry, fault in faults:
        mended = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"  {entry['name']} {entry['version']}: {fault['id']}, mended in {mended}")
    return known, len(faults)


def main() -> int:
    """Audit; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", default="all,stores,sql,map,index,korean,serve,dask")
    packages = resolved(parser.parse_args().extras.split(","))
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()))
        answers = [told(service, audit(service, requirements), packages) for service in SERVICES]
    known = set().union(*(names for names, _ in answers))
    faults = sum(n for _, n in answers)
    if faults:
        print(f"FAULTS ARE KNOWN: {faults}")
        return 1
    if missing := len(packages) - len(known):
        print(f"NO PASS: of {len(packages)} packages {missing} could not be looked up in any list.")
        return NO_PASS
    print(f"nothing is known against {len(packages)} packages.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
