"""The page about a ticket in a real browser."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from dss import Admin, Client, Middleware, Provider
from dss.middleware import ADMINISTRATOR
from dss.report import ticket_page
from snapws import Label, Workspace
from snapws.report import slices

HOSTILE = '</span><script>document.title="run"</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def ticket(tmp_path_factory: pytest.TempPathFactory):
    """The page of a ticket with a log, attachments and a result."""
    folder = tmp_path_factory.mktemp("ticket")
    voxels = np.arange(20 * 18 * 16, dtype=np.int16).reshape(20, 18, 16)
    for name, data in (("t1", voxels), ("seg", (voxels > 3000).astype(np.uint8))):
        nibabel.Nifti1Image(data, np.diag([-2, -2, 2, 1])).to_filename(folder / f"{name}.nii.gz")
    ws = Workspace()
    ws.set_main(folder / "t1.nii.gz").tags = ("Target",)
    ws.labels = [Label(1, HOSTILE, (200, 60, 60))]
    description = {"name": "Segment<b>", "version": "1.0", "shortdesc": HOSTILE, "tags": []}
    (folder / "service.json").write_text(json.dumps(description))
    Image.new("RGB", (1600, 900), "#2a6").save(folder / "after.png")
    (folder / "matrix.txt").write_text("1 0 0 0")
    page = folder / "ticket.html"
    with Middleware() as middleware:
        service = middleware.publish(folder, "lab")
        for one in ("jane@example.org", "worker@example.org"):
            middleware.add_user(one)
        with (
            middleware.login(ADMINISTRATOR) as admin,
            middleware.login("jane@example.org") as user,
            middleware.login("worker@example.org") as worker,
        ):
            Admin(admin).add_user("lab", "worker@example.org")
            client, provider = Client(user), Provider(worker)
            number = client.submit(ws, service)
            assert provider.claim([service], "lab", "1")
            provider.log(number, "info", f"Begun\nwith two lines {HOSTILE}")
            provider.attach(
                number, f"After registration {HOSTILE}", folder / "after.png", "image/png"
            )
            provider.attach(number, "Matrix", folder / "matrix.txt", "text/plain")
            provider.log(number, "warning", "It takes long")
            ws.add_segmentation(folder / "seg.nii.gz", nickname="Result")
            provider.upload(number, ws)
            provider.succeed(number)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(slices, "MOST_SLICES", 5)
                page.write_bytes(ticket_page(client, number))
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_ticket_is_readable_for_everybody(visit, ticket, scheme):
    seen = visit(ticket, color_scheme=scheme)
    seen.keep(f"ticket-{scheme}")
    assert seen.page.title() == "Ticket 1"
    assert seen.page.locator("script").count() == 1
    assert seen.page.get_by_role("img", name="After registration").evaluate(
        "one => [one.naturalWidth, one.naturalHeight]"
    ) == [1024, 576]
    slider = seen.page.get_by_role("slider", name="Coronal")
    before = slider.get_attribute("aria-valuetext")
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") != before
    assert (seen.said, seen.asked) == ([], [])
    assert seen.complaints() == []
