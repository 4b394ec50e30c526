// What makes an open page follow what happens, and the keys. Every page works
// without it. It never decides anything, and takes nobody's words out of a field.
"use strict";

const live = () => document.getElementById("live");
const say = (words) => { document.getElementById("connection").textContent = words; };

// Time left, counted down from what the server said when it wrote the page: this
// machine's clock may be wrong, its stopwatch is not.
let written = performance.now();
const countDown = () => {
  for (const time of document.querySelectorAll(".left[data-left]")) {
    const seconds = Math.max(0, Math.ceil((Number(time.dataset.left) - (performance.now() - written)) / 1000));
    const minutes = Math.floor((seconds + 30) / 60);
    time.textContent =
      seconds === 0 ? "time is up" :
      seconds < 120 ? `${seconds} s` :
      seconds < 5400 ? `${minutes} min` :
      seconds < 172800 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` :
      `${Math.floor(minutes / 1440)} days ${Math.floor((minutes % 1440) / 60)} h`;
    time.classList.toggle("soon", seconds < 120);
  }
};

// What somebody was writing when the page changed under it: into the same field if
// there still is one, else shown, so that it is not lost.
const keepWritten = (before, now) => {
  for (const field of before.querySelectorAll("textarea")) {
    const written = field.value;
    if (!written || written === field.defaultValue) continue;
    const same = now.querySelector(`#${CSS.escape(field.id)}`);
    if (same) { same.value = written; continue; }
    const said = document.createElement("blockquote");
    said.textContent = written;
    now.prepend("You had written:", said);
  }
};

// Where somebody was, so that they still are when the page has changed under them, also
// while the keys were shown over it.
let at = null;
addEventListener("focusin", (event) => {
  if (live()?.contains(event.target)) at = event.target.getAttribute("href");
});
addEventListener("pointerdown", () => { at = null; });
const refocus = () => {
  if (at) live()?.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
};

// Whose page this is; nobody's that of a link.
const whose = (page) => page.querySelector("header.top")?.dataset.who;

// Nothing of what was shown stays for the next person at this screen, but what somebody
// was writing.
let gone = false;
const clear = (why) => {
  if (gone) return;
  gone = true;
  stopListening();
  const before = document.getElementById("main"), now = document.createElement("div");
  keepWritten(before, now);
  before.replaceChildren(now);
  for (const part of document.querySelectorAll("header.top nav, header.top .me, dialog")) part.remove();
  document.title = "Holdpoint";
  say(why);
};
const SIGNED_OUT = "You are signed out here. Load the page again to sign in.";
const SOMEBODY_ELSE = "Somebody else is signed in here now. Load the page again.";
const NOT_SHOWN = "This page is not shown any more. Load it again.";

// The page as it is now, put in the place of what has changed. A form stays as it is
// while its request waits: nothing moves under a finger.
let fetching = false, again = false;
const refresh = async () => {
  if (gone) return;
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { "x-holdpoint-live": "1" }, redirect: "manual" });
    if (answer.type === "opaqueredirect") {
      // Who came by a link has signed in meanwhile, and is led on.
      if (whose(document) === undefined) location.reload(); else clear(SIGNED_OUT);
      return;
    }
    if ([401, 403, 404, 410].includes(answer.status)) { clear(NOT_SHOWN); return; }
    if (!answer.ok) { say("This page cannot be brought up to date. Load it again."); return; }
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (whose(next) !== whose(document)) { clear(SOMEBODY_ELSE); return; }
    const now = next.getElementById("live"), before = live();
    if (!now || !before) return;
    const state = (part) => part.dataset.state ?? "";
    if (before.dataset.live === "queue" || state(now) !== state(before)) {
      keepWritten(before, now);
      before.replaceWith(now);
      if (document.activeElement === document.body) refocus();
      written = performance.now();
    }
    document.title = next.title;
    countDown();
  } catch { /* The stream says when the connection is back. */ } finally {
    fetching = false;
    if (again) { again = false; refresh(); } else lookAgain();
  }
};

// A page without a stream that is about to change says so.
const lookAgain = () => { if (live()?.dataset.again !== undefined) setTimeout(refresh, 2000); };

