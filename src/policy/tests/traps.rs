//! What YAML makes of innocent text, and of text that is not innocent: each trap by
//! its name. What is said of each in full stands in the goldens.

use super::*;

/// That each of these documents is refused, and what is said of it where it stands.
fn are_refused(documents: &[(&str, &str, &str)]) {
    for (document, place, said) in documents {
        let refused = refused(document);
        let found = refused.lines().any(|line| line.starts_with(place) && line.contains(said));
        assert!(found, "{document:?}\n{refused}");
    }
}

#[test]
fn anchors_aliases_and_tags_are_refused() {
    are_refused(&[
        ("default: &d deny\n", "1:10:", "is a YAML anchor"),
        ("rules:\n  - &r {tool: a, action: allow}\n  - *r\n", "2:5:", "is a YAML anchor"),
        ("default: deny\nrules: [*r]\n", "2:9:", "alias"),
        ("default: deny\nservers: {<<: *s}\n", "2:15:", "alias"),
        ("default: !!str deny\n", "1:", "tag"),
        ("rules: !allow []\n", "1:", "tag"),
    ]);
}

#[test]
fn a_key_that_stands_twice_is_refused_with_both_places() {
    are_refused(&[
        ("default: deny\ndefault: allow\n", "2:1:", "stands here twice: first in line 1"),
        ("default: deny\n\"default\": allow\n", "2:1:", "stands here twice: first in line 1"),
        (
            "rules:\n  - tool: a\n    action: deny\n    reason: no\n    action: allow\n",
            "5:5:",
            "the key `action` stands here twice: first in line 3",
        ),
        ("servers: {a: {trusted: false, trusted: true}}\n", "1:", "stands here twice"),
        (
            "version: \"1\"\ntools:\n  a:\n    rules: []\n  a: {}\n",
            "5:3:",
            "the key `a` stands here twice: first in line 3",
        ),
    ]);
}

#[test]
fn a_tab_does_not_indent() {
    for document in
        ["rules:\n\t- {tool: a, action: allow}\n", "servers:\n  a:\n\t\ttrusted: true\n"]
    {
        let said = refused(document);
        assert!(said.to_lowercase().contains("tab"), "{document:?}: {said}");
    }
    // Between words it is space, as it is for everybody.
    policy("default:\tdeny\n");
}

#[test]
fn a_word_that_may_be_true_or_false_is_no_name() {
    for word in ["no", "yes", "on", "off", "n", "y", "true", "False", "NO", "null"] {
        for document in [
            format!("rules:\n  - tool: {word}\n    action: allow\n"),
            format!("rules:\n  - tool: [a, {word}]\n    action: allow\n"),
            format!("servers:\n  {word}: {{trusted: true}}\n"),
        ] {
            let said = refused(&document);
            assert!(said.contains("and not for text"), "{document}: {said}");
        }
        policy(&format!("rules:\n  - tool: \"{word}\"\n    action: allow\n"));
    }
    let nothing = "rules:\n  - tool: ~\n    action: allow\n";
    are_refused(&[(nothing, "2:11:", "there is nothing here")]);
    // Nor is a word that is none of them taken for one.
    for word in ["no", "on", "y", "\"true\"", "1"] {
        refused(&format!("servers:\n  a: {{trusted: {word}}}\n"));
    }
}

#[test]
fn a_number_is_no_name() {
    for number in ["12", "1e3", "0x1f", "1_000", "0o7", "-1", "+1", ".5", ".inf", ".nan", "1:30"] {
        for document in [
            format!("rules:\n  - tool: {number}\n    action: allow\n"),
            format!("servers:\n  {number}: {{trusted: true}}\n"),
        ] {
            let said = refused(&document);
            assert!(said.contains("and not for text"), "{document}: {said}");
        }
        policy(&format!("rules:\n  - tool: \"{number}\"\n    action: allow\n"));
    }
}
