// What mail readers make of the letters' HTML, by the data of Can I email
// (caniemail.com): each thing that Gmail, Outlook or Apple Mail leaves out has to be
// on the list below, with what is left without it.
//
// usage: node check.mjs PACKAGES SAMPLES
//
// PACKAGES is where package.json's were installed; SAMPLES has the letters that
// `cargo test mail` writes.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [packages, samples] = process.argv.slice(2);
const found = createRequire(path.resolve(packages, "package.json")).resolve("@jsx-email/doiuse-email");
const { doIUseEmail } = await import(found);

const READERS = ["gmail.*", "outlook.*", "apple-mail.*"];
// Each is a loss of looks, not of words.
const LEFT_WITHOUT = {
  body: "taken for a block like any other; it has no colour of ours",
  "border-radius": "corners are square",
  opacity: "notes are as dark as the rest",
  "overflow-wrap": "word-break stands beside it where it is known; elsewhere a long word widens the page",
  "table-layout": "a long word widens its column",
  "word-break": "a long word widens the page",
  "role attribute": "a table of layout is read out as a table",
};

let failed = 0, letters = 0;
const used = new Set();
for (const file of fs.readdirSync(samples).filter((name) => name.endsWith(".html"))) {
  letters += 1;
  const html = fs.readFileSync(path.join(samples, file), "utf8");
  const wrong = new Set();
  for (const error of doIUseEmail(html, { emailClients: READERS }).errors ?? []) {
    const [, what, reader] = /^`(.*)` is not supported by `(.*)`$/.exec(error) ?? [error, error, "?"];
    const feature = what.replace(/^<(.*)> element$/, "$1");
    used.add(feature);
    if (!Object.hasOwn(LEFT_WITHOUT, feature)) wrong.add(`${feature} (${reader})`);
  }
  if (wrong.size) {
    failed += 1;
    console.log(`${file}: ${[...wrong].join(", ")}`);
  }
}
for (const feature of Object.keys(LEFT_WITHOUT)) {
  if (!used.has(feature)) {
    failed += 1;
    console.log(`the letters have no ${feature}, or every reader knows it: take it off the list`);
  }
}
if (letters < 10) {
  failed += 1;
  console.log(`only ${letters} letters in ${samples}`);
}
console.log(`${letters} letters, as ${READERS.join(", ")} know HTML and CSS: ${failed} wrong`);
process.exit(failed ? 1 : 0);
