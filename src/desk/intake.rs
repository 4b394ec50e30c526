//! What comes in becomes a call: checked, digested, masked, in one place.
//!
//! The real arguments exist only inside [`Intake::take`]: they are parsed,
//! hashed, masked and dropped.

use std::collections::BTreeMap;

use super::error::{BadField, DeskError};
use super::people::Caller;
use crate::call::digest::Covered;
use crate::call::json::{Json, parse_object};
use crate::call::model::{Agent, Call, Category, Risk};
use crate::call::redact::{hidden_text, mask, mask_text};

/// Longest name of anything, in bytes.
pub const NAME: usize = 200;
/// Longest name of a person (RFC 5321's longest address is shorter), in bytes.
pub const PERSON: usize = 320;
/// Longest explanation, in bytes.
pub const EXPLANATION: usize = 8 * 1024;
/// Longest reason or detail, in bytes.
pub const REASON: usize = 2 * 1024;
/// Longest `request_state`, in bytes.
pub const REQUEST_STATE: usize = 64 * 1024;
/// Longest arguments and responses once masked, in bytes. A marker is longer than
/// a digit, so masking can make sixteen bytes of one. Common clients take no
/// message beyond 4 MiB, and a request that nobody can read nobody can decide.
pub const MASKED: usize = 3 * 1024 * 1024;
const LABELS: usize = 32;
const LABEL_KEY: usize = 64;
const LABEL_VALUE: usize = 256;
const NOT_COVERED: usize = 16;
const NOT_COVERED_LINE: usize = 500;
const EVIDENCE: usize = 8;
const EVIDENCE_LINE: usize = 200;
const DEFINITION_CHANGED: usize = 500;

/// A call as it comes in, unchecked.
#[derive(Debug, Clone, Default)]
pub struct Incoming {
    /// See the contract's `Call`.
    pub server: String,
    /// See the contract's `Call`.
    pub tool: String,
    /// JSON bytes as the agent sent them.
    pub arguments: Vec<u8>,
    /// Number of the category.
    pub category: i32,
    /// Number of the risk.
    pub risk: i32,
    /// See the contract's `Call`.
    pub rule: String,
    /// See the contract's `Call`.
    pub policy_revision: String,
    /// See the contract's `Call`.
    pub client: String,
    /// Claims.
    pub agent: Agent,
    /// See the contract's `Call`.
    pub tool_definition_hash: String,
    /// See the contract's `Call`.
    pub explanation: String,
    /// See the contract's `Call`.
    pub labels: BTreeMap<String, String>,
    /// JSON bytes; empty: none.
    pub input_responses: Vec<u8>,
    /// See the contract's `Call`.
    pub request_state: Option<String>,
    /// See the contract's `Call`.
    pub not_covered: Vec<String>,
    /// See the contract's `Call`.
    pub evidence: Vec<String>,
    /// See the contract's `Call`.
    pub definition_changed: String,
    /// See the contract's `Call`.
    pub also_route: String,
}

/// Checks lengths and collects everything that is wrong, not only the first.
#[derive(Debug, Default)]
pub struct Check {
    bad: Vec<BadField>,
}

impl Check {
    /// Something is wrong with a field.
    pub fn bad(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.bad.push(BadField { field: field.into(), why: why.into() });
    }

    /// A text of at most `most` bytes.
    pub fn text(&mut self, field: &str, text: &str, most: usize) {
        if text.len() > most {
            self.bad(field, format!("{} bytes; at most {most} are taken", text.len()));
        }
    }

    /// A text of 1 to `most` bytes.
    pub fn required(&mut self, field: &str, text: &str, most: usize) {
        if text.is_empty() {
            self.bad(field, "required, and empty");
        }
        self.text(field, text, most);
    }

    /// At most `most` texts of at most `longest` bytes. More than may be are not
    /// looked at: errors travel in a header.
    pub fn lines(&mut self, field: &str, lines: &[String], most: usize, longest: usize) {
        if lines.len() > most {
            self.bad(field, format!("{} lines; at most {most} are taken", lines.len()));
        }
        for line in lines.iter().take(most) {
            self.text(field, line, longest);
        }
    }

    /// `Ok` if nothing was wrong.
    pub fn finish(self) -> Result<(), DeskError> {
        if self.bad.is_empty() { Ok(()) } else { Err(DeskError::BadFields(self.bad)) }
    }
}

/// Takes calls in.
#[derive(Debug, Clone, Copy)]
pub struct Intake {
    /// Bytes of arguments at most.
    pub max_arguments: usize,
}

