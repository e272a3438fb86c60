"""All subcommands under one roof."""

from __future__ import annotations

import typer

from snapws.cli import workspaces
from snapws.cli.annotations import app as annotations_app
from snapws.cli.frame import command, options
from snapws.cli.info import info
from snapws.cli.labels import app as labels
from snapws.cli.layers import app as layers
from snapws.cli.meshes import app as meshes
from snapws.cli.registry import app as registry
from snapws.cli.tags import app as tags
from snapws.cli.timepoints import app as timepoints
from snapws.cli.transform import app as transform

_HELP = """List, edit, check and archive ITK-SNAP workspaces.

Edits are saved in place, or elsewhere with -o FILE; --dry-run shows what would change.
A LAYER is named by number, M (main), S (first segmentation), O:N (overlay), A:N (anatomical),
mesh:N, tag:TAG or nickname:NAME.

\b
Examples:
  $ snapws new study.itksnap t1.nii.gz --nickname T1 --tag Target
  $ snapws info study.itksnap
  $ snapws layers files study.itksnap --tag Target
  $ snapws transform get study.itksnap tag:Source
  $ snapws layers add study.itksnap t2.nii.gz --nickname T2 --color-map Jet -o out.itksnap
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(options)

command(app, "new", example="snapws new new.itksnap t1.nii.gz --nickname T1")(workspaces.new)
command(app, "info", example="snapws info study.itksnap")(info)
command(app, "check", example="snapws check study.itksnap")(workspaces.check)
command(app, "relocate", example="snapws relocate windows.itksnap --from C:/Users/Me --to /data")(
    workspaces.relocate
)
command(app, "archive", example="snapws archive study.itksnap archive/")(workspaces.archive)
command(app, "verify", example="snapws verify archive/")(workspaces.verify)
app.command(
    "wt",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
    help=workspaces.wt.__doc__,
)(workspaces.wt)

_NOUNS: dict[str, typer.Typer] = {
    "layers": layers,
    "meshes": meshes,
    "tags": tags,
    "labels": labels,
    "transform": transform,
    "timepoints": timepoints,
    "annotations": annotations_app,
    "registry": registry,
}
for _name, _noun in _NOUNS.items():
    app.add_typer(_noun, name=_name)
