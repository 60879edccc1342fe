"""`python -m assay` is the command `assay`."""

from assay.app.cli import main

main(prog_name="assay")
