//! Lines of bounded length from a stream, without trusting whoever writes them.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much of a line that is too long is kept: enough to see whose answer it is.
const HEAD: usize = 4096;
/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// Lines up to this length are copied out of what was read.
const COPIED: usize = CHUNK / 4;
/// A line of which so much has come gets all the room that it may ever need at once.
/// Room that nothing was written to takes no memory; to double it, again and again, is
/// to have the line twice, and room for a third.
const LONG: usize = 1024 * 1024;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// All of it.
    Whole(Bytes),
    /// It is longer than allowed: how it begins. The rest was read and dropped.
    TooLong(Bytes),
}

/// Reads lines.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    buffer: BytesMut,
    longest: usize,
    /// Up to here there is no line end in the buffer.
    seen: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most so many bytes.
    pub fn new(from: R, longest: usize) -> Self {
        Lines { from, buffer: BytesMut::new(), longest, seen: 0 }
    }

    /// The next line; `None` at the end. What follows the last line end counts as
    /// a line too. May be dropped and called again without losing anything.
    ///
    /// # Errors
    /// The stream's.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let end = self.buffer[self.seen..].iter().position(|&b| b == b'\n');
            if let Some(end) = end.map(|n| n + self.seen) {
                self.seen = 0;
                if end <= COPIED.min(self.longest) {
                    // A slice would keep all that was read with it in memory for as
                    // long as its call is held, and the next read would need new room.
                    let line = Bytes::copy_from_slice(&self.buffer[..end]);
                    self.buffer.advance(end + 1);
                    return Ok(Some(Line::Whole(line)));
                }
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(end);
                if line.len() > self.longest {
                    line.truncate(HEAD);
                    return Ok(Some(Line::TooLong(line.freeze())));
                }
                return Ok(Some(Line::Whole(line.freeze())));
            }
            self.seen = self.buffer.len();
            if self.buffer.len() > self.longest {
                // From here on only its head is kept, marked by its length.
                self.buffer.truncate(self.longest + 1);
                self.seen = self.buffer.len();
                if !self.skip().await? {
                    return Ok(None);
                }
                continue;
            }
            let len = self.buffer.len();
            // And for a look at what follows the longest, and one byte too many.
            let all = self.longest.saturating_sub(len) + 1 + CHUNK;
            let room = if len > LONG { all } else { CHUNK };
            self.buffer.reserve(room);
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                self.seen = 0;
                let rest = self.buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some(Line::Whole(rest)));
            }
        }
    }

    /// Reads on until the line end, keeping what follows it. False at the end.
    async fn skip(&mut self) -> io::Result<bool> {
        let head = self.buffer.len();
        loop {
            self.buffer.reserve(CHUNK);
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
            match self.buffer[head..].iter().position(|&b| b == b'\n') {
                None => self.buffer.truncate(head),
                Some(end) => {
                    // The head and the line end meet.
                    let rest = self.buffer.split_off(head + end);
                    self.buffer.truncate(head);
                    self.buffer.unsplit(rest);
                    return Ok(true);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &[u8], longest: usize) -> Vec<Line> {
        let mut lines = Lines::new(text, longest);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.expect("read") {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn lines_are_read_whole_and_the_last_needs_no_end() {
        let whole = |text: &'static str| Line::Whole(Bytes::from(text));
        assert_eq!(all(b"a\n\nbc", 10).await, [whole("a"), whole(""), whole("bc")]);
        assert_eq!(all(b"", 10).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_told_and_the_next_one_is_read() {
        let long = "x".repeat(300_000);
        let text = format!("{long}\nshort\n{long}");
        let found = all(text.as_bytes(), 1000).await;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(matches!(&found[0], Line::TooLong(head) if head.len() == 1001), "{:?}", found[0]);
        assert_eq!(found[1], Line::Whole(Bytes::from("short")));
    }
}
