//! Which characters a reader cannot see, or should not.

use unicode_width::UnicodeWidthChar;

/// Characters that show nothing, or change how their neighbours show. Written
/// out (from Unicode's `Default_Ignorable_Code_Point`, `Bidi_Control` and the
/// general categories), because this list is what invariant 7 rests on and must
/// not change with a library.
const HIDDEN: &[(u32, u32)] = &[
    (0x0000, 0x001F),    // C0 controls, ESC among them
    (0x007F, 0x00A0),    // DEL, C1 controls (0x9B starts an escape), no-break space
    (0x00AD, 0x00AD),    // soft hyphen
    (0x034F, 0x034F),    // combining grapheme joiner
    (0x0600, 0x0605),    // Arabic signs that enclose what follows
    (0x061C, 0x061C),    // Arabic letter mark
    (0x06DD, 0x06DD),    // Arabic end of ayah
    (0x070F, 0x070F),    // Syriac abbreviation mark
    (0x08E2, 0x08E2),    // Arabic disputed end of ayah
    (0x115F, 0x1160),    // Hangul fillers
    (0x1680, 0x1680),    // Ogham space
    (0x17B4, 0x17B5),    // Khmer inherent vowels
    (0x180B, 0x180F),    // Mongolian variation selectors
    (0x2000, 0x200F),    // spaces, zero width, directional marks
    (0x2028, 0x202F),    // line and paragraph separators, bidi embeddings, narrow space
    (0x205F, 0x206F),    // word joiner, invisible operators, bidi isolates
    (0x2800, 0x2800),    // blank Braille pattern
    (0x3000, 0x3000),    // ideographic space
    (0x3164, 0x3164),    // Hangul filler
    (0xD800, 0xF8FF),    // (surrogates), private use
    (0xFDD0, 0xFDEF),    // noncharacters
    (0xFE00, 0xFE0F),    // variation selectors
    (0xFEFF, 0xFEFF),    // zero width no-break space
    (0xFFA0, 0xFFA0),    // half-width Hangul filler
    (0xFFF0, 0xFFFC),    // unassigned, interlinear annotations, object replacement
    (0x110BD, 0x110BD),  // Kaithi number sign
    (0x110CD, 0x110CD),  // Kaithi number sign above
    (0x13430, 0x1345F),  // Egyptian hieroglyph format controls
    (0x16FE4, 0x16FE4),  // Khitan filler
    (0x1BCA0, 0x1BCA3),  // shorthand format controls
    (0x1D159, 0x1D159),  // musical null notehead
    (0x1D173, 0x1D17A),  // musical format controls
    (0xE0000, 0x10FFFF), // tags, variation selectors, private use
];

/// Marks that strike through or enclose what they stand on.
const COVERING: &[(u32, u32)] = &[
    (0x0334, 0x0338),
    (0x0488, 0x0489),
    (0x1ABE, 0x1ABE),
    (0x20D2, 0x20D3),
    (0x20D8, 0x20DA),
    (0x20DD, 0x20E0),
    (0x20E2, 0x20E6),
    (0x20EA, 0x20EB),
    (0xA670, 0xA672),
];

/// Whether `c` must not be shown as it is.
pub(crate) fn is_hidden(c: char) -> bool {
    match c {
        ' '..='~' => false,
        c if within(HIDDEN, c) => true,
        c if c.is_alphanumeric() => false,
        c => has_no_glyph(c),
    }
}

/// Whether `c` draws on the character before it.
pub(super) fn is_mark(c: char) -> bool {
    !c.is_ascii() && c.width() == Some(0) && !is_hidden(c)
}

/// Whether the mark `c` hides what it draws on.
pub(super) fn covers_its_base(c: char) -> bool {
    within(COVERING, c)
}

fn within(table: &[(u32, u32)], c: char) -> bool {
    let c = u32::from(c);
    let after = table.partition_point(|&(first, _)| first <= c);
    after > 0 && c <= table[after - 1].1
}

/// Whether `c` is unassigned. The standard library knows: its debug form of a
/// string escapes what cannot be printed. (That form also escapes a mark at the
/// start of a string, so `c` comes second.) A supplement: what is dangerous is
/// in the table.
fn has_no_glyph(c: char) -> bool {
    let pair: String = ['a', c].iter().collect();
    pair.escape_debug().nth(1) == Some('\\')
}
