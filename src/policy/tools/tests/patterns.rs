//! Patterns mean what they mean in Go, where the engine here would read them
//! differently.

use proptest::prelude::*;

use super::super::pattern::{Pattern, Patterns, translated};
use crate::policy::problem::{Place, Problems};

const PLACE: Place = Place { line: 1, column: 1 };

fn compile(pattern: &str) -> Result<Pattern, String> {
    let mut problems = Problems::default();
    let compiled = Patterns::default().compile(pattern, PLACE, &mut problems);
    problems.finish(compiled).map_err(|error| error.to_string())
}

#[track_caller]
fn finds(pattern: &str, yes: &[&str], no: &[&str]) {
    let regex = compile(pattern).unwrap_or_else(|error| panic!("{error}"));
    for text in yes {
        assert!(regex.is_found(text), "{pattern} does not match {text:?}");
    }
    for text in no {
        assert!(!regex.is_found(text), "{pattern} matches {text:?}");
    }
}

#[test]
fn classes_and_boundaries_know_ascii_only() {
    finds(r"^\d+$", &["12"], &["١٢", "1a"]);
    finds(r"^\D$", &["١", "a", "\n"], &["1"]);
    finds(r"^\w+$", &["aZ_9"], &["ä", "a-"]);
    finds(r"^\W$", &["ä", "-"], &["a"]);
    finds(r"^\s$", &[" ", "\t", "\r"], &["\x0B", "\u{a0}"]);
    finds(r"^[\S]$", &["\x0B", "\u{a0}", "a"], &[" "]);
    finds(r"^[[:space:]]$", &["\x0B", " "], &["\u{a0}"]);
    finds(r"\bx\b", &["x", "äxä", "-x"], &["axb", "_x"]);
    finds(r"^a\Bb$", &["ab"], &["a b"]);
    finds(r"^[\d.-]+$", &["1.2-3"], &["a"]);
    // Folding does reach beyond ASCII, as in Go.
    finds(r"(?i)^\w$", &["\u{17f}", "\u{212a}", "K"], &["ä"]);
    finds(r"(?i)^STRASSE$", &["strasse", "\u{17f}traSSe"], &["straße"]);
}

#[test]
fn what_looks_special_here_is_plain_in_go() {
    finds(r"^\<b\>$", &["<b>"], &["b"]);
    finds(r"^[a&&b]+$", &["a&b", "&"], &["c"]);
    finds(r"^[a-c--b~~]+$", &["b-~"], &["d"]);
    finds(r"^[[a]+$", &["[a["], &["b"]);
    finds(r"^[]a]+$", &["]a"], &["b"]);
    finds(r"^[^]a]+$", &["b\n"], &["]", "a"]);
    finds(r"^a{,5}$", &["a{,5}"], &["aa", ""]);
    finds(r"^{x}$", &["{x}"], &["x"]);
    finds(r"^a{01}$", &["a{01}"], &["a"]);
    finds(r"\b{start}", &["a{start}"], &["start"]);
    finds(r"^a b#c$", &["a b#c"], &["ab"]);
    finds(r"^\_\-\/\@$", &["_-/@"], &[""]);
    finds(r"^\Qa.b*\E+$", &["a.b*", "a.b**"], &["axb"]);
    finds(r"^\Q(", &["(x"], &["x"]);
    finds(r"^[\x41-\x{43}\101]$", &["A", "B", "C"], &["D"]);
    finds(r"^\x41\07\012$", &["A\x07\n"], &["A7"]);
    finds(r"^(?P<1a>x)(?<b>y)$", &["xy"], &["x"]);
    finds(r"^(?)(?:a)(?i-s:B.)$", &["abx"], &["ab\n"]);
}

#[test]
fn the_common_part_is_what_it_always_was() {
    finds(r"^[^@]+@[^@]+\.[^@]+$", &["a@b.c"], &["a@b"]);
    finds(r"^feat/", &["feat/x"], &["x/feat/"]);
    finds(r"a{2,3}?b{2,}c{2}", &["aabbcc"], &["abbcc"]);
    finds(r"(?s)a.b", &["a\nb"], &["ab"]);
    finds(r"a.b", &["aäb"], &["a\nb"]);
    finds(r"(?m)^b$", &["a\nb\nc"], &["ab"]);
    finds(r"^b$", &["b"], &["b\n", "a\nb"]);
    finds(r"\Ab\z", &["b"], &["b\n"]);
    finds(r"^\p{Greek}\pL\P{Lu}\p{^Lu}[\p{Nd}]$", &["αaaa1", "αäa٣١"], &["aaaa1", "αaAa1"]);
    finds(r"", &["", "x"], &[]);
    finds(r"^(|a|b)*$", &["", "abab"], &["c"]);
}

