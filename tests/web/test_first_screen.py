"""What a phone's first screen says of a call: sentence, tool, target, risk and how
much is hidden, in the mail and on the page. Pictures of both for a reader's sheet."""

import pytest

from stand import PHONE, SHOTS, path_of, review_link
from ten_calls import CALLS

# The text that stands within the window as it is when nothing was scrolled.
VISIBLE = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.textContent.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()];
    if (boxes.some((b) => b.width > 1 && b.height > 1 && b.bottom <= innerHeight && b.top >= 0 && b.right <= innerWidth + 1)) seen.push(node.textContent);
  }
  return seen.join(" ");
}"""


@pytest.mark.parametrize("call", CALLS, ids=[call["name"] for call in CALLS])
def test_what_matters_is_on_the_first_screen_of_mail_and_page(stand, window, call):
    words = ["request", "--server", call["server"], "--tool", call["tool"], "--args", call["args"]]
    for name in ("category", "risk", "why"):
        words += [f"--{name}", call[name]] if name in call else []
    words += ["--on-behalf-of", call["behalf"]] if "behalf" in call else []
    asking = stand.begin(*words, HOLDPOINT_TOKEN=stand.tokens["proxy"], HOLDPOINT_SERVER=stand.tcp())
    stand.waiting(name="ben")
    letter = stand.letters("ben@example.com")[0]

    mail = window(viewport=PHONE)
    mail.page.set_content(letter.get_body(("html",)).get_content())
    SHOTS.mkdir(parents=True, exist_ok=True)
    mail.shot(f"sheet-{call['name']}-mail")
    seen = " ".join(mail.page.evaluate(VISIBLE).split())
    missing = [word for word in call["seen"] if word not in seen]
    assert not missing, f"the mail's first screen lacks {missing}: {seen}"

    one = window(viewport=PHONE)
    one.page.goto(path_of(review_link(letter)))
    one.check(f"sheet-{call['name']}-page")
    seen = " ".join(one.page.evaluate(VISIBLE).split())
    missing = [word for word in call["seen"] if word not in seen]
    assert not missing, f"the page's first screen lacks {missing}: {seen}"
    # What is typed is what hurts, and a wrong word is refused.
    assert one.page.locator(".word").all_inner_texts() == [call[name] for name in ["typed"] if name in call]
    if "typed" in call:
        one.expected.add("422")
        one.page.get_by_label("Type", exact=False).fill(call["typed"][:-1])
        one.page.get_by_role("button", name="Approve").click()
        one.page.get_by_text("Not approved: type").wait_for()
        one.check()
        assert asking.poll() is None
    asking.kill()
