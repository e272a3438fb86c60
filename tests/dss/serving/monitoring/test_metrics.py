"""The metrics of a journal, read as Prometheus reads them, and served on loopback."""

from __future__ import annotations

import http.client
import logging
import socket
from contextlib import closing
from shutil import copytree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from dss.serving.contact import Contact
from dss.serving.journal import Journal, Outcome, Step
from dss.serving.monitoring import metrics
from dss.serving.monitoring.overview import overview
from tests import ports

HASH = "0" * 40


def parsed(text):
    """Return the values by name and labels, as the library of Prometheus reads them."""
    samples = [
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    ]
    values = {(one.name, *sorted(one.labels.items())): one.value for one in samples}
    assert len(values) == len(samples)
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A work folder in which something has happened."""
    folder = tmp_path_factory.mktemp("work")
    with closing(Journal(folder)) as journal:
        journal.bind(server="https://dss.example.org", provider="lab", instance="lab_7f")
        for ticket, outcome in ((1, Outcome.SUCCESS), (2, Outcome.FAILED), (3, Outcome.SUCCESS)):
            journal.add_claimed(ticket, "Neck", HASH, journal.begin_claim(HASH))
            journal.record(ticket, Step.DOWNLOADED, moved=100)
            journal.record(ticket, Step.FINISHED, outcome=outcome)
        for ticket in (4, 5, 6):
            journal.add_claimed(ticket, "Neck", HASH)
        journal.record(6, Step.PACKAGED)
        journal.sent(6, "layer", 70)
        journal.remark(6, "waiting", "away")
        journal.end_claim(journal.begin_claim(HASH), "unknown")
    return folder


def ask(port, method="GET", path="/metrics"):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def test_the_metrics_say_what_the_overview_says(folder):
    found = overview(folder)
    values = parsed(metrics.text(found))
    service = ("service", "Neck")
    steps = {row.step: row for row in found.steps}
    last = next(row.last for row in found.finished if row.outcome is Outcome.SUCCESS)
    expected = {
        ("dss_runner_up",): 0,
        (
            "dss_runner_info",
            ("instance", "lab_7f"),
            ("provider", "lab"),
            ("server", "https://dss.example.org"),
        ): 1,
        ("dss_tickets_open", service, ("step", "claimed")): 2,
        ("dss_tickets_open", service, ("step", "packaged")): 1,
        ("dss_tickets_waiting",): 1,
        ("dss_tickets_finished_total", ("outcome", "failed"), service): 1,
        ("dss_tickets_finished_total", ("outcome", "success"), service): 2,
        ("dss_last_success_timestamp_seconds", service): last.timestamp(),
        ("dss_step_bytes_total", service, ("step", "downloaded")): 300,
        ("dss_step_bytes_total", service, ("step", "packaged")): 0,
        ("dss_step_bytes_total", service, ("step", "finished")): 0,
        ("dss_upload_files",): 1,
        ("dss_upload_bytes",): 70,
        ("dss_claims_lost",): 1,
    }
    for step, count in ((Step.DOWNLOADED, 3), (Step.PACKAGED, 1), (Step.FINISHED, 3)):
        expected["dss_step_seconds_count", service, ("step", step.value)] = count
        expected["dss_step_seconds_sum", service, ("step", step.value)] = steps[step].seconds
    assert values == expected


def test_what_the_server_says_is_there_once_it_has_said_it(folder):
    contact = Contact()
    before = parsed(metrics.text(overview(folder), contact))
    assert not any("server" in name for name, *_ in before)
    contact.queue = {"Neck": 3, "Brain": 0}
    contact.note_answer()
    first = parsed(metrics.text(overview(folder), contact))
    assert first["dss_server_queue_tickets", ("service", "Neck")] == 3
    assert first["dss_server_queue_tickets", ("service", "Brain")] == 0
    silent = first["dss_server_silent_seconds",]
    assert (
        0 <= silent < parsed(metrics.text(overview(folder), contact))["dss_server_silent_seconds",]
    )
    contact.note_answer()
    assert contact.silent_seconds < 300


def test_a_new_journal_has_metrics(tmp_path):
    Journal(tmp_path).close()
    values = parsed(metrics.text(overview(tmp_path)))
    assert values["dss_tickets_waiting",] == 0
    assert not any(name == "dss_tickets_open" for name, *_ in values)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", '\\"\n', "\\n"]))
def test_any_name_of_a_service_comes_through(tmp_path, start, end):
    name = start.replace("\0", "") + end
    with closing(Journal(tmp_path)) as journal:
        journal.add_claimed(1, name, HASH)
    values = parsed(metrics.text(overview(tmp_path)))
    assert values["dss_tickets_open", ("service", name), ("step", "claimed")] == 1


def test_the_metrics_are_served_as_they_are_at_that_moment(folder, tmp_path):
    folder = copytree(folder, tmp_path / "work")
    with metrics.serve(folder, 0) as port:
        status, headers, body = ask(port)
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain; version=")
        assert parsed(body) == parsed(metrics.text(overview(folder)))
        with closing(Journal(folder)) as journal:
            journal.add_claimed(7, "Neck", HASH)
        assert body != ask(port, path="/metrics?x=1")[2] == metrics.text(overview(folder))


def test_nothing_else_is_served(folder):
    with metrics.serve(folder, 0) as port:
        for path in ("/", "/metrics/", "/journal.sqlite3", "/../metrics"):
            assert ask(port, path=path)[0] == 404


def test_nothing_can_be_sent(folder):
    with metrics.serve(folder, 0) as port:
        for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            status, headers, body = ask(port, method)
            assert (status, headers["Allow"], body) == (405, "GET", "")


def test_a_folder_that_cannot_be_read_is_said_to_be_so(tmp_path):
    with metrics.serve(tmp_path, 0) as port:
        status, _, body = ask(port)
        assert status == 503
        assert "there is no journal" in body
        Journal(tmp_path).close()
        assert ask(port)[0] == 200


def test_the_server_ends_with_its_block(folder):
    with ports.reserved() as port:
        for _ in range(2):
            with metrics.serve(folder, port) as again:
                assert again == port
                assert ask(port)[0] == 200
            with pytest.raises(ConnectionRefusedError):
                ask(port)


def test_a_port_that_is_taken_is_named(folder):
    with (
        metrics.serve(folder, 0) as port,
        pytest.raises(OSError, match=f"127.0.0.1:{port}"),
        metrics.serve(folder, port),
    ):
        pytest.fail("two servers on one port")


def test_it_listens_on_loopback_alone(folder, monkeypatch):
    bound = []
    bind = socket.socket.bind
    monkeypatch.setattr(
        socket.socket, "bind", lambda self, address: (bound.append(address[0]), bind(self, address))
    )
    with metrics.serve(folder, 0):
        assert bound == ["127.0.0.1"]


def test_requests_say_nothing_on_the_terminal(folder, capfd, caplog):
    caplog.set_level(logging.DEBUG, "dss")
    with metrics.serve(folder, 0) as port:
        ask(port)
        ask(port, path="/")
        ask(port, "POST")
        with closing(socket.create_connection(("127.0.0.1", port), 30)) as broken:
            broken.sendall(b"\x00\xff nonsense\r\n\r\n")
            broken.recv(1000)
    assert capfd.readouterr() == ("", "")
    assert all(record.levelno == logging.DEBUG for record in caplog.records)


def test_a_folder_that_cannot_be_searched_is_said_to_be_so(folder, monkeypatch):
    def refused(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(metrics, "overview", refused)
    with metrics.serve(folder, 0) as port:
        status, _, body = ask(port)
    assert (status, "Permission denied" in body) == (503, True)


def test_names_in_the_query_are_not_heeded(folder):
    with metrics.serve(folder, 0) as port:
        assert parsed(ask(port, path="/metrics?name[]=none")[2]) == parsed(ask(port)[2])
