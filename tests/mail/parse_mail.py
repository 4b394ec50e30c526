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
import re
import sys
import unicodedata

# In order. Those in brackets are not in every kind of letter.
HEADERS = [
    "From",
    "To",
    "Reply-To",
    "Date",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "List-Id",
    "[Thread-Topic]",
    "[X-Holdpoint-Request]",
    "X-Holdpoint-Kind",
    "Subject",
    "Message-ID",
    "[In-Reply-To]",
    "[References]",
    "[List-Unsubscribe]",
    "[List-Unsubscribe-Post]",
    "MIME-Version",
    "Content-Type",
]
ABOUT_ONE = {"Thread-Topic", "X-Holdpoint-Request"}
CONTINUES = {"In-Reply-To", "References"}
# Of a summary, where there are pages.
LEFT_BY = {"List-Unsubscribe", "List-Unsubscribe-Post"}
# Where our own links lead, and all that they are made of.
OURS = re.compile(r"https://approve\.example\.com/((l|u|requests)/[A-Za-z0-9_-]+)?")
# Which of these each kind has, and how its subject begins.
KINDS = {
    "asked": (ABOUT_ONE, r"\[Approve\?\] "),
    "reminder": (ABOUT_ONE | CONTINUES, r"Re: \[Still waiting, until [^]]*\] "),
    "approved": (ABOUT_ONE | CONTINUES, r"Re: \[Approved by [^]]*\] "),
    "denied": (ABOUT_ONE | CONTINUES, r"Re: \[Denied by [^]]*\] "),
    "expired": (ABOUT_ONE | CONTINUES, r"Re: \[Expired, did not run\] "),
    "withdrawn": (ABOUT_ONE | CONTINUES, r"Re: \[Withdrawn\] "),
    "outcome-unknown": (ABOUT_ONE | CONTINUES, r"Re: \[Outcome unknown, please look\] "),
    "summary": (set(), r"\d+ (calls? waits? for you|requests? ended)"),
    "test": (set(), "Test: "),
}
# What the parts must say.
ASKS = ["holdpoint approve 019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f", "a5" * 32, " left", "until "]
OVER = ["holdpoint show 019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f"]
TAGS = {
    "html", "head", "meta", "title", "body", "table", "tr", "td", "div", "br", "span", "b", "code", "a",
}
ATTRIBUTES = {
    "align", "bgcolor", "border", "cellpadding", "cellspacing", "charset", "content", "lang", "name",
    "role", "style", "valign", "width",
}


class Markup(html.parser.HTMLParser):
    """Notes what a page is made of."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.problems, self.text, self.open, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in TAGS:
            self.problems.append(f"tag {tag}")
        for name, value in attrs:
            if (tag, name) == ("a", "href"):
                self.links.append(value)
                if not OURS.fullmatch(value):
                    self.problems.append(f"link to {value!r}")
                continue
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
    kind = str(message["X-Holdpoint-Kind"])
    has, begins = KINDS[kind]
    if kind == "summary" and "List-Unsubscribe" in message:
        has = LEFT_BY
        if not message["List-Unsubscribe"].startswith("<https://approve.example.com/u/"):
            problems.append(f"left by {message['List-Unsubscribe']}")
        if message["List-Unsubscribe-Post"] != "List-Unsubscribe=One-Click":
            problems.append(f"left by {message['List-Unsubscribe-Post']}")
    wanted = [name for name in HEADERS if name[0] != "[" or name[1:-1] in has]
    if message.keys() != [name.strip("[]") for name in wanted]:
        problems.append(f"headers {message.keys()}")
    if len(message["To"].addresses) != 1 or len(message["From"].addresses) != 1:
        problems.append("not one sender and one recipient")
    if len(message["Reply-To"].addresses) != 1:
        problems.append("not one address to answer to")
    if message["Date"].datetime is None:
        problems.append("no date")
    if message["List-Id"] != "Holdpoint requests <requests.mail.example.com>":
        problems.append(f"list {message['List-Id']}")
    subject = str(message["Subject"])
    if not re.match(begins, subject):
        problems.append(f"subject {subject}")
    if len(subject) > 150:
        problems.append(f"long subject {subject}")
    if "Thread-Topic" in message and not subject.endswith("] " + str(message["Thread-Topic"])):
        problems.append(f"subject {subject} is not about {message['Thread-Topic']}")
    kinds = [part.get_content_type() for part in message.walk()]
    if kinds != ["multipart/alternative", "text/plain", "text/html"]:
        return problems + [f"parts {kinds}"]
    plain, page = (part.get_content().replace("\r\n", "\n") for part in message.iter_parts())
    markup = Markup()
    markup.feed(page)
    markup.close()
    if markup.links != [line for line in plain.split("\n") if line.startswith("http")]:
        problems.append(f"the parts have other links: {markup.links}")
    problems += markup.problems + [f"left open: {tag}" for tag in markup.open]
    for part, text in (("plain", plain), ("html", "".join(markup.text))):
        problems += [f"{part} holds {c!r}" for c in invisible(text)]
        asks = kind in ("asked", "reminder")
        needs = {"summary": [], "test": []}.get(kind, ASKS if asks else OVER)
        problems += [f"{part} lacks {words!r}" for words in needs if words not in text]
        if not asks and kind not in ("summary", "test") and ASKS[0] in text:
            problems.append(f"{part} asks for a decision about what is over")
    return problems


def threads(letters):
    """What continues another letter names one that is there, to the same person,
    about the same request."""
    by_id = {}
    for path, message in letters:
        by_id.setdefault(str(message["Message-ID"]), (path, message))
    problems = []
    for path, message in letters:
        parents = {str(message[name]) for name in CONTINUES if name in message}
        for parent in parents:
            _, first = by_id.get(parent, (None, None))
            if first is None:
                problems.append((path, f"continues {parent}, which is not there"))
            elif any(first[name] != message[name] for name in ("To", "X-Holdpoint-Request")):
                problems.append((path, f"continues {parent}, which is about something else"))
        if len(parents) > 1:
            problems.append((path, f"continues several: {parents}"))
    return problems


def main():
    folder = pathlib.Path(sys.argv[1])
    letters = sorted(folder.glob("*.eml"))
    bad = 0
    parsed = [
        (path, email.message_from_bytes(path.read_bytes(), policy=email.policy.default))
        for path in letters
    ]
    for path, problem in threads(parsed):
        bad += 1
        print(f"{path.name}: {problem}")
    for path in letters:
        for problem in problems_of(path):
            bad += 1
            print(f"{path.name}: {problem}")
    print(f"{len(letters)} letters, {bad} problems")
    sys.exit(1 if bad or not letters else 0)


if __name__ == "__main__":
    main()
