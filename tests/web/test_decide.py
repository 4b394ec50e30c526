"""Deciding, the whole way: a call is held, the mail arrives, its link is followed,
the page is read, the decision is made, the caller runs."""

import html
import json
import re
import urllib.error
import urllib.request

import pytest

from house import ended
from stand import PHONE, path_of, review_link

KEY = '{"key":"user:1","value":"x"}'


def running(stand, tool="write_key", arguments=KEY, category="write", risk="medium", **more):
    """A call that a script holds and runs when it is approved: what it would print."""
    process = stand.ask(tool, arguments, caller="proxy", category=category, risk=risk, **more)
    stand.waiting()
    return process


def approve(page, word=None, reason="seen"):
    if word:
        page.get_by_label("Type", exact=False).fill(word)
    page.locator("#approve-reason").fill(reason)
    page.get_by_role("button", name="Approve").click()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("size", ["phone", "desk"])
def test_from_the_call_by_the_mail_to_the_run(stand, window, script, size):
    asking = running(stand)
    link = review_link(stand.letters("ben@example.com")[0])
    more = {"viewport": PHONE} if size == "phone" else {}
    one = window(java_script_enabled=script, color_scheme="dark" if script else "light", **more)
    page = one.page
    page.goto(path_of(link))
    heading = page.get_by_role("heading", level=1).inner_text()
    assert "write_key" in heading and "valkey" in heading
    if script:
        one.check(f"link-{size}")
    approve(page)
    page.get_by_text("approved", exact=False).first.wait_for()
    if script:
        one.check(f"link-after-{size}")
    done = ended(asking)
    assert done.code == 0, done
    found = stand.json("audit", "--limit", "20", HOLDPOINT_TOKEN=stand.tokens["ana"], HOLDPOINT_SERVER=stand.tcp())
    decided = [entry for entry in found if entry["kind"] == "approved"]
    assert decided and json.dumps(decided[0]).count('"link"'), decided


def test_a_denial_by_keyboard_only_tells_the_caller_why(stand, window):
    asking = running(stand)
    one = window("ben")
    page = one.page
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests/*")
    one.check("request")
    page.keyboard.press("d")
    page.keyboard.type("not on a Sunday")
    # From the reason to the button, as the page orders them.
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip().startswith("Deny"):
            break
    page.keyboard.press("Enter")
    page.get_by_text("denied", exact=False).first.wait_for()
    one.check("denied")
    done = ended(asking)
    assert done.code == 10 and "not on a Sunday" in done.err, done


def test_a_destructive_call_needs_what_it_destroys_typed(stand, window):
    asking = running(stand, "delete_key", category="destructive", risk="critical")
    first, second = window("ana", viewport=PHONE), window("ben")
    for one, name in ((first, "ana"), (second, "ben")):
        page = one.page
        page.get_by_role("link", name="delete_key").first.click()
        page.wait_for_url("**/requests/*")
        one.check(f"destructive-{name}")
        one.expected.add("422")
        page.get_by_label("Type", exact=False).fill("user:l")
        page.locator("#approve-reason").fill("seen")
        page.get_by_role("button", name="Approve").click()
        one.check(f"destructive-{name}-mistyped")
        assert asking.poll() is None
        approve(page, "user:1")
        page.get_by_text("approve", exact=False).first.wait_for()
    assert ended(asking).code == 0


def test_two_tabs_and_a_stale_page_say_who_was_first(stand, window):
    asking = running(stand)
    one, other = window("ana"), window("ben")
    for window_ in (one, other):
        window_.page.get_by_role("link", name="write_key").first.click()
        window_.page.wait_for_url("**/requests/*")
    other.expected.add("409")
    one.page.locator("#deny").fill("no")
    one.page.get_by_role("button", name="Deny").click()
    one.page.get_by_text("denied", exact=False).first.wait_for()
    # The other page follows by itself.
    other.page.get_by_text("Denied by ana").wait_for()
    other.check("stale")
    assert ended(asking).code == 10


def test_the_last_of_many_tabs_decides_and_the_others_follow(stand, window):
    asking = running(stand)
    one = window("ana")
    path = one.page.get_by_role("link", name="write_key").first.get_attribute("href")
    tabs = [one.page]
    for _ in range(8):
        tab = one.context.new_page()
        tab.goto(path)
        tabs.append(tab)
    approve(tabs[-1])
    tabs[-1].get_by_text("Approved by ana").first.wait_for()
    for tab in tabs[1:]:
        tab.get_by_text("Approved by ana").first.wait_for()
    tabs[0].get_by_text("Nothing waits for you").wait_for()
    # The tab that listened for all goes, and another does.
    for tab in tabs[:4]:
        tab.close()
    again = stand.ask("write_other", caller="proxy")
    tabs[-1].goto("/")
    tabs[-2].goto("/")
    tabs[-2].get_by_role("link", name="write_other").wait_for()
    tabs[-1].get_by_role("link", name="write_other").wait_for()
    again.kill()
    assert ended(asking).code == 0


def get(stand, path, head=False):
    """What a scanner does: no cookie, no script."""
    request = urllib.request.Request(stand.url + path, method="HEAD" if head else "GET")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_scanner_that_follows_every_link_decides_nothing(stand, window):
    asking = running(stand)
    letter = stand.letters("ben@example.com")[0]
    link = path_of(review_link(letter))
    for head in (True, False):
        for _ in range(20):
            assert get(stand, link, head)[0] == 200
    # Every link of the pages, as somebody who is signed in.
    one = window("ana")
    seen, todo = set(), ["/", link]
    while todo and len(seen) < 200:
        path = todo.pop()
        if path in seen or "sign-out" in path:
            continue
        seen.add(path)
        one.expected |= {"404", "403"}
        answer = one.context.request.get(path, max_redirects=0)
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        hrefs = map(html.unescape, re.findall(r'href="([^"]*)"', answer.text()))
        todo += [href for href in hrefs if href.startswith("/") and "export" not in href]
    assert len(seen) > 5, seen
    request = stand.waiting()[0]
    assert request["status"] == "pending" and not request["decisions"]
    asking.kill()
