//! Invariant 7: text from an agent is only text.

use proptest::prelude::*;

use super::*;
use crate::call::hostile::HOSTILE;

fn line(s: &str) -> String {
    SafeText::line(s).to_string()
}

fn block(s: &str) -> String {
    SafeText::block(s).to_string()
}

/// Written apart from the table, by what the characters are called.
fn dangerous(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(u32::from(c),
            0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164
            | 0xE000..=0xF8FF | 0xFDD0..=0xFDEF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0
            | 0xFFF0..=0xFFFC | 0xE0000..=0x10FFFF)
        || u32::from(c) & 0xFFFE == 0xFFFE
}

/// The longest run of characters that take no room of their own.
fn longest_pile(s: &str) -> usize {
    let piles = s.split(|c: char| c.width() != Some(0));
    piles.map(|pile| pile.chars().count()).max().unwrap_or(0)
}

#[test]
fn text_from_an_agent_is_only_text() {
    for (what, text) in HOSTILE {
        let shown = line(text);
        assert!(!shown.contains(dangerous), "{what}: {shown:?}");
        assert!(longest_pile(&shown) <= MAX_MARKS, "{what}: {shown:?}");
        let shown = block(text);
        assert!(!shown.contains(|c| c != '\n' && dangerous(c)), "{what}: {shown:?}");
        let html = SafeText::line(text).html();
        assert!(!html.contains(['<', '>', '"', '\'']), "{what}: {html}");
    }
}

#[test]
fn every_dangerous_character_is_shown_as_its_code() {
    for code in 0..=0x10FFFF {
        let Some(c) = char::from_u32(code).filter(|c| dangerous(*c)) else {
            continue;
        };
        let shown = line(&format!("a{c}b"));
        let expected = match c {
            '\n' => "a⟨\\n⟩b".to_owned(),
            '\r' => "a⟨\\r⟩b".to_owned(),
            '\t' => "a⟨\\t⟩b".to_owned(),
            _ => format!("a⟨U+{code:04X}⟩b"),
        };
        assert_eq!(shown, expected);
    }
}

#[test]
fn ordinary_text_of_all_scripts_is_left_alone() {
    for text in [
        "",
        "plain",
        "a  b",
        "naïve café",
        "cafe\u{301}",
        "Grüße, 你好, こんにちは, 안녕하세요, Привет",
        "שָׁלוֹם",
        "مرحبا",
        "नमस्ते",
        "ไม่มีน้ำ",
        "😀 ✓ → € ± “quoted” «x» …",
        "x\\n",
        "{\"a\":1}",
        "\u{fffd}",
        "\u{1112}\u{1161}\u{11ab}",
    ] {
        assert_eq!(line(text), text);
        assert_eq!(block(text), text);
        assert!(!SafeText::line(text).changed(text));
    }
}

#[test]
fn escapes_cannot_be_forged() {
    assert_eq!(line("⟨U+202E⟩"), "⟨U+27E8⟩U+202E⟩");
    assert_eq!(line("⟨\\n⟩"), "⟨U+27E8⟩\\n⟩");
    assert_ne!(line("\u{202e}"), line("⟨U+202E⟩"));
    assert!(SafeText::line("⟨").changed("⟨"));
}

#[test]
fn line_ends_are_seen_on_a_line_and_kept_in_a_block() {
    assert_eq!(line("a\r\nb\tc\rd"), "a⟨\\r⟩⟨\\n⟩b⟨\\t⟩c⟨\\r⟩d");
    assert_eq!(block("a\r\nb\tc\rd\n"), "a\nb    c⟨\\r⟩d\n");
    assert_eq!(block("\r\r\n"), "⟨\\r⟩\n");
}

#[test]
fn walls_of_space_are_counted() {
    let wall = " ".repeat(200);
    assert_eq!(line(&format!("ls{wall}; rm")), "ls⟨200 spaces⟩; rm");
    assert_eq!(line(&" ".repeat(40)), " ".repeat(40));
    assert_eq!(block(&format!("a{}b", "\n".repeat(58))), "a\n⟨57 blank lines⟩\nb");
    assert_eq!(block("a\n\n\n\nb"), "a\n\n\n\nb");
}

#[test]
fn marks_stand_on_letters_and_are_few() {
    let marks = "\u{300}\u{301}\u{302}\u{303}";
    assert_eq!(line(&format!("a{marks}b")), format!("a{marks}b"));
    assert_eq!(line(&format!("a{marks}\u{304}\u{305}b")), format!("a{marks}⟨U+0304⟩⟨U+0305⟩b"));
    assert_eq!(line("\u{301}a"), "⟨U+0301⟩a");
    assert_eq!(line("\"\u{301}"), "\"⟨U+0301⟩");
    assert_eq!(line("\u{202e}\u{301}"), "⟨U+202E⟩⟨U+0301⟩");
    assert_eq!(line("no\u{338}t"), "no⟨U+0338⟩t");
    assert_eq!(line("a\u{20dd}"), "a⟨U+20DD⟩");
}