#[test]
fn what_go_refuses_is_refused() {
    for pattern in [
        "a**",
        "a*+",
        "a++",
        "a{2}{3}",
        "a{2}*",
        "*a",
        "(*a)",
        "a|*",
        "(",
        ")",
        "[",
        "[a",
        "[]",
        "[b-a]",
        "a{1001}",
        "a{3,2}",
        "\\",
        "\\1",
        "\\8",
        "\\C",
        "\\Z",
        "\\E",
        "\\y",
        "\\ä",
        "\\x",
        "\\x4",
        "\\x{}",
        "\\x{110000}",
        "[\\b]",
        "[\\z]",
        "[[:foo:]]",
        "\\p{greek=x}",
        "\\p{Nope}",
        "\\p{",
        "\\p",
        "(?x)a",
        "(?u)a",
        "(?-u)a",
        "(?R)a",
        "(?i-)a",
        "(?<n>a)(?<n>b)",
        "(?P<>a)",
        "(?P<a-b>a)",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?>a)",
        "(?P=n)",
        "(?#c)",
    ] {
        let error = compile(pattern).expect_err(pattern);
        assert!(error.contains("invalid regex"), "{pattern}: {error}");
    }
}

#[test]
fn a_document_of_large_patterns_stays_within_bounds() {
    let (mut patterns, mut problems) = (Patterns::default(), Problems::default());
    let compiled = (0..2_000)
        .map_while(|n| patterns.compile(&format!("x{{200}}{n}"), PLACE, &mut problems))
        .count();
    assert_eq!(compiled, 2_000);
    let compiled = (0..200)
        .map_while(|n| patterns.compile(&format!("\\pL{{40}}{n}"), PLACE, &mut problems))
        .count();
    assert!(compiled < 200, "{compiled}");
    let error = problems.finish(Some(())).expect_err("too many").to_string();
    assert!(error.contains("all patterns together are too large"), "{error}");
}

#[test]
fn no_text_makes_a_pattern_run_for_ever() {
    let text = "a".repeat(100_000);
    let begun = std::time::Instant::now();
    for pattern in ["(a*)*b", "(a|a)*b", "(a|aa)+$b", "(.*)(.*)(.*)[^a]", "(?:a?){100}b"] {
        finds(pattern, &[], &[&text]);
    }
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

proptest! {
    /// What is written anew is a pattern, or was none before; and plain text, quoted
    /// in either way, finds itself and nothing shorter.
    #[test]
    fn any_text_is_a_pattern_or_refused(pattern in r"[\\a\[\](){}^$.|?*+\-&:,<>01QEpPxbdwDzU!=ä]{0,12}") {
        let _ = compile(&pattern);
    }

    #[test]
    fn plain_text_finds_itself(text in "\\PC{1,12}") {
        prop_assume!(!text.contains("\\E"));
        let quoted = format!("^\\Q{text}\\E$");
        let escaped: String = text
            .chars()
            .map(|c| if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() })
            .collect();
        for pattern in [quoted, format!("^{escaped}$")] {
            prop_assert!(translated(&pattern).is_ok());
            let regex = compile(&pattern).map_err(TestCaseError::fail)?;
            prop_assert!(regex.is_found(&text));
            let shorter: String = text.chars().skip(1).collect();
            prop_assert!(!regex.is_found(&shorter));
        }
    }

    /// A class has just the members that are written in it.
    #[test]
    fn a_class_has_its_members(members in prop::collection::vec(any::<char>(), 1..6), other in any::<char>()) {
        let class: String = members
            .iter()
            .map(|c| if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() })
            .collect();
        let regex = compile(&format!("^[{class}]$")).map_err(TestCaseError::fail)?;
        for member in &members {
            prop_assert!(regex.is_found(&member.to_string()));
        }
        prop_assert_eq!(regex.is_found(&other.to_string()), members.contains(&other));
    }
}
