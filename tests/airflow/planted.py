"""A program that is gatefold, but for the faults that a test has planted."""

import stat
from pathlib import Path

# $2 is the job and $4 the date: `gatefold run JOB --date DATE`.
PROGRAM = """#!/bin/sh
for fault in "{folder}/$2" "{folder}/$2.$4"; do
    if [ -f "$fault" ]; then
        mv "$fault" "$fault.met"
        . "$fault.met"
    fi
done
exec "{binary}" "$@"
"""


class Planted:
    """A fault is a piece of shell that runs once, in the place of a job, or of a job on one date."""

    # Goes on until it is told to end.
    HANG = """
        trap 'echo "told to end"; touch "$fault.told"; ended=13' TERM
        while [ -z "$ended" ]; do sleep 0.2; done
        exit $ended
    """

    def __init__(self, folder: Path, binary: Path):
        self.folder = folder
        folder.mkdir()
        self.program = folder / "gatefold"
        self.program.write_text(PROGRAM.format(folder=folder, binary=binary))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)

    def plant(self, where: str, shell: str):
        (self.folder / where).write_text(shell)

    def met(self, where: str) -> bool:
        return (self.folder / f"{where}.met").exists()

    def told(self, where: str) -> bool:
        """Whether a hanging program was told to end."""
        return (self.folder / f"{where}.told").exists()

    def environment(self) -> dict[str, str]:
        return {"GATEFOLD_BINARY": str(self.program)}