#[test]
fn a_cut_fits_its_columns_and_counts_what_is_gone() {
    let cut = |s: &str, n| {
        let (text, rest) = SafeText::cut_line(s, n);
        (text.to_string(), rest)
    };
    assert_eq!(cut("hello", 5), ("hello".into(), 0));
    assert_eq!(cut("hello", 4), ("hell".into(), 1));
    assert_eq!(cut("日本語", 5), ("日本".into(), 1));
    assert_eq!(cut("a\u{202e}b", 8), ("a".into(), 2));
    assert_eq!(cut("a\u{202e}b", 9), ("a⟨U+202E⟩".into(), 1));
    assert_eq!(cut("ae\u{301}", 1), ("a".into(), 2));
    assert_eq!(cut("ae\u{301}x", 2), ("ae\u{301}".into(), 1));
    assert_eq!(cut("x", 0), (String::new(), 1));
}

#[test]
fn html_is_escaped() {
    assert_eq!(
        SafeText::line("<a b=\"c\" d='e'>&amp;").html(),
        "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;amp;"
    );
}

#[test]
fn names_that_are_not_what_they_look_like_are_noticed() {
    assert_eq!(name_notice("delete_user"), None);
    assert_eq!(name_notice("dеlete_user"), Some("name has non-ASCII characters"));
    assert_eq!(name_notice("delete\u{200b}_user"), Some("name has hidden characters"));
    assert_eq!(name_notice("a\nb"), Some("name has hidden characters"));
}

#[test]
fn safe_texts_are_joined_without_escaping_twice() {
    let (a, b) = (SafeText::line("a\n"), SafeText::line("b"));
    let joined = SafeText::join([&a, &b], ", ");
    assert_eq!(joined.as_str(), "a⟨\\n⟩, b");
    assert_eq!(joined.columns(), 8);
    assert_eq!(format!("[{:>4}]", b), "[   b]");
}

/// Text with many of the characters that matter.
fn any_text() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        any::<char>(),
        prop::sample::select(HOSTILE.iter().flat_map(|(_, s)| s.chars()).collect::<Vec<_>>()),
        prop::char::range('\u{300}', '\u{36f}'),
        Just(' '),
        Just('\n'),
        prop::char::range('a', 'z'),
    ];
    prop::collection::vec(c, 0..40).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn nothing_dangerous_is_ever_shown(text in any_text()) {
        let shown = line(&text);
        prop_assert!(!shown.contains(dangerous), "{:?}", shown);
        prop_assert!(longest_pile(&shown) <= MAX_MARKS);
        let shown = block(&text);
        prop_assert!(!shown.contains(|c| c != '\n' && dangerous(c)), "{:?}", shown);
        prop_assert!(!shown.contains("\n\n\n\n\n"));
    }

    #[test]
    fn different_texts_look_different(a in any_text(), b in any_text()) {
        prop_assert_eq!(line(&a) == line(&b), a == b);
    }

    #[test]
    fn a_cut_is_a_start_and_within_its_columns(text in any_text(), columns in 0usize..60) {
        let (cut, rest) = SafeText::cut_line(&text, columns);
        prop_assert!(cut.columns() <= columns);
        prop_assert!(line(&text).starts_with(cut.as_str()));
        let kept: String = text.chars().take(text.chars().count() - rest).collect();
        prop_assert_eq!(line(&kept), cut.to_string());
    }
}

#[test]
fn pieces_are_the_text_and_part_no_letter_from_its_marks() {
    for text in [
        "",
        "abc",
        &"x".repeat(50),
        &"e\u{301}".repeat(30),
        &"漢".repeat(30),
        &"a\u{202e}".repeat(20),
    ] {
        let text = SafeText::line(text);
        for bytes in [7, 20, 1000] {
            let pieces = text.pieces(bytes);
            assert_eq!(SafeText::join(&pieces, ""), text, "{bytes}");
            assert!(!pieces.iter().any(|p| p.as_str().starts_with('\u{301}')), "{text} {bytes}");
        }
        let pieces = text.pieces(40);
        assert!(pieces.iter().all(|piece| piece.as_str().len() <= 40), "{pieces:?}");
        assert!(
            pieces
                .iter()
                .all(|p| p.as_str().matches('⟨').count() == p.as_str().matches('⟩').count())
        );
    }
}
