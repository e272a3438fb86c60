"""All subcommands under one roof."""

from __future__ import annotations

from dss.cli import login, run, submit, trials
from dss.cli.admin import app as admin
from dss.cli.batch import app as batch
from dss.cli.provider import app as provider
from dss.cli.service import app as service
from dss.cli.services import app as services
from dss.cli.shared import command
from dss.cli.tickets import app as tickets
from snapws.cli import frame

_HELP = """Have workspaces processed by ITK-SNAP's Distributed Segmentation Service.

A user submits a workspace as a ticket for a service; a provider claims the ticket, works on it and
delivers the result; an administrator says who provides what.
"""

_EXAMPLE = """\
dss login https://dss.itksnap.org
dss services list
dss submit study.itksnap RegistrationExample --wait --download result/
dss provider claim --wait 600
"""

app = frame.program(_HELP, example=_EXAMPLE, more="tutorial.md")

command(app, "login", example="dss login https://dss.itksnap.org")(login.login)
command(app, "logout", example="dss logout")(login.logout)
command(app, "whoami", example="dss whoami")(login.whoami)
command(app, "submit", example="dss submit study.itksnap RegistrationExample --wait")(submit.submit)
command(
    app,
    "run",
    example="dss run my_service.py --provider testlab",
    more="howto/write-a-service.md",
)(run.run)
command(app, "demo", example="dss demo my-demo", more="tutorial.md")(trials.demo)
command(
    app,
    "middleware",
    example="dss middleware --port 8080",
    more="howto/local-middleware.md",
)(trials.middleware)

app.add_typer(batch, name="batch")
app.add_typer(services, name="services")
app.add_typer(service, name="service")
app.add_typer(tickets, name="tickets")
app.add_typer(provider, name="provider")
app.add_typer(admin, name="admin")
