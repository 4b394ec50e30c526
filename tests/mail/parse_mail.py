#!/usr/bin/env python3
"""Reads composed letters with Python's email package, the strict policy.

usage: parse_mail.py FOLDER

`cargo test mail` writes the letters to target/mail-samples. Fails if one has a
defect, a missing or unexpected header, other parts than one plain and one HTML,
or anything that a reader could take for live markup from elsewhere.
"""

import email
import email.policy
import html.parser
import pathlib
import sys
import unicodedata

HEADERS = [
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
]
TAGS = {"html", "head", "meta", "title", "body", "table", "tr", "td", "div", "br", "span"}
ATTRIBUTES = {
    "align", "border", "cellpadding", "cellspacing", "charset", "content", "lang", "name",
    "role", "style", "valign", "width",
}


class Markup(html.parser.HTMLParser):
    """Notes what a page is made of."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.problems, self.text, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in TAGS:
            self.problems.append(f"tag {tag}")
        for name, value in attrs:
            if name not in ATTRIBUTES:
                self.problems.append(f"attribute {name}")
            if "url(" in (value or "") or "://" in (value or ""):
                self.problems.append(f"something external in {name}={value!r}")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"unbalanced {tag}")

    def handle_comment(self, data):
        self.problems.append(f"comment {data!r}")

    def handle_data(self, data):
        self.text.append(data)


def invisible(text):
    """Characters that show nothing or change how their neighbours show."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Co", "Zl", "Zp") and c != "\n"]


def problems_of(path):
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    problems = []
    for part in message.walk():
        problems += [f"defect {defect!r}" for defect in part.defects]
    for name, value in message.items():
        problems += [f"defect in {name}: {defect!r}" for defect in value.defects]
        problems += [f"{name} holds {c!r}" for c in invisible(str(value))]
    if message.keys() != HEADERS:
        problems.append(f"headers {message.keys()}")
    if len(message["To"].addresses) != 1 or len(message["From"].addresses) != 1:
        problems.append("not one sender and one recipient")
    if message["Date"].datetime is None:
        problems.append("no date")
    if not str(message["Subject"]).startswith("Approve? "):
        problems.append(f"subject {message['Subject']}")
    if len(str(message["Subject"])) > 95:
        problems.append(f"long subject {message['Subject']}")
    kinds = [part.get_content_type() for part in message.walk()]
    if kinds != ["multipart/alternative", "text/plain", "text/html"]:
        return problems + [f"parts {kinds}"]
    plain, page = (part.get_content().replace("\r\n", "\n") for part in message.iter_parts())
    markup = Markup()
    markup.feed(page)
    markup.close()
    problems += markup.problems + [f"left open: {tag}" for tag in markup.open]
    for kind, text in (("plain", plain), ("html", "".join(markup.text))):
        problems += [f"{kind} holds {c!r}" for c in invisible(text)]
        for needed in ("holdpoint approve 019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f", "a5" * 32, " left, until "):
            if needed not in text:
                problems.append(f"{kind} lacks {needed!r}")
    if not plain.startswith("Run "):
        problems.append("the first line is not the sentence")
    return problems


def main():
    folder = pathlib.Path(sys.argv[1])
    letters = sorted(folder.glob("*.eml"))
    bad = 0
    for path in letters:
        for problem in problems_of(path):
            bad += 1
            print(f"{path.name}: {problem}")
    print(f"{len(letters)} letters, {bad} problems")
    sys.exit(1 if bad or not letters else 0)


if __name__ == "__main__":
    main()
