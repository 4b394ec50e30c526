"""History, charts, people and mail, in each light and size."""

import pytest

from house import ended
from stand import PHONE

PLACES = {
    "history": "/history",
    "charts": "/history/charts",
    "people": "/people?server=valkey&tool=delete_key&category=destructive&risk=high",
    "mail": "/mail",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desk"])
def test_the_records_in_each_light_and_size(stand, window, scheme, size):
    for n, verdict in enumerate(["approve", "deny", "approve"]):
        asking = stand.ask(f"write_{n}", '{"key":"user:1"}', caller="proxy", category="write", risk="medium")
        request = stand.waiting()[0]
        more = ["--reason", "not now"] if verdict == "deny" else []
        done = stand.run(
            verdict, request["id"], "--digest", request["digest"], *more,
            HOLDPOINT_TOKEN=stand.tokens["ben"], HOLDPOINT_SERVER=stand.tcp(),
        )
        assert done.code == 0, done
        ended(asking)
    more = {"viewport": PHONE} if size == "phone" else {}
    one = window("ana", color_scheme=scheme, **more)
    for name, path in PLACES.items():
        one.page.goto(path)
        one.page.get_by_role("heading", level=1).wait_for()
        one.check(f"{name}-{size}-{scheme}")
        one.page.evaluate("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
        one.check()


def test_who_is_no_admin_and_no_auditor_is_told_so(stand, window):
    one = window("ben")
    one.expected |= {"403", "404"}
    for path in ("/people", "/history/charts", "/history/export"):
        answer = one.context.request.get(path)
        assert answer.status in (403, 404), (path, answer.status)
    assert one.context.request.get("/history").status == 200
