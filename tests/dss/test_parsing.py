from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from dss.errors import InvalidResponse
from dss.parsing import (
    read_csv,
    read_detail,
    read_duration,
    read_int,
    read_names,
    read_service,
    read_stats,
    read_status,
    read_time,
    read_word,
)
from dss.records import Attachment, FileEntry, ProviderUser, Service, Ticket, TicketStatus

SERVICE = ("name", "hash", "version", "description")
UTC = timezone.utc


@pytest.mark.parametrize(
    "trap", ["1.10", "007", "NA", "123e4567", "None", "", " x ", "1_000", "NaN"]
)
def test_text_stays_text(trap: str) -> None:
    (row,) = read_csv(Service, SERVICE, f"{trap},{trap},{trap},{trap}\r\n")
    assert row == Service(trap, trap, trap, trap)


def test_quoted_fields_are_read() -> None:
    text = '1,"Käse, ""zwei""\nZeilen\r\nund drei",text/plain,http://h/blobs/1\r\n2,,,\r\n'
    rows = read_csv(Attachment, ("id", "description", "mime_type", "url"), text)
    assert rows == [
        Attachment(1, 'Käse, "zwei"\nZeilen\r\nund drei', "text/plain", "http://h/blobs/1"),
        Attachment(2, "", "", ""),
    ]


def test_columns_are_in_the_order_of_the_call() -> None:
    (row,) = read_csv(Service, ("name", "version", "hash", "description"), "S,1,abc,d\r\n")
    assert row == Service(name="S", hash="abc", version="1", description="d")


def test_empty_text_has_no_rows() -> None:
    assert read_csv(Service, SERVICE, "") == []


def test_fields_are_converted_to_their_types() -> None:
    assert read_csv(Ticket, ("id", "service", "status"), "7,007,init\r\n") == [
        Ticket(7, "007", TicketStatus.INIT)
    ]
    flags = read_csv(ProviderUser, ("id", "email", "admin"), "1,a@b,0\r\n2,c@d,1\r\n3,e@f,t\r\n")
    assert [user.admin for user in flags] == [False, True, True]
    assert read_names("lab\r\nä b\r\n") == ["lab", "ä b"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("1,S,init\r\n2,S\r\n", "row 2 has 2 columns instead of 3 (id, service, status): '2,S'"),
        ("1,S,init,x\r\n", "row 1 has 4 columns"),
        ("1,S,init\r\nx,S,init\r\n", "row 2, 'x,S,init'"),
        ("-1,S,init\r\n", "row 1"),
        ("1.0,S,init\r\n", "row 1"),
        ("١,S,init\r\n", "row 1"),
        ("1,S,bogus\r\n", "row 1"),
        ("<html>busy</html>", "row 1 has 1 columns"),
        ('1,"S,init\r\n', "not CSV"),
    ],
)
def test_row_of_another_shape_is_refused(text: str, part: str) -> None:
    with pytest.raises(InvalidResponse) as caught:
        read_csv(Ticket, ("id", "service", "status"), text)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (1795233502, datetime(2026, 11, 21, 3, 58, 22, tzinfo=UTC)),
        ("1795233502", datetime(2026, 11, 21, 3, 58, 22, tzinfo=UTC)),
        ("2999-12-31 23:59:59", datetime(2999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (0.5, datetime(1970, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)),
        ("2019-03-04 05:06:07", datetime(2019, 3, 4, 5, 6, 7, tzinfo=UTC)),
        ("2019-03-04 05:06:07.1", datetime(2019, 3, 4, 5, 6, 7, 100000, tzinfo=UTC)),
        ("2019-03-04 05:06:07.123456", datetime(2019, 3, 4, 5, 6, 7, 123456, tzinfo=UTC)),
    ],
)
def test_times_of_both_servers(value: object, time: datetime) -> None:
    assert read_time(value) == time
    assert read_time(value).tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, "", "yesterday", 10**20, "9" * 30, [], float("nan")),
        # Of the ends of what Python knows, not every place on earth has a time.
        *("0001-01-01 00:00:00", "9999-12-31 23:59:59", -1, "1969-12-31 23:59:59"),
        *("3000-01-01 00:00:00", 32503680000),
    ],
)
def test_invalid_time_is_refused(value: object) -> None:
    with pytest.raises(InvalidResponse, match="not a time"):
        read_time(value)


