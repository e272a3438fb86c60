"""The page howto/tickets-from-python.md: user and provider, one after the other."""

from __future__ import annotations

import re

from dss import Admin, Middleware, demo
from dss.middleware import ADMINISTRATOR
from tests.docs.pages import blocks, text


def test_a_ticket(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    demo.make_workspace(tmp_path)
    (block,) = [
        one for one in blocks(text("howto/tickets-from-python.md")) if one.language == "python"
    ]
    imports, user_side, provider_side = re.split(r"\n(?=with )", block.text)
    submit, rest = user_side.split("    for news", 1)
    with Middleware() as middleware:
        middleware.publish(demo.EXAMPLES["registration"].folder, "testlab")
        names = {"token": middleware.add_user("user@localhost")}
        names["provider_token"] = middleware.add_user("provider@localhost")
        with middleware.login(ADMINISTRATOR) as session:
            Admin(session).add_user("testlab", "provider@localhost")

        def run(code: str) -> None:
            exec(f"{imports}\nfrom snapws import Workspace\n", names)
            exec(code.replace("https://dss.itksnap.org", middleware.url), names)

        run(submit)
        run(provider_side)
        names["token"] = middleware.add_user("user@localhost")
        header = submit.split("    ticket = ")[0]
        run(f"{header}    for news{rest}")
        assert "success" in capsys.readouterr().out
        assert names["result"].name == "ticket_00000001_results.itksnap"
