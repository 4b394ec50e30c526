//! Tables: fitted to the terminal for people, one tab-separated line per row
//! for programs.
//!
//! Fitting, when the rows are too wide: columns that may shrink give way, the
//! widest first, each down to its least width; if that is not enough, the least
//! important columns are left out. A line never wraps.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::Tone;

/// What a column is and how it gives way.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// 0 is never left out; the highest number goes first.
    pub rank: u8,
    /// It may shrink to this; `usize::MAX`: it may not shrink.
    pub least: usize,
}

/// A column that keeps its width or goes.
pub const fn fixed(title: &'static str, rank: u8) -> Column {
    Column { title, rank, least: usize::MAX }
}

/// A column that may be cut down to `least`.
pub const fn flexible(title: &'static str, rank: u8, least: usize) -> Column {
    Column { title, rank, least }
}

/// One cell: text that is safe to print, and how it is meant.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// A cell in the usual tone.
pub fn cell(text: impl Into<String>) -> Cell {
    toned(text, Tone::Plain)
}

/// A cell in another tone.
pub fn toned(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

/// Between columns.
const GAP: usize = 2;

/// The table for a terminal of `width` columns, with headings.
pub fn fitted(columns: &[Column], rows: &[Vec<Cell>], width: usize, colour: bool) -> String {
    let widths = widths(columns, rows, width);
    let last = widths.iter().rposition(Option::is_some);
    let mut out = String::new();
    let heading: Vec<Cell> = columns.iter().map(|c| toned(c.title, Tone::Strong)).collect();
    for row in std::iter::once(&heading).chain(rows) {
        for (position, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let Some(width) = *width else { continue };
            let text = cut(&cell.text, width);
            out.push_str(&cell.tone.paint(&text, colour));
            if Some(position) != last {
                let padding = width.saturating_sub(text.width()) + GAP;
                out.extend(std::iter::repeat_n(' ', padding));
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
    out
}

/// The width of each column; `None`: it is left out.
fn widths(columns: &[Column], rows: &[Vec<Cell>], width: usize) -> Vec<Option<usize>> {
    let natural = |position: usize| {
        let cells = rows.iter().filter_map(|row| row.get(position)).map(|cell| cell.text.width());
        cells.chain([columns[position].title.width()]).max().unwrap_or(0)
    };
    let mut widths: Vec<Option<usize>> = (0..columns.len()).map(|i| Some(natural(i))).collect();
    loop {
        let shown = widths.iter().flatten();
        let total = shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1);
        let Some(excess) = total.checked_sub(width).filter(|excess| *excess > 0) else {
            return widths;
        };
        let least = |i: usize| columns[i].least.max(columns[i].title.width());
        let spare =
            |i: usize, width: Option<usize>| width.map_or(0, |w| w.saturating_sub(least(i)));
        let all_spare: usize = widths.iter().enumerate().map(|(i, w)| spare(i, *w)).sum();
        let droppable = (0..columns.len()).filter(|i| widths[*i].is_some() && columns[*i].rank > 0);
        if all_spare < excess
            && let Some(goes) = droppable.max_by_key(|i| columns[*i].rank)
        {
            widths[goes] = None;
            continue;
        }
        let widest = (0..columns.len()).filter(|i| spare(*i, widths[*i]) > 0);
        let Some(widest) = widest.max_by_key(|i| widths[*i]) else {
            return widths;
        };
        widths[widest] = widths[widest].map(|w| w - 1);
    }
}

/// `text` in at most `width` columns, with `…` where something was cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// A row for programs: cells in order, with tabs between them. Cells are safe
/// text, which holds no tab and no line end.
pub fn plain(row: &[String]) -> String {
    row.join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [fixed("ID", 0), flexible("CALL", 0, 8), fixed("RISK", 1)];

    fn row(call: &str) -> Vec<Cell> {
        vec![cell("2b4d5e6f"), cell(call), cell("critical")]
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let rows = [row("delete_everything_there_is on production"), row("読み込む on 資料")];
        for width in 18..90 {
            for line in fitted(&COLUMNS, &rows, width, false).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn the_important_columns_stay_and_what_is_cut_is_marked() {
        let text = fitted(&COLUMNS, &[row("delete_everything on production")], 18, false);
        assert_eq!(text, "ID        CALL\n2b4d5e6f  delete_…\n");
        let text = fitted(&COLUMNS, &[row("ls on fs")], 80, false);
        assert_eq!(text, "ID        CALL      RISK\n2b4d5e6f  ls on fs  critical\n");
    }

    #[test]
    fn wide_characters_are_cut_by_columns_not_by_count() {
        assert_eq!(cut("資料資料", 5), "資料…");
        assert_eq!(cut("資料", 4), "資料");
    }
}
