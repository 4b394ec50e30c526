//! What a server asks in the middle of a task, and what the client answers.
//!
//! A key may name one question only over a task's life, and a server that asks
//! twice does not know that the rounds are one task to the client. So a key that
//! was there before gets another name on its way to the client, and its own back
//! on the way to the server.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::call::json::Json;
use crate::proxy::message::scan::{find, members, text};
use crate::proxy::message::{Id, ServerMessage, ToolCall};

/// The most questions at once, and how long all questions of a task may be.
const ASKED: (usize, usize) = (100, 1 << 20);
/// How long the answers to one round may be: some pictures.
const ANSWERS: usize = 4 << 20;

/// The questions of one task so far.
#[derive(Debug, Default)]
pub struct Questions {
    keys: HashSet<String>,
    bytes: usize,
}

/// One question.
#[derive(Debug)]
struct Input {
    /// As the client sees it.
    key: String,
    /// As the server gave it.
    theirs: String,
    /// JSON text.
    request: Bytes,
    response: Option<Bytes>,
}

/// What a server asked at once.
#[derive(Debug)]
pub struct Asked {
    inputs: Vec<Input>,
    /// JSON text.
    state: Option<Bytes>,
}

impl Questions {
    /// What this answer of a server asks; `None` if it is more than is kept.
    pub fn read(&mut self, answer: &ServerMessage) -> Option<Asked> {
        let bytes = &answer.bytes;
        let state = find(bytes, &["result", "requestState"])
            .map(|place| Bytes::copy_from_slice(&bytes[place]));
        let asked = find(bytes, &["result", "inputRequests"]);
        let asked = asked.and_then(|place| members(bytes, place)).unwrap_or_default();
        self.bytes += asked.iter().map(|member| member.whole.len()).sum::<usize>();
        self.bytes += state.as_ref().map_or(0, Bytes::len);
        if asked.len() > ASKED.0 || self.bytes > ASKED.1 {
            return None;
        }
        // Where a name comes twice, the last one counts, as most readers have it.
        let mut last = HashMap::new();
        for member in &asked {
            last.insert(member.name.clone(), member.value.clone());
        }
        let inputs = asked.iter().filter(|member| last[&member.name] == member.value);
        let inputs = inputs
            .map(|member| Input {
                key: self.key(&member.name),
                theirs: member.name.clone().into_owned(),
                request: Bytes::copy_from_slice(&bytes[member.value.clone()]),
                response: None,
            })
            .collect();
        Some(Asked { inputs, state })
    }

    /// A key that was not used before.
    fn key(&mut self, theirs: &str) -> String {
        let others = (2..).map(|n: u32| format!("{theirs}-{n}"));
        let mut names = std::iter::once(theirs.to_owned()).chain(others);
        names.find(|name| self.keys.insert(name.clone())).unwrap_or_default()
    }
}

impl Asked {
    /// Whether nothing is left to answer.
    pub fn is_answered(&self) -> bool {
        self.inputs.iter().all(|input| input.response.is_some())
    }

    /// Whether the server asked nothing, and only wants to be called once more.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// What is left to answer: a JSON object.
    pub fn outstanding(&self) -> Bytes {
        let left = self.inputs.iter().filter(|input| input.response.is_none());
        object(left.map(|input| (&*input.key, &input.request)))
    }

    /// Takes answers to what is left: an object, as the client sent it. False: they
    /// are more than is kept, and none was taken.
    pub fn answer(&mut self, responses: &Bytes) -> bool {
        let given = members(responses, 0..responses.len()).unwrap_or_default();
        let kept = self.inputs.iter().filter_map(|input| input.response.as_ref());
        if kept.map(Bytes::len).sum::<usize>() + responses.len() > ANSWERS {
            return false;
        }
        for member in given {
            let open = |input: &&mut Input| input.key == member.name && input.response.is_none();
            if let Some(input) = self.inputs.iter_mut().find(open) {
                // A copy: the message that it came in may be much longer.
                input.response = Some(Bytes::copy_from_slice(&responses[member.value]));
            }
        }
        true
    }