@pytest.mark.parametrize(
    ("value", "duration"),
    [
        (None, None),
        (0, timedelta(0)),
        (12.5, timedelta(seconds=12.5)),
        ("12.5", timedelta(seconds=12.5)),
        ("0:05:03.1", timedelta(minutes=5, seconds=3.1)),
        ("1 day, 2:00:00", timedelta(days=1, hours=2)),
        ("-1 days, 23:59:59", timedelta(seconds=-1)),
    ],
)
def test_durations_of_both_servers(value: object, duration: timedelta | None) -> None:
    assert read_duration(value) == duration


@pytest.mark.parametrize("value", ["soon", "1:2", "nan", "inf", "1e300"])
def test_invalid_duration_is_refused(value: str) -> None:
    with pytest.raises(InvalidResponse, match="not a duration"):
        read_duration(value)


@pytest.mark.parametrize("text", ["", "None", "-1", "1.0", "1 2", "9" * 19, "<html>"])
def test_invalid_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidResponse):
        read_int(text)


def test_only_expected_words_are_accepted() -> None:
    assert read_int("4\n") == 4
    assert read_word("success\n", "success") == "success"
    assert read_status("ready") is TicketStatus.READY
    with pytest.raises(InvalidResponse, match="'nope' instead of success or None"):
        read_word("nope", "success", "None")


def test_final_statuses() -> None:
    final = {status.value for status in TicketStatus if status.final}
    assert final == {"success", "failed", "timeout", "deleted"}


def test_detail_of_a_ticket_is_read() -> None:
    entry = {
        "id": 3,
        "atime": "2019-03-04 05:06:07.5",
        "category": "info",
        "message": "ü\n",
        "attachments": [{"id": 1, "description": None, "mime_type": "text/plain", "url": "u"}],
    }
    result = {"status": "ready", "progress": 0.200000003, "queue_position": 2, "log": [entry]}
    detail = read_detail({"result": result})
    assert detail.status is TicketStatus.READY
    assert detail.queue_position == 2
    assert detail.log[0].time == datetime(2019, 3, 4, 5, 6, 7, 500000, tzinfo=UTC)
    assert detail.log[0].attachments == (Attachment(1, "", "text/plain", "u"),)
    del result["queue_position"]
    assert read_detail({"result": result}).queue_position is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"result": None},
        {"result": {"status": "ready", "progress": "x", "log": []}},
        {"result": {"status": "bogus", "progress": 0, "log": []}},
        {"result": {"status": "ready", "progress": 0, "log": [{}]}},
        {"result": {"status": "ready", "progress": 0, "log": [1]}},
    ],
)
def test_detail_of_another_form_is_refused(document: object) -> None:
    with pytest.raises(InvalidResponse):
        read_detail(document)


def test_service_json_as_sparse_as_the_server_takes_it() -> None:
    sparse = {"name": "S", "version": "1.10", "shortdesc": "d", "keywords": ["k"]}
    service = read_service(sparse)
    assert (service.description, service.long_description, service.tags) == ("d", "", ())
    assert service.json == sparse
    (tag,) = read_service({**sparse, "tags": [{"name": "T", "required": True}]}).tags
    assert (tag.name, tag.type, tag.required) == ("T", "", True)
    with pytest.raises(InvalidResponse):
        read_service({"name": "S"})


def test_statistics_are_read() -> None:
    values = {"n_success": 2, "n_failed": 1, "last_heard_from": "0:00:05", "queue_length": 3}
    stats = read_stats({"result": [values]})
    assert (stats.mean_duration, stats.last_heard) == (None, timedelta(seconds=5))
    with pytest.raises(InvalidResponse):
        read_stats({"result": []})


def test_names_of_files_may_have_quotes_and_line_breaks() -> None:
    assert read_csv(FileEntry, ("index", "name"), '0,"a\nb"\r\n1,ü\r\n') == [
        FileEntry(0, "a\nb"),
        FileEntry(1, "ü"),
    ]
