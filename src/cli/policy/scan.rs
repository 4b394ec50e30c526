//! `holdpoint policy scan`: a server's tools, what they do, and a policy to begin with.
//!
//! Promises: the server that it starts ends with it; no tool is called; a file is
//! never replaced unasked.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use hyper::header::{HeaderName, HeaderValue};

use super::super::errors::{Done, Failure, exit};
use super::super::output::{Output, Tone, note};
use super::super::part::{Part, cannot_write, may_replace};
use super::super::proxy::name_of;
use super::super::signals::Stop;
use super::super::table::{self, cell, fixed, flexible, toned};
use super::super::text::{count, safe, shell_word};
use super::written::{self, Judged};
use crate::config::{duration, printable, read_password};
use crate::policy::Policy;
use crate::proxy::config::UrlConfig;
use crate::proxy::listing::{CannotList, Listed, of_child, of_url};

/// How long a server may take: the first run of `npx` or `uvx` installs it.
const DEFAULT_WITHIN: Duration = Duration::from_secs(60);

/// The number of the signal of Ctrl-C.
const INTERRUPT: u8 = 2;

/// Columns of a table that nobody's terminal bounds.
const UNFITTED: usize = 10_000;

/// The longest name of a server.
const LONGEST_NAME: usize = 200;

/// Ask a server for its tools, and write a policy for it to begin with
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The policy goes to standard output, or to the file of --output; the table of tools to the
other. Reads pass in it, everything else is held for a person.")]
pub struct ScanArgs {
    /// The server's name in the policy [default: its command's or its host's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A server behind a URL
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    url: Option<String>,
    /// A header for it. Other users of this machine may see it: see --header-file
    #[arg(long, value_name = "NAME=VALUE", requires = "url")]
    header: Vec<String>,
    /// A header for it whose value is the one line of a file
    #[arg(long, value_name = "NAME=FILE", requires = "url")]
    header_file: Vec<String>,
    /// The file for the policy [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
    /// How long the server may take [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = length)]
    timeout: Option<Duration>,
    /// What was given without -- or --url, to say what is missing
    #[arg(hide = true, allow_hyphen_values = true)]
    loose: Vec<OsString>,
    /// The server's command
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

fn length(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

/// Runs the command.
pub async fn run(args: ScanArgs, out: &mut Output) -> Done {
    given(&args)?;
    let server = name(&args)?;
    if let Some(path) = &args.output {
        may_replace(path, args.force)?;
    }
    let listed = listed(&args).await?;
    let tools = written::judged(&listed.tools);
    let policy = written::document(&server, &listed, &tools);
    // What we write, we can read; else it is not written.
    Policy::read(policy.as_bytes()).map_err(|error| {
        let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
        Failure::new(format!("the policy would be wrong: {}", problems.join("; ")), "")
    })?;
    match &args.output {
        Some(path) => {
            let (part, mut file) = Part::create(path)?;
            file.write_all(policy.as_bytes()).map_err(|error| cannot_write(path, &error))?;
            drop(file);
            part.finish()?;
            out.text(&shown(&tools, out))?;
            note(&format!("The policy is in {}.", printable(path)));
        }
        None => {
            note(shown(&tools, out).trim_end());
            out.text(&policy)?;
        }
    }
    note(&summed(&tools));
    Ok(())
}

/// Whether it is clear which server is meant.
fn given(args: &ScanArgs) -> Done {
    if let [first, ..] = &args.loose[..] {
        let first = first.to_string_lossy();
        if first.starts_with('-') {
            let what = format!("there is no option {}", safe(&first));
            return Err(Failure::usage(what, "`holdpoint policy scan --help` lists them."));
        }
        let words: Vec<_> =
            args.loose.iter().map(|word| shell_word(&safe(&word.to_string_lossy()))).collect();
        // A key may stand in a URL, so it is not repeated.
        return Err(match first.contains("://") {
            true => Failure::usage("a URL stands behind --url", "Write --url in front of it."),
            false => Failure::usage(
                "the server's command stands behind --",
                format!("Write: holdpoint policy scan -- {}", words.join(" ")),
            ),
        });
    }
    match &args.url {
        Some(url) if !url.contains("://") => Err(Failure::usage(
            "the URL begins with neither http:// nor https://",
            "Write for example --url http://127.0.0.1:9000/mcp",
        )),
        None if args.command.is_empty() => Err(Failure::usage(
            "no server was given",
            "Write its command after --, or its address: --url http://127.0.0.1:9000/mcp",
        )),
        _ => Ok(()),
    }
}

/// The server's list; a signal ends the server first.
async fn listed(args: &ScanArgs) -> Done<Listed> {
    let within = args.timeout.unwrap_or(DEFAULT_WITHIN);
    let mut stop = Stop::listen()?;
    let listing = async {
        match &args.url {
            Some(url) => {
                of_url(&url_config(url, args)?, within).await.map_err(|error| failure(error, args))
            }
            None => of_child(command(args)?, within).await.map_err(|error| failure(error, args)),
        }
    };
    tokio::select! {
        listed = listing => listed,
        // What was started is killed when it is dropped.
        () = stop.asked() => Err(Failure::new("stopped before the server had answered", "").with_exit(exit::SIGNALLED + INTERRUPT)),
    }
}

fn failure(error: CannotList, args: &ScanArgs) -> Failure {
    let next = match &error {
        CannotList::NotStarted(_) => "Check the command and PATH.",
        CannotList::Refused { said, .. }
            if said.starts_with("HTTP 401") || said.starts_with("HTTP 403") =>
        {
            "Give what it wants to know of you with --header-file Authorization=FILE."
        }
        CannotList::Refused { .. } => "Check what the server needs to run: a key, an argument.",
        CannotList::TooLate(_) => "Give it longer with --timeout.",
        CannotList::NoAnswer(_) => "Check that the server runs by itself, and what it needs.",
        _ => "",
    };
    let code = match &error {
        CannotList::NotStarted(why) if why.kind() == std::io::ErrorKind::NotFound => {
            exit::NOT_FOUND
        }
        CannotList::NotStarted(_) => exit::CANNOT_RUN,
        _ => exit::OTHER,
    };
    let what = match (&error, args.command.first()) {
        (CannotList::NotStarted(why), Some(program)) => {
            format!("cannot run {}: {why}", safe(&program.to_string_lossy()))
        }
        _ => error.to_string(),
    };
    Failure::new(what, next).with_exit(code)
}

/// The command, with the environment that it would have without us.
fn command(args: &ScanArgs) -> Done<Command> {
    let [program, arguments @ ..] = &args.command[..] else {
        return Err(Failure::usage("no server was given", "Write its command after --."));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for secret in ["HOLDPOINT_TOKEN", "HOLDPOINT_TOKEN_FILE"] {
        command.env_remove(secret);
    }
    Ok(command)
}

fn url_config(url: &str, args: &ScanArgs) -> Done<UrlConfig> {
    let mut headers = Vec::new();
    for header in &args.header {
        let (name, value) = split(header, "--header")?;
        headers.push(header_of(name, value)?);
    }
    for header in &args.header_file {
        let (name, path) = split(header, "--header-file")?;
        let path = PathBuf::from(path);
        let value = read_password(&path).map_err(|why| {
            Failure::usage(format!("{} {why}", printable(&path)), "Name a file of one line.")
        })?;
        headers.push(header_of(name, value.expose())?);
    }
    UrlConfig::of(url, headers).map_err(|fault| {
        Failure::usage(fault, "Write for example --url https://mcp.example.org/mcp")
    })
}

fn split<'a>(header: &'a str, option: &str) -> Done<(&'a str, &'a str)> {
    header.split_once('=').ok_or_else(|| {
        let what = format!("{option} has no =");
        Failure::usage(what, format!("Write for example {option} Authorization=..."))
    })
}

/// Never quotes the value: a key stands in it.
fn header_of(name: &str, value: &str) -> Done<(HeaderName, HeaderValue)> {
    let name = name.trim().parse::<HeaderName>().map_err(|_| {
        Failure::usage("that is no header's name", "Write for example Authorization.")
    })?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        let what = format!("the value of the header {name} (not shown) is not text");
        Failure::usage(what, "Give one line of visible ASCII.")
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// What the server is called in the policy.
fn name(args: &ScanArgs) -> Done<String> {
    let name = match (&args.name, &args.url, args.command.first()) {
        (Some(name), _, _) => name.clone(),
        (None, Some(url), _) => {
            let url = url::Url::parse(url).ok();
            url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
        }
        (None, None, Some(program)) => name_of(program)?,
        (None, None, None) => String::new(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@/ ".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        let what = format!("\"{}\" cannot be a server's name in a policy", safe(&name));
        return Err(Failure::usage(what, "Give one of letters, digits, - . _ with --name."));
    }
    Ok(name)
}

/// The tools as a table, the most dangerous first.
fn shown(tools: &[Judged], out: &Output) -> String {
    let columns =
        [flexible("TOOL", 0, 16), fixed("CATEGORY", 0), fixed("RISK", 0), flexible("WHY", 1, 12)];
    let rows: Vec<_> = tools
        .iter()
        .map(|one| {
            let tone =
                if written::is_loud(one.judgement.risk) { Tone::Caution } else { Tone::Plain };
            vec![
                cell(safe(&one.name)),
                cell(written::category(&one.judgement)),
                toned(one.judgement.risk.word(), tone),
                cell(written::why(&one.judgement)),
            ]
        })
        .collect();
    let view = out.view();
    let width = if view.terminal { view.width } else { UNFITTED };
    table::fitted(&columns, &rows, width, view.colour)
}

fn summed(tools: &[Judged]) -> String {
    let pass = tools.iter().filter(|one| one.passes()).count();
    format!(
        "{}: {pass} pass, {} are held.",
        count(tools.len() as u64, "tool", "tools"),
        tools.len() - pass
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ScanArgs,
    }

    fn args(line: &str) -> ScanArgs {
        Line::try_parse_from(line.split(' ')).expect("arguments").args
    }

    #[test]
    fn what_is_missing_around_a_server_is_named() {
        for (line, said) in [
            ("scan", "no server was given. Write its command after --, or its address: --url http"),
            ("scan http://127.0.0.1:9/mcp?key=secret", "Write --url in front of it"),
            (
                "scan npx -y some-server --name x",
                "Write: holdpoint policy scan -- npx -y some-server",
            ),
            ("scan --nam x -- ./server", "there is no option --nam"),
            ("scan --name x ./server", "Write: holdpoint policy scan -- ./server"),
            ("scan --url 127.0.0.1:9/mcp?key=secret", "neither http:// nor https://"),
            ("scan --url localhost:9/mcp", "neither http:// nor https://"),
        ] {
            let failure = given(&args(line)).expect_err(line).to_string();
            assert!(failure.contains(said), "{line}: {failure}");
            assert!(!failure.contains("secret"), "{failure}");
        }
        for line in ["scan -- ./server", "scan --name x -- npx -y y", "scan --url http://a/mcp"] {
            given(&args(line)).expect(line);
        }
    }

    #[test]
    fn a_server_that_does_not_start_or_refuses_is_named_with_what_it_said() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let failure = failure(CannotList::NotStarted(missing), &args("scan -- ./nosuch"));
        assert!(failure.to_string().contains("cannot run ./nosuch: "), "{failure}");
        assert_eq!(failure.exit, exit::NOT_FOUND);
    }
}