// One stream for all tabs of a browser, which opens only a few connections to one host:
// the next decision needs one. The tab that has the lock listens and tells the others.
const others = "BroadcastChannel" in window ? new BroadcastChannel("holdpoint") : null;
let lost = false;
const CONNECTED = "Connected again; this page is up to date.";
const connected = () => {
  if (lost || gone) return;
  say(CONNECTED);
  const unsay = () => { if (document.getElementById("connection").textContent === CONNECTED) say(""); };
  setTimeout(unsay, 4000);
};
const hear = (what, ids) => {
  if (gone) return;
  if (what === "who") {
    if (whose(document) !== undefined && whose(document) !== ids) clear(ids === "" ? SIGNED_OUT : SOMEBODY_ELSE);
    return;
  }
  const part = live()?.dataset.live;
  if (what === "looked") { wake(); return; }
  if (what === "lost") {
    lost = true;
    say("The connection to Holdpoint is lost. What you see may be old; trying again.");
  } else if (what === "elsewhere") {
    lost = true;
    say("You have Holdpoint open in many places, so this page rests. It follows again in a minute, or when you come back to it.");
  } else if (what === "here") {
    if (lost) refresh().then(connected);
    lost = false;
  } else if (part === "queue" || ids === "many" || ids.split(" ").includes(part)) refresh();
};
const tell = (what, ids = "") => { hear(what, ids); others?.postMessage([what, ids]); };

// A stream that was ended for a newer one of the same person waits: in a minute, or when
// somebody looks at one of its tabs, it is its turn again.
let resting = null;
const wake = () => {
  if (!resting) return;
  clearTimeout(resting);
  resting = null;
  listen();
};
document.addEventListener("visibilitychange", () => { if (!document.hidden) tell("looked"); });

let stream = null, release = () => {};
const stopListening = () => { stream?.close(); release(); };

const listen = () => {
  if (gone) return;
  stream = new EventSource("/live");
  // What happened between the page and the stream is fetched.
  stream.addEventListener("here", () => { tell("here"); refresh(); });
  stream.addEventListener("changed", (event) => tell("changed", event.data));
  stream.addEventListener("elsewhere", () => {
    stream.close();
    resting = setTimeout(wake, 60000);
    tell("elsewhere");
  });
  stream.addEventListener("error", () => {
    tell("lost");
    // A stream that was refused, and not only cut, does not come back by itself.
    if (stream.readyState !== EventSource.CLOSED) return;
    // It may have been because nobody is signed in here any more.
    tell("changed", "many");
    setTimeout(() => { if (!gone) listen(); }, 3000);
  });
  addEventListener("pagehide", () => stream.close());
};

// Each page that is opened says whose it is, and the form to sign in that it is nobody's:
// pages of somebody else, in other tabs, are not shown any longer.
const introduce = () => {
  if (!others) return;
  const name = document.getElementById("token") ? "" : whose(document);
  if (name !== undefined) others.postMessage(["who", name]);
  others.addEventListener("message", (event) => hear(...event.data));
};

const follow = () => {
  if (!others || !navigator.locks) { listen(); return; }
  refresh();
  const opened = performance.now();
  // Held until the tab goes, or shows nothing any more. What happened while nobody
  // listened is fetched.
  navigator.locks.request("holdpoint-live", () => {
    if (gone) return null;
    listen();
    if (performance.now() - opened > 1000) tell("changed", "many");
    return new Promise((resolve) => { release = resolve; });
  });
};

const rows = () => [...document.querySelectorAll(".row")];
const step = (by) => {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.contains(document.activeElement));
  all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))].querySelector("a.what").focus();
};
const goTo = (id) => {
  const field = document.getElementById(id);
  field?.scrollIntoView({ block: "center" });
  field?.focus();
};
const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  a: () => goTo("approve"),
  d: () => goTo("deny"),
  u: () => { location.href = "/"; },
  "?": () => document.getElementById("keys")?.showModal(),
};
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const action = KEYS[event.key];
  if (action) { event.preventDefault(); action(); }
});

document.getElementById("keys")?.addEventListener("close", refocus);
setInterval(countDown, 1000);
introduce();
if (live()?.dataset.live) follow();
lookAgain();