impl Intake {
    /// Checks, digests and masks a call.
    pub fn take(&self, caller: &Caller, incoming: Incoming) -> Result<Call, DeskError> {
        let (category, risk) = self.check(&incoming)?;
        let parse = |field, bytes: &[u8]| {
            parse_object(bytes).map_err(|e| DeskError::BadArguments { field, why: e.to_string() })
        };
        let arguments = parse("call.arguments", &incoming.arguments)?;
        let responses = match incoming.input_responses.as_slice() {
            [] => None,
            bytes => Some(parse("call.input_responses", bytes)?),
        };
        let covered = Covered {
            server: &incoming.server,
            tool: &incoming.tool,
            arguments: &arguments,
            input_responses: responses.as_ref(),
            request_state: incoming.request_state.as_deref(),
        };
        let digest = covered.digest();
        let on_behalf_of = caller.on_behalf_of(&incoming.agent.on_behalf_of)?;
        let shown = with_responses(arguments, responses);
        let masked = mask(&shown);
        drop(shown);
        let mut hidden_values = masked.hidden;
        let value = with_state(masked.value, incoming.request_state, &mut hidden_values);
        let arguments = value.to_text();
        if arguments.len() > MASKED {
            let why = format!(
                "{} bytes once secrets are masked; at most {MASKED} can be shown to an operator",
                arguments.len()
            );
            return Err(DeskError::field("call.arguments", why));
        }
        let labels = mask_labels(incoming.labels, &mut hidden_values);
        let mut words = |text: String| {
            let (text, hidden) = mask_text(&text);
            hidden_values = hidden_values.saturating_add(hidden);
            text
        };
        let explanation = words(incoming.explanation);
        let not_covered = incoming.not_covered.into_iter().map(&mut words).collect();
        let evidence = incoming.evidence.into_iter().map(&mut words).collect();
        let definition_changed = words(incoming.definition_changed);
        Ok(Call {
            caller: caller.name.clone(),
            client: incoming.client,
            agent: Agent { on_behalf_of, ..incoming.agent },
            server: incoming.server,
            tool: incoming.tool,
            arguments,
            hidden_values,
            digest,
            category,
            risk,
            rule: incoming.rule,
            policy_revision: incoming.policy_revision,
            tool_definition_hash: incoming.tool_definition_hash,
            explanation,
            labels,
            not_covered,
            evidence,
            definition_changed,
        })
    }

    fn check(&self, incoming: &Incoming) -> Result<(Category, Risk), DeskError> {
        let mut check = Check::default();
        check.required("call.server", &incoming.server, NAME);
        check.required("call.tool", &incoming.tool, NAME);
        check.text("call.rule", &incoming.rule, NAME);
        check.text("call.policy_revision", &incoming.policy_revision, NAME);
        check.text("call.client", &incoming.client, NAME);
        check.text("call.agent.name", &incoming.agent.name, NAME);
        check.text("call.agent.version", &incoming.agent.version, NAME);
        check.text("call.agent.session", &incoming.agent.session, NAME);
        check.text("call.agent.on_behalf_of", &incoming.agent.on_behalf_of, PERSON);
        check.text("call.tool_definition_hash", &incoming.tool_definition_hash, NAME);
        check.text("call.explanation", &incoming.explanation, EXPLANATION);
        if incoming.labels.len() > LABELS {
            let why = format!("{} labels; at most {LABELS} are taken", incoming.labels.len());
            check.bad("call.labels", why);
        }
        // More than may be are not looked at: errors travel in a header.
        for (key, value) in incoming.labels.iter().take(LABELS) {
            check.required("call.labels (a key)", key, LABEL_KEY);
            check.text("call.labels (a value)", value, LABEL_VALUE);
        }
        check.lines("call.not_covered", &incoming.not_covered, NOT_COVERED, NOT_COVERED_LINE);
        check.lines("call.evidence", &incoming.evidence, EVIDENCE, EVIDENCE_LINE);
        check.text("call.definition_changed", &incoming.definition_changed, DEFINITION_CHANGED);
        check.text("call.also_route", &incoming.also_route, NAME);
        let most = self.max_arguments;
        for (field, bytes) in [
            ("call.arguments", &incoming.arguments),
            ("call.input_responses", &incoming.input_responses),
        ] {
            if bytes.len() > most {
                let why = format!(
                    "{} bytes; at most {most} are taken (limits.max_arguments_bytes)",
                    bytes.len()
                );
                check.bad(field, why);
            }
        }
        if let Some(state) = &incoming.request_state {
            check.text("call.request_state", state, REQUEST_STATE);
        }
        // A number that we do not know is not taken for "unspecified": whoever
        // sent it meant something by it.
        let category = Category::from_number(incoming.category);
        let risk = Risk::from_number(incoming.risk);
        if category.is_none() {
            check.bad("call.category", "not a category that this version knows");
        }
        if risk.is_none() {
            check.bad("call.risk", "not a risk that this version knows");
        }
        check.finish()?;
        Ok((category.unwrap_or(Category::Unspecified), risk.unwrap_or(Risk::Unspecified)))
    }
}

/// Labels are masked by their names too, as members of the arguments are.
fn mask_labels(
    labels: BTreeMap<String, String>,
    hidden_values: &mut u32,
) -> BTreeMap<String, String> {
    let masked = mask(&Json::object(labels.into_iter().map(|(k, v)| (k, Json::String(v)))));
    *hidden_values = hidden_values.saturating_add(masked.hidden);
    let Json::Object(members) = masked.value else { return BTreeMap::new() };
    let text = |value: Json| value.as_str().map(str::to_owned).unwrap_or_default();
    members.into_iter().map(|(k, v)| (k, text(v))).collect()
}

