//! Server-sent events: written, and read as they come.
//!
//! Promises: reading takes linear time, and memory for one event up to a limit.

use std::time::Duration;

use bytes::Bytes;

/// What a client ignores, and what tells everything on the way that the stream
/// is alive.
pub const COMMENT: &[u8] = b": waiting\n\n";

/// The type of a stream of events.
pub const KIND: &str = "text/event-stream";

/// A message as an event. It is one line: messages of ours and of clients are,
/// and others are made so.
pub fn event(message: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(message.len() + 24);
    event.extend_from_slice(b"event: message\ndata: ");
    // JSON has line ends only between its parts, where they are as good as spaces.
    event.extend(message.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// A whole stream, with the data of each event as `change` has it. What is left out
/// (ids, comments) means nothing once the stream has ended.
pub fn rewritten(stream: &[u8], change: impl Fn(&Bytes) -> Bytes) -> Bytes {
    let mut reader = Reader::new(stream.len());
    // Nothing in it is longer than all of it.
    let events = reader.feed(stream).unwrap_or_default();
    let data = events.iter().map(|event| &event.data).filter(|data| !data.is_empty());
    data.flat_map(|data| event(&change(data))).collect()
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its data, lines joined.
    pub data: Bytes,
    /// Where to go on from, if it says so.
    pub id: Option<String>,
    /// How long to wait before that, if it says so.
    pub retry: Option<Duration>,
}

/// An event that is longer than a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sent an event that is longer than a message may be (`limits.message`)")]
pub struct TooLong;

/// Reads events out of pieces.
#[derive(Debug)]
pub struct Reader {
    longest: usize,
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed after it ends no other line.
    returned: bool,
    data: Vec<u8>,
    has_data: bool,
    event: Event,
}

impl Reader {
    /// With events of so many bytes at most.
    pub fn new(longest: usize) -> Reader {
        Reader {
            longest,
            line: Vec::new(),
            returned: false,
            data: Vec::new(),
            has_data: false,
            event: Event::default(),
        }
    }

    /// Takes the next piece; the events that it completes.
    ///
    /// # Errors
    /// An event became too long. Nothing can be read after it.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        while !piece.is_empty() {
            if std::mem::take(&mut self.returned) && piece[0] == b'\n' {
                piece = &piece[1..];
                continue;
            }
            let end = piece.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let line = &piece[..end.unwrap_or(piece.len())];
            if self.line.len() + self.data.len() + line.len() > self.longest {
                return Err(TooLong);
            }
            self.line.extend_from_slice(line);
            let Some(end) = end else { break };
            self.returned = piece[end] == b'\r';
            piece = &piece[end + 1..];
            let line = std::mem::take(&mut self.line);
            events.extend(self.take(&line));
        }
        Ok(events)
    }

    /// Takes one line.
    fn take(&mut self, line: &[u8]) -> Option<Event> {
        if line.is_empty() {
            let mut event = std::mem::take(&mut self.event);
            event.data = std::mem::take(&mut self.data).into();
            let has_data = std::mem::take(&mut self.has_data);
            return (has_data || event != Event::default()).then_some(event);
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value);
        match &line[..colon] {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"id" => self.event.id = Some(text().into_owned()),
            b"retry" => {
                self.event.retry = text().parse().ok().map(Duration::from_millis);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, step: usize) -> Vec<Event> {
        let mut reader = Reader::new(1_000);
        let pieces = text.as_bytes().chunks(step);
        pieces.flat_map(|piece| reader.feed(piece).expect("short")).collect()
    }

    #[test]
    fn events_are_the_same_however_they_are_cut_and_their_lines_end() {
        let text = ": hello\n\nid: 1\nretry: 50\ndata:\n\nevent: message\ndata: {\"a\":1,\ndata: \"b\":2}\n\ndata:x\n";
        for ends in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', ends);
            for step in 1..text.len() {
                let events = all(&text, step);
                assert_eq!(events.len(), 2, "{ends:?} {step}");
                assert_eq!(events[0].id.as_deref(), Some("1"));
                assert_eq!(events[0].retry, Some(Duration::from_millis(50)));
                assert_eq!(events[0].data, "");
                assert_eq!(events[1].data, "{\"a\":1,\n\"b\":2}");
            }
        }
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let mut reader = Reader::new(100);
        assert_eq!(reader.feed(&[b'x'; 101]), Err(TooLong));
        let mut reader = Reader::new(100);
        let fed: Result<Vec<_>, _> = (0..100).map(|_| reader.feed(b"data: xxxx\n")).collect();
        assert_eq!(fed, Err(TooLong));
    }

    #[test]
    fn a_stream_is_written_anew_with_other_data() {
        let stream = b": hi\n\nid: 1\ndata:\n\ndata: {}\n\ndata: []\n\n";
        let other = rewritten(stream, |data| [data, &b" "[..]].concat().into());
        assert_eq!(other, "event: message\ndata: {} \n\nevent: message\ndata: [] \n\n");
    }

    #[test]
    fn a_message_is_one_event_whatever_its_line_ends() {
        let written = event(b"{\"a\":\r\n1}");
        assert_eq!(all(std::str::from_utf8(&written).expect("text"), 7)[0].data, "{\"a\":  1}");
    }
}
