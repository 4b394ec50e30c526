//! `holdpoint policy classify`: what tools do and how bad a mistake would be, as the
//! proxy judges them, for programs: one line of JSON each.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::errors::{Done, Failure};
use super::super::output::{Output, note};
use crate::call::json::{Json, parse_envelope};
use crate::config::{file, printable};
use crate::policy::judging::{Judgement, Tool, Word, judge};

/// The longest list. Those of thousands of tools have some megabytes.
const LONGEST: u64 = 16 << 20;

/// Say what tools do, from a list of them
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
FILE has an answer to tools/list, its result, or an array of tools, as JSON. Each tool
becomes a line: {\"name\", \"category\", \"risk\", \"told\", \"evidence\": [...]}. Where `told` is
false nothing tells what the tool does, and the category is a guess on the dangerous side.")]
pub struct ClassifyArgs {
    /// The list; `-` is standard input
    file: PathBuf,
    /// Believe what the tools say of themselves
    #[arg(long)]
    trusted: bool,
}

/// Runs the command.
pub fn run(args: &ClassifyArgs, out: &mut Output) -> Done {
    let tools = tools(&read(&args.file)?)?;
    if tools.is_empty() {
        note("the list has no tools");
    }
    for (name, definition) in tools {
        let tool = Tool::of(&definition);
        let judgement = judge(&name, Some(&tool), Word::default(), args.trusted, None);
        out.line(&line(&name, &judgement).to_text())?;
    }
    Ok(())
}

const REMEDY: &str =
    "Give what a server answers to tools/list, its `result`, or an array of tools.";

/// The bytes of a list; `-` is standard input.
pub(super) fn read(path: &Path) -> Done<Vec<u8>> {
    if path != Path::new("-") {
        return file::read(path, LONGEST).map_err(|error| {
            Failure::usage(format!("cannot read {}: {error}", printable(path)), REMEDY)
        });
    }
    let mut text = Vec::new();
    let read = std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut text);
    read.map_err(|error| Failure::usage(format!("cannot read standard input: {error}"), REMEDY))?;
    match text.len() as u64 > LONGEST {
        true => {
            let what = format!("standard input has more than {} MiB", LONGEST >> 20);
            Err(Failure::usage(what, REMEDY))
        }
        false => Ok(text),
    }
}

/// The tools of a list, with their names.
pub(super) fn tools(text: &[u8]) -> Done<Vec<(String, Json)>> {
    let document = parse_envelope(text)
        .map_err(|error| Failure::usage(format!("the list: {error}"), REMEDY))?;
    if let Some(error) = document.get("error") {
        let said = error.get("message").and_then(Json::as_str).unwrap_or_default();
        let what = format!("the server refused: {}", super::safe(said));
        return Err(Failure::usage(what, REMEDY));
    }
    let inner = document.get("result").unwrap_or(&document);
    let list = inner.get("tools").unwrap_or(inner).as_array();
    let list = list.ok_or_else(|| Failure::usage("there is no list of tools in it", REMEDY))?;
    list.iter().enumerate().map(|(number, tool)| named(number, tool)).collect()
}

fn named(number: usize, tool: &Json) -> Done<(String, Json)> {
    let name = tool.get("name").and_then(Json::as_str);
    let name = name.ok_or_else(|| {
        let what = format!("tool {} of the list has no `name` that is text", number + 1);
        Failure::usage(what, REMEDY)
    })?;
    Ok((name.to_owned(), tool.clone()))
}

fn line(name: &str, judgement: &Judgement) -> Json {
    Json::object([
        ("name", Json::from(name)),
        ("category", judgement.category.word().into()),
        ("risk", judgement.risk.word().into()),
        ("told", judgement.told.into()),
        ("evidence", Json::array(judgement.evidence.iter().map(ToString::to_string))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let tools = tools(text.as_bytes()).expect("tools");
        tools.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_list_is_taken_in_every_shape_that_servers_and_files_have() {
        let list = r#"[{"name":"a"},{"name":"b"}]"#;
        for text in [
            list.to_owned(),
            format!(r#"{{"tools":{list}}}"#),
            format!(r#"{{"tools":{list},"nextCursor":"x"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":{list}}}}}"#),
        ] {
            assert_eq!(names(&text), ["a", "b"], "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_tools_is_named() {
        for (text, said) in [
            ("", "the list: the JSON ends too early"),
            ("{a", "the list: not valid JSON: expected"),
            (r#"{"tools":1,"tools":2}"#, "the list: "),
            ("{}", "no list of tools"),
            (r#"{"tools":{}}"#, "no list of tools"),
            (r#"[{"name":"a"},{"name":7}]"#, "tool 2 of the list"),
            ("[7]", "tool 1 of the list"),
            (r#"{"error":{"code":-1,"message":"no\u001b[2J"}}"#, "refused: no\u{27e8}"),
        ] {
            let failure = tools(text.as_bytes()).expect_err(text).to_string();
            assert!(failure.contains(said), "{text}: {failure}");
        }
    }

    #[test]
    fn a_line_is_json_that_names_its_evidence() {
        let judged = judge("delete_\u{202e}x", None, Word::default(), false, None);
        let line = line("delete_\u{202e}x", &judged).to_text();
        assert_eq!(
            line,
            r#"{"name":"delete_\u202ex","category":"destructive","risk":"high","told":true,"evidence":["name: verb \"delete\""]}"#
        );
    }
}
