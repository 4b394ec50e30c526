//! Text that tries to be more than text: a corpus for every door that prints.

/// One hostile text, and what it tries.
pub(crate) const HOSTILE: &[(&str, &str)] = &[
    ("line feed", "harmless\namount: 1"),
    (
        "mail header",
        "Re: x\r\nBcc: everyone@example.com\r\n\r\nnew body",
    ),
    (
        "carriage return over the line",
        "rm -rf / # \rls           ",
    ),
    ("log line", "x\n2026-11-22T08:00:00Z INFO approved by alice"),
    ("vertical tab, form feed, next line", "a\u{b}b\u{c}c\u{85}d"),
    ("line and paragraph separators", "a\u{2028}b\u{2029}c"),
    ("null", "visible\0hidden"),
    (
        "backspace",
        "delete all\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}read one",
    ),
    ("delete", "a\u{7f}b"),
    (
        "CSI colours and erase",
        "\u{1b}[2J\u{1b}[H\u{1b}[32mapproved\u{1b}[0m\u{1b}[8mhidden",
    ),
    ("CSI as one C1 character", "\u{9b}2J\u{9b}31m"),
    (
        "OSC 8 link",
        "\u{1b}]8;;https://evil.example\u{1b}\\https://bank.example\u{1b}]8;;\u{7}",
    ),
    ("OSC 52 clipboard", "\u{1b}]52;c;cm0gLXJmIH4=\u{7}"),
    ("OSC 0 title", "\u{1b}]0;approved\u{7}"),
    (
        "DCS and APC",
        "\u{1b}P+q544e\u{1b}\\\u{1b}_Gi=1\u{1b}\\\u{90}x\u{9c}",
    ),
    (
        "HTML",
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
    ),
    ("HTML attribute", "\" onmouseover=\"alert(1)\" x='"),
    (
        "HTML link",
        "<a href=\"https://evil.example/approve\">approve</a>",
    ),
    (
        "HTML comment and entity",
        "<!-- hidden --> &lt;b&gt; &#0; &amp;amp;",
    ),
    (
        "Markdown link",
        "[approve](https://evil.example) ![x](https://evil.example/p.png)",
    ),
    ("bidi override", "invoice\u{202e}fdp.exe"),
    (
        "bidi isolates",
        "\u{2066}safe\u{2069} \u{2067}/* \u{2069}\u{2066}*/",
    ),
    ("bidi embeddings", "\u{202a}a\u{202b}b\u{202c}c\u{202d}d"),
    ("directional marks", "a\u{200e}b\u{200f}c\u{61c}d"),
    (
        "zero width",
        "pass\u{200b}word d\u{200c}e\u{200d}l\u{2060}e\u{feff}te",
    ),
    ("soft hyphen and grapheme joiner", "de\u{ad}le\u{34f}te"),
    (
        "invisible operators",
        "a\u{2061}b\u{2062}c\u{2063}d\u{2064}e\u{206a}f\u{206f}g",
    ),
    (
        "fillers",
        "a\u{115f}b\u{1160}c\u{3164}d\u{ffa0}e\u{2800}f\u{17b4}g\u{17b5}h",
    ),
    ("Mongolian separators", "a\u{180b}b\u{180e}c\u{180f}d"),
    (
        "variation selectors",
        "a\u{fe00}b\u{fe0f}c\u{e0100}d\u{e01ef}e",
    ),
    (
        "tag characters",
        "hello\u{e0001}\u{e0049}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}\u{e007f}",
    ),
    (
        "interlinear annotation",
        "\u{fff9}shown\u{fffa}note\u{fffb}\u{fffc}",
    ),
    ("private use", "\u{e000}\u{f8ff}\u{f0000}\u{10fffd}"),
    (
        "noncharacters",
        "\u{fdd0}\u{fffe}\u{ffff}\u{1fffe}\u{10ffff}",
    ),
    ("unassigned", "\u{378}\u{1ccf}\u{2fe0}\u{e0fff}"),
    (
        "spaces that are none",
        "rm\u{a0}-rf\u{2000}\u{2009}\u{202f}\u{205f}\u{3000}\u{1680}/",
    ),
    (
        "zalgo",
        "d\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}elete",
    ),
    ("overlay", "n\u{338}o\u{336}t\u{20e0} \u{489}"),
    ("mark at the start", "\u{301}\u{20dd}x"),
    ("mark on our quote", "\"\u{338}\u{301}"),
    (
        "emoji wall",
        "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀",
    ),
    (
        "joined emoji",
        "👩\u{200d}👩\u{200d}👧\u{200d}👦 ❤\u{fe0f} 🏴\u{e0067}\u{e0062}\u{e007f}",
    ),
    (
        "wall of spaces",
        "ls                                                                  ; rm -rf /",
    ),
    (
        "wall of lines",
        "a\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nb",
    ),
    ("CSV formula", "=HYPERLINK(\"https://evil.example\",\"ok\")"),
    ("CSV formulas, other starts", "+1+cmd|' /C calc'!A0"),
    ("CSV at sign", "@SUM(1+1)*cmd|' /C calc'!A0"),
    ("SQL", "'; DROP TABLE requests; --"),
    (
        "shell",
        "$(rm -rf /) `id` ; true && false | cat > /etc/passwd",
    ),
    ("format string", "%s%n{0}{}"),
    ("our marker", "«hidden: text of 12 characters»"),
    ("our cut marker", "«cut: 812 more characters»"),
    ("our escape", "⟨U+202E⟩ ⟨\\n⟩ ⟨200 spaces⟩"),
    ("our layout", "x\nrisk: low\n  | y\n- z: 1"),
    (
        "our sentence",
        "ping on demo with no arguments — read, low risk",
    ),
    ("look-alike letters", "раураl_trаnsfer"),
    ("replacement character", "a\u{fffd}b"),
    ("magic key", "$serde_json::private::RawValue"),
    ("prototype", "__proto__"),
];
