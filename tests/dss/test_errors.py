from __future__ import annotations

import re

import pytest

from dss import errors
from dss.errors import (
    DssError,
    NotFound,
    NotLoggedIn,
    NotPermitted,
    QuotaReached,
    Refused,
    TicketDeleted,
    WrongState,
    refusal,
)
from dss.text import shown

HASH = "9f3bb6c28b180d1f7442248d7eb03e2a6aa30aee"

# What the middleware answers, as recorded.
RECORDED = [
    (401, "You are not logged in!", NotLoggedIn),
    (401, "unauthorized", NotPermitted),
    (401, "Unauthorized access", NotPermitted),
    (401, "Insufficient privileges", NotPermitted),
    (401, f"You are not a provider for service {HASH} ", NotPermitted),
    (401, "Email unrecognized by the system", NotFound),
    (403, "Forbidden", NotPermitted),
    (404, "not found", NotFound),
    (405, "method not allowed", Refused),
    (400, "Ticket 4 has been deleted ", TicketDeleted),
    (400, "Maximum allowed number of open tickets (10) exceeded.", QuotaReached),
    (400, "Ticket 1 has not been claimed by user 2", WrongState),
    (400, "Changing ticket status to bogus is not supported", WrongState),
    (400, "Cannot set status of ticket to bogus", WrongState),
    (400, "Ticket 1 not found for user 2", NotFound),
    (400, "Unable to find service named NoSuch", NotFound),
    (400, f"Service {HASH} is not available", NotFound),
    (400, "Log entry 3 is not readable by user 3", NotFound),
    (400, "Resource 00000000 not found", NotFound),
    (400, "Error fetching Git repository", Refused),
    (400, "A service with same name and version already exists", Refused),
    (400, "bad request", Refused),
    (413, "", Refused),
]


@pytest.mark.parametrize(("status", "text", "kind"), RECORDED)
def test_refusal(status: int, text: str, kind: type[Refused]) -> None:
    error = refusal(status, text, call="GET api/x", server="http://dss.example.org")
    assert type(error) is kind
    assert error.status == status
    assert error.text == text.strip()
    assert "http://dss.example.org" in str(error)
    assert "\n" not in str(error)
    if kind is not NotLoggedIn:
        assert text.strip() in str(error)
        assert "GET api/x" in str(error)


def test_not_logged_in_names_the_remedy() -> None:
    error = refusal(401, "You are not logged in!", call="GET api/x", server="https://s")
    assert str(error) == "not logged in to https://s; run: dss login https://s"


def test_full_quota_names_the_remedy() -> None:
    error = refusal(
        400, "Maximum allowed number of open tickets (10) exceeded.", call="", server=""
    )
    assert str(error).endswith(
        "; finished tickets count, too: delete tickets that are no longer needed "
        "(dss tickets list, dss tickets delete TICKET)"
    )


def test_text_of_a_server_is_made_harmless() -> None:
    assert shown("a\x1b[31m\r\n\tb\x00\u202ec") == "a [31m b c"
    assert shown("x" * 301) == "x" * 299 + "…"
    assert shown("x" * 300) == "x" * 300
    error = refusal(400, "\x1b]0;title\x07" + "y" * 5000, call="GET api/x", server="http://s")
    assert len(str(error)) < 400
    assert str(error).isprintable()


def test_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {"DssError": "Exception"}
    above = ["DssError"]
    for line in (errors.__doc__ or "").splitlines():
        branch = re.match(r"([│ ]*)[├└]── (\w+)", line)
        if branch:
            depth = len(branch[1]) // 4 + 1
            del above[depth:]
            drawn[branch[2]] = above[-1]
            above.append(branch[2])
    real = {
        kind.__name__: kind.__base__.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, DssError) and kind.__base__
    }
    assert drawn == real
