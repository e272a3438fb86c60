"""The app of the `snapws` command, with all subcommands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snapws.cli import workspaces
from snapws.cli.annotations import app as annotations_app
from snapws.cli.build import build
from snapws.cli.compare import compare
from snapws.cli.export import export
from snapws.cli.frame import REFERENCE, command, epilog, program
from snapws.cli.info import info
from snapws.cli.labels import app as labels
from snapws.cli.layers import app as layers
from snapws.cli.meshes import app as meshes
from snapws.cli.open import open_
from snapws.cli.pictures import show
from snapws.cli.registry import app as registry
from snapws.cli.report import report
from snapws.cli.tags import app as tags
from snapws.cli.timepoints import app as timepoints
from snapws.cli.transform import app as transform

if TYPE_CHECKING:
    import typer

_HELP = """List, edit, check and archive ITK-SNAP workspaces.

Edits are saved in place, or elsewhere with -o FILE; --dry-run shows what would change.
A LAYER is named by number, M (main), S (first segmentation), O:N (overlay), A:N (anatomical),
mesh:N, tag:TAG or nickname:NAME.
"""

_EXAMPLE = """\
snapws new study.itksnap t1.nii.gz --nickname T1 --tag Target
snapws info study.itksnap
snapws layers files study.itksnap --tag Target
snapws transform get study.itksnap tag:Source
snapws layers add study.itksnap t2.nii.gz --nickname T2 --color-map Jet -o out.itksnap
"""

_LOOK = "howto/look-at-a-workspace.md"
_SLICER = "howto/open-in-slicer.md"

app = program(_HELP, example=_EXAMPLE, more=REFERENCE)

command(app, "new", example="snapws new new.itksnap t1.nii.gz --nickname T1")(workspaces.new)
command(app, "build", example="snapws build cohort.tsv", more="howto/check-a-cohort.md")(build)
command(app, "info", example="snapws info study.itksnap")(info)
command(app, "show", example="snapws show study.itksnap -o picture.png", more=_LOOK)(show)
command(app, "report", example="snapws report study.itksnap -o report.html", more=_LOOK)(report)
command(app, "open", example="snapws open study.itksnap", more=_LOOK)(open_)
command(app, "export", example="snapws export study.itksnap study.mrb", more=_SLICER)(export)
command(app, "check", example="snapws check study.itksnap")(workspaces.check)
command(
    app,
    "compare",
    example="snapws compare study.itksnap archive/workspace.itksnap --picture both.png",
    more=_LOOK,
    error_exit_code=2,
)(compare)
command(
    app,
    "relocate",
    example="snapws relocate windows.itksnap --from C:/Users/Me --to /data",
    more="howto/move-a-workspace.md",
)(workspaces.relocate)
command(app, "archive", example="snapws archive study.itksnap archive/", more="howto/anonymise.md")(
    workspaces.archive
)
command(
    app,
    "verify",
    example="snapws verify archive/ --against study.itksnap",
    more="howto/anonymise.md",
)(workspaces.verify)
app.command(
    "wt",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
    help=workspaces.wt.__doc__,
    epilog=epilog("snapws wt -P -i study.itksnap -llf Target", more="howto/replace-itksnap-wt.md"),
)(workspaces.wt)

_GROUPS: dict[str, typer.Typer] = {
    "layers": layers,
    "meshes": meshes,
    "tags": tags,
    "labels": labels,
    "transform": transform,
    "timepoints": timepoints,
    "annotations": annotations_app,
    "registry": registry,
}
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)