/// What an operator is shown of a multi-round call: the arguments, and what the
/// client answered to the server's questions.
fn with_responses(arguments: Json, responses: Option<Json>) -> Json {
    match responses {
        Some(responses) => with_member(arguments, "(input responses)", responses),
        None => arguments,
    }
}

/// The state that the server gave the client is hashed and may decide what the
/// call does, but nobody can read it: it is shown as hidden.
fn with_state(masked: Json, state: Option<String>, hidden_values: &mut u32) -> Json {
    let Some(state) = state else { return masked };
    let shown = if state.is_empty() {
        state
    } else {
        *hidden_values = hidden_values.saturating_add(1);
        hidden_text(&state)
    };
    with_member(masked, "(request state)", Json::String(shown))
}

fn with_member(object: Json, name: &str, value: Json) -> Json {
    let mut members = match object {
        Json::Object(members) => members,
        other => vec![("arguments".to_owned(), other)],
    };
    let mut name = name.to_owned();
    while members.iter().any(|(taken, _)| *taken == name) {
        name.push('*');
    }
    members.push((name, value));
    Json::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        use crate::call::model::Strength;

        Caller { name: "c".to_owned(), acts_for: Vec::new(), strength: Strength::Token }
    }

    fn incoming(arguments: &str) -> Incoming {
        Incoming {
            server: "s".to_owned(),
            tool: "t".to_owned(),
            arguments: arguments.as_bytes().to_vec(),
            ..Incoming::default()
        }
    }

    fn intake() -> Intake {
        Intake { max_arguments: 256 * 1024 }
    }

    #[test]
    fn secrets_are_digested_but_not_kept() {
        let one = intake().take(&caller(), incoming(r#"{"password":"hunter2-a"}"#)).expect("taken");
        let two = intake().take(&caller(), incoming(r#"{"password":"hunter2-b"}"#)).expect("taken");
        assert_ne!(one.digest, two.digest);
        assert!(!one.arguments.contains("hunter2"), "{}", one.arguments);
        assert_eq!(one.hidden_values, 1);
    }

    #[test]
    fn what_is_hashed_and_cannot_be_read_is_shown_as_hidden() {
        let with = |state: &str| {
            let request_state = Some(state.to_owned());
            let asked = Incoming { request_state, ..incoming(r#"{"(request state)":"x"}"#) };
            intake().take(&caller(), asked).expect("taken")
        };
        let call = with(r#"{"drop":"all"}"#);
        let marker = "\u{ab}hidden: text of 14 characters\u{bb}";
        let shown = format!(r#"{{"(request state)":"x","(request state)*":"{marker}"}}"#);
        assert_eq!((call.arguments, call.hidden_values), (shown, 1));
        assert_eq!(with("").hidden_values, 0);
    }

    #[test]
    fn arguments_that_masking_makes_too_large_to_show_are_refused() {
        let many = |digits: &str| format!(r#"{{"token":[{digits}1]}}"#, digits = digits);
        let large = intake().take(&caller(), incoming(&many(&"1,".repeat(130_000))));
        let error = large.expect_err("4 MB").to_string();
        assert!(error.contains("call.arguments") && error.contains("3145728"), "{error}");
        intake().take(&caller(), incoming(&many(&"1,".repeat(90_000)))).expect("3 MB");
    }

    #[test]
    fn a_thousand_wrong_labels_do_not_make_a_thousand_errors() {
        let mut bad = incoming("{}");
        bad.labels = (0..1000).map(|n| (format!("{n}{}", "k".repeat(65)), String::new())).collect();
        bad.not_covered = vec!["x".repeat(501); 1000];
        let Err(DeskError::BadFields(fields)) = intake().take(&caller(), bad) else {
            panic!("taken");
        };
        assert!(fields.len() <= LABELS + NOT_COVERED + 2, "{}", fields.len());
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let mut bad = incoming("{}");
        bad.server = String::new();
        bad.tool = "t".repeat(201);
        bad.category = 99;
        let error = intake().take(&caller(), bad).expect_err("bad").to_string();
        for field in ["call.server", "call.tool", "call.category"] {
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn arguments_that_mean_more_than_one_thing_are_refused() {
        for arguments in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1e999999999}"#,
            r#"{"a":"\ud800"}"#,
            r#"[1]"#,
            r#"{"a":1} x"#,
            &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
            &format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000)),
        ] {
            let result = intake().take(&caller(), incoming(arguments));
            assert!(matches!(result, Err(DeskError::BadArguments { .. })), "{result:?}");
        }
    }

    #[test]
    fn arguments_of_300_kib_are_refused_with_the_limit() {
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(300 * 1024));
        let error = intake().take(&caller(), incoming(&long)).expect_err("long").to_string();
        assert!(error.contains("262144") && !error.contains("xxx"), "{error}");
    }
}