    /// The call once more, with the answers under the server's own keys.
    pub fn repeat(&self, call: &ToolCall, id: &Id) -> Option<Bytes> {
        let given = self.inputs.iter().filter_map(|input| {
            let response = input.response.as_ref()?;
            Some((input.theirs.as_str(), response))
        });
        let responses = object(given);
        let responses = (!self.is_empty()).then_some(&responses[..]);
        // A state that is no string is none that the server could be given back.
        let state = self.state.as_ref().filter(|state| text(state).is_some());
        call.repeat(id, responses, state.map(|state| &state[..]))
    }
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a Bytes)>) -> Bytes {
    let mut bytes = vec![b'{'];
    for (n, (name, value)) in members.enumerate() {
        if n > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(Json::String(name.to_owned()).to_text().as_bytes());
        bytes.push(b':');
        bytes.extend_from_slice(value);
    }
    bytes.push(b'}');
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::message::{Incoming, client};

    fn answer(result: &str) -> ServerMessage {
        ServerMessage::read(Bytes::from(format!(r#"{{"id":"h","result":{result}}}"#)))
    }

    fn call() -> ToolCall {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#;
        let Ok(Incoming::One(message)) = client::read(Bytes::from(text)) else { panic!("one") };
        ToolCall::read(message).expect("a call")
    }

    #[test]
    fn a_key_names_one_question_over_a_tasks_life() {
        let mut questions = Questions::default();
        let one = r#"{"inputRequests":{"name": {"n": 1},"name-2":{}},"requestState":"s1"}"#;
        let mut first = questions.read(&answer(one)).expect("asked");
        assert_eq!(&first.outstanding()[..], br#"{"name":{"n": 1},"name-2":{}}"#);
        assert!(first.answer(&Bytes::from_static(br#"{"name":{"x": 1},"other":{}}"#)));
        assert!(!first.is_answered());
        // A second answer to the same question counts for nothing.
        assert!(first.answer(&Bytes::from_static(br#"{"name":{"x":2}}"#)));
        assert_eq!(&first.outstanding()[..], br#"{"name-2":{}}"#);
        assert!(first.answer(&Bytes::from_static(br#"{"name-2":{}}"#)));
        assert!(first.is_answered());
        let sent = first.repeat(&call(), &Id::ours("h")).expect("spliced");
        let expected = br#""params":{"requestState":"s1","inputResponses":{"name":{"x": 1},"name-2":{}},"name":"a"}}"#;
        assert!(sent.ends_with(expected), "{sent:?}");
        let mut second =
            questions.read(&answer(r#"{"inputRequests":{"name":{}}}"#)).expect("asked");
        assert_eq!(&second.outstanding()[..], br#"{"name-3":{}}"#);
        assert!(second.answer(&Bytes::from_static(br#"{"name-3":1}"#)));
        let sent = second.repeat(&call(), &Id::ours("h")).expect("spliced");
        assert!(
            sent.ends_with(br#""params":{"inputResponses":{"name":1},"name":"a"}}"#),
            "{sent:?}"
        );
    }

    #[test]
    fn what_is_asked_and_answered_has_bounds() {
        let mut questions = Questions::default();
        let many: Vec<_> = (0..=ASKED.0).map(|n| format!(r#""{n}":{{}}"#)).collect();
        let many = format!(r#"{{"inputRequests":{{{}}}}}"#, many.join(","));
        assert!(questions.read(&answer(&many)).is_none());
        let mut asked = questions.read(&answer(r#"{"inputRequests":{"a":{}}}"#)).expect("asked");
        let long = Bytes::from(format!(r#"{{"a":"{}"}}"#, "x".repeat(ANSWERS)));
        assert!(!asked.answer(&long) && !asked.is_answered());
        let state = format!(r#"{{"requestState":"{}"}}"#, "x".repeat(ASKED.1));
        assert!(questions.read(&answer(&state)).is_none());
        let nothing = Questions::default().read(&answer(r#"{"requestState":"s"}"#)).expect("read");
        assert!(nothing.is_empty() && nothing.is_answered());
    }
}
