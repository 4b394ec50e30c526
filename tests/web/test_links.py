"""What a link of a mail opens on a phone in the dark, whatever became of it."""

import re

from house import ended, until
from stand import PHONE, path_of, review_link


def held(stand, tool="write_key", arguments='{"key":"user:1"}', **more):
    """A call that waits, and ben's link to it."""
    asking = stand.ask(tool, arguments, caller="proxy", category="write", risk="medium", **more)
    request = stand.waiting()[0]
    return asking, request, path_of(review_link(stand.letters("ben@example.com")[0]))


def dark(window, name=None):
    return window(name, viewport=PHONE, color_scheme="dark")


def test_a_link_that_is_open_used_and_closed_says_so(stand, window):
    asking, request, link = held(stand)
    one = dark(window)
    one.page.goto(link)
    one.check("link-dark-open")
    one.page.get_by_role("button", name="Approve").click()
    one.page.get_by_text("Approved by ben").wait_for()
    one.check("link-dark-used")
    assert ended(asking).code == 0


def test_a_link_whose_time_is_up_or_that_is_torn_says_what_to_do(stand, window):
    asking, request, link = held(stand, timeout="5s")
    one = dark(window)
    one.expected.add("404")
    one.page.goto(link[:-4])
    one.page.get_by_role("heading", name="This link opens nothing").wait_for()
    one.check("link-dark-torn")
    ended(asking)
    one.page.goto(link)
    one.page.get_by_text("Expired", exact=False).first.wait_for()
    assert one.page.get_by_role("button").count() == 0, "there is nothing left to decide"
    one.check("link-dark-expired")


def test_somebody_elses_link_decides_nothing(stand, window):
    asking, request, link = held(stand)
    one = dark(window, name="ana")
    one.expected.add("403")
    one.page.goto(link)
    one.page.get_by_role("heading", name="This link is somebody else's").wait_for()
    one.check("link-dark-foreign")
    asking.kill()


def test_the_unsubscribe_page_turns_summaries_off_and_on(stand, window):
    asking = [stand.ask(f"write_{n}", caller="proxy", category="write", risk="low") for n in range(30)]
    stand.waiting(30)

    def leaving():
        for letter in stand.letters("ben@example.com"):
            found = re.search(r"/u/[\w-]+", str(letter.get("List-Unsubscribe", "")))
            if found:
                return found[0]

    path = until(leaving, "a summary")
    one = dark(window)
    one.page.goto(path)
    one.check("unsubscribe-dark")
    one.page.get_by_role("button", name="Send me no summaries").click()
    one.page.get_by_role("heading", name="Summaries are off").wait_for()
    one.check("unsubscribe-dark-off")
    # A link turns one way only: it is passed on with each mail that is forwarded.
    one.page.get_by_role("link", name="Sign in").click()
    one.page.get_by_label("Your operator token").fill(stand.tokens["ben"])
    one.page.get_by_role("button", name="Sign in").click()
    one.page.get_by_role("button", name="Send summaries again").click()
    one.page.get_by_role("heading", name="Summaries", exact=True).wait_for()
    for one in asking:
        one.kill()
