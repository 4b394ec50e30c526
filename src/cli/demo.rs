//! `holdpoint demo`: one held call from beginning to end, with nothing set up.
//!
//! Daemon, agent and operator are separate processes of this very program that
//! meet only at its public doors. It always works in a fresh folder, whatever
//! the environment says, and takes everything away with it.

use std::fs;
use std::time::Duration;

use clap::Args;
use tokio::time::{sleep, timeout};

use super::client::Role;
use super::demo_kv;
use super::demo_stage::{STEP, Stage};
use super::errors::{Done, Failure, exit};
use super::mail_text;
use super::output::{Output, Tone, View};
use super::serve::LOCAL_MODE;
use super::signals::Stop;
use super::state::token_file;
use super::text::{safe, short};
use super::{audit, records};
use crate::call::json::{self, Json};
use crate::proto::AuditEntry;

/// One held call from beginning to end, with nothing set up.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Play the operator too, who approves
    #[arg(long, conflicts_with = "deny")]
    yes: bool,
    /// Play the operator too, who denies
    #[arg(long)]
    deny: bool,
}

/// How long a person has to type the command.
const PATIENCE: Duration = Duration::from_secs(600);
/// What the agent writes.
const KEY: &str = "greeting";
const VALUE: &str = "hello";
/// The agent: a script that asks first. `$0` is this program.
const SCRIPT: &str = r#""$0" request --server kv --tool set --args '{"key":"greeting","value":"hello"}' \
  --category write --risk medium --agent demo-agent --timeout 10m \
  --why 'The user asked me to leave a greeting.' &&
"$0" demo-kv set greeting hello --file store.json"#;
/// The same for people.
const SCRIPT_SHOWN: &str = r#"holdpoint request --server kv --tool set \
    --args '{"key":"greeting","value":"hello"}' --category write ... &&
  kv set greeting hello"#;
/// How much of the mail is shown: up to the agent's own words; where somebody is to
/// act, the sentence, since the link follows.
const MAIL_LINES: usize = 22;
const MAIL_LINES_TO_ACT: usize = 2;
/// Between looks at what is not there yet.
const LOOK: Duration = Duration::from_millis(50);
/// How a shell says that Ctrl-C ended a command.
const INTERRUPTED: u8 = 130;

/// Runs the demo.
pub async fn run(args: DemoArgs) -> Done {
    let mut stop = Stop::listen()?;
    let mut stage = Stage::new()?;
    let played = tokio::select! {
        played = story(&mut stage, &args) => played,
        () = stop.asked() => Err(Failure::quiet(INTERRUPTED)),
    };
    let log = stage.log_end();
    stage.end().await;
    played.map_err(|failure| match failure.what.as_str() {
        "" => failure,
        _ => Failure {
            next: format!("{}\nThe daemon's last words:\n{log}", failure.next),
            ..failure
        },
    })
}

async fn story(stage: &mut Stage, args: &DemoArgs) -> Done {
    let mut out = Output::stdout();
    let view = View { terminal: true, ..out.view() };
    out.line("Holdpoint: an agent's call is held until a person answers.")?;
    step(&mut out, &view, 1, "A daemon starts, with nothing set up, in a fresh folder.")?;
    stage.start_daemon()?;
    ready(stage).await?;

    step(&mut out, &view, 2, "An agent wants to write. Its script asks first:")?;
    out.line(&format!("  {SCRIPT_SHOWN}"))?;
    out.flush()?;
    stage.start_script(SCRIPT)?;
    let held = held(stage).await?;
    let (id, digest) = (text(&held, "id"), text(&held, "digest"));

    step(
        &mut out,
        &view,
        3,
        &format!("The call is held [{}]. The operator has mail:", short(&id)),
    )?;
    let played = args.yes || args.deny;
    let mail = mail(stage).await;
    for line in mail.lines(if played { MAIL_LINES } else { MAIL_LINES_TO_ACT }) {
        let line = format!("{} {line}", view.paint(Tone::Faint, "|"));
        out.line(&format!("  {}", line.trim_end()))?;
    }

    let approve = format!("approve {id} --digest {}", digest.get(..16).unwrap_or(&digest));
    let deny =
        format!("deny {id} --digest {} --reason 'not today'", digest.get(..16).unwrap_or(&digest));
    if played {
        let typed = if args.yes { &approve } else { &deny };
        step(&mut out, &view, 4, "The operator types:")?;
        out.line(&format!("  holdpoint {typed}"))?;
        out.flush()?;
        play(stage, args.yes, &id, &digest).await?;
    } else {
        let typed = [stage.typed(&approve), stage.typed(&deny)];
        your_turn(&mut out, &view, stage, mail.review().as_deref(), &typed)?;
    }
    let code = stage.script_ended(PATIENCE + STEP).await?;

    let shown = parsed(&stage.text(&["show", &id, "--json"]).await?)?;
    step(&mut out, &view, 5, &format!("The decision: {}", decision(&shown)))?;
    let status = text(&shown, "status");
    let written = demo_kv::get(&stage.store, KEY)?;
    let effect = match &written {
        Some(value) => format!("The effect: the write ran, once; {KEY} is {}.", safe(value)),
        None => format!(
            "The effect: none. The write did not run (the script ended with {code}); there is no {KEY}."
        ),
    };
    step(&mut out, &view, 6, &effect)?;

    step(&mut out, &view, 7, "The history, which anyone can verify:")?;
    let history = stage.text(&["audit", "--asc", "--json"]).await?;
    let entries = history.lines().map(entry).collect::<Done<Vec<AuditEntry>>>()?;
    let narrower = View { width: view.width.saturating_sub(2), ..view.clone() };
    for line in audit::render(&entries, &narrower).lines() {
        out.line(&format!("  {line}"))?;
    }
    let verified = stage.text(&["audit", "verify"]).await?;
    out.line(&format!("  {}", verified.trim_end()))?;
    out.line("")?;
    out.line("This was local mode, to try it:")?;
    for line in LOCAL_MODE.lines() {
        out.line(&view.paint(Tone::Faint, line))?;
    }
    out.flush()?;
    expected(args, &status, code, written.as_deref())
}

/// What somebody may do who sees this for the first time: one thing to click, and what
/// does the same.
fn your_turn(
    out: &mut Output,
    view: &View,
    stage: &Stage,
    review: Option<&str>,
    typed: &[String],
) -> Done {
    let Some((home, _)) = review.and_then(|link| link.split_once("/l/")) else {
        step(out, view, 4, "You are the operator. In a second terminal, type one of:")?;
        return commands(out, typed);
    };
    step(out, view, 4, "You are the operator. Open the mail's link, and approve or deny there:")?;
    out.line("")?;
    out.line(&format!("  {}", view.paint(Tone::Strong, review.unwrap_or_default())))?;
    out.line("")?;
    out.line("  Or in a second terminal, type one of:")?;
    commands(out, typed)?;
    let token = token_file(&stage.paths, Role::Operator);
    let all = format!("  All pages: {home}/ (the token to sign in is in {})", token.display());
    out.line(&view.paint(Tone::Faint, &safe(&all)))?;
    let ends = "  The demo ends with your decision: look around before it.";
    out.line(&view.paint(Tone::Faint, ends))?;
    out.flush()
}

fn commands(out: &mut Output, typed: &[String]) -> Done {
    for command in typed {
        out.line(&format!("  {command}"))?;
    }
    out.flush()
}

fn step(out: &mut Output, view: &View, number: u32, text: &str) -> Done {
    out.line("")?;
    out.line(&view.paint(Tone::Strong, &format!("{number}. {text}")))?;
    out.flush()
}

/// Waits until the daemon answers.
async fn ready(stage: &Stage) -> Done {
    let waiting = async {
        while !stage.run(&["whoami"]).await?.status.success() {
            sleep(LOOK).await;
        }
        Ok(())
    };
    let late = |_| Failure::new("the daemon does not start", "See what it said:");
    timeout(STEP, waiting).await.map_err(late)?
}

/// Waits until the agent's call is held; the request.
async fn held(stage: &Stage) -> Done<Json> {
    let waiting = async {
        loop {
            let pending = stage.text(&["pending", "--json"]).await?;
            if let Some(line) = pending.lines().next() {
                return parsed(line);
            }
            sleep(LOOK).await;
        }
    };
    let late = |_| Failure::new("the agent's call is not held", "See what the daemon said:");
    timeout(STEP, waiting).await.map_err(late)?
}

/// The operator's mail, if there is one.
struct Mail(Option<Vec<u8>>);

impl Mail {
    /// What they read first.
    fn lines(&self, most: usize) -> Vec<String> {
        match &self.0 {
            Some(letter) => {
                let lines = mail_text::beginning(letter, most);
                lines.iter().map(|line| safe(line)).collect()
            }
            None => vec!["(not there yet: mail is best effort, and never a gate)".to_owned()],
        }
    }

    /// The link by which they decide, as it stands in it.
    fn review(&self) -> Option<String> {
        let lines = mail_text::beginning(self.0.as_deref()?, usize::MAX);
        lines.into_iter().find(|line| line.starts_with("http") && line.contains("/l/"))
    }
}

/// It is sent on the side, so it is waited for a little, and its absence stops nothing.
async fn mail(stage: &Stage) -> Mail {
    for _ in 0..100 {
        let files = fs::read_dir(&stage.paths.mail).into_iter().flatten().flatten();
        let mut letters = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|e| e == "eml"));
        let letter = letters.next().and_then(|path| fs::read(path).ok());
        if letter.is_some() {
            return Mail(letter);
        }
        sleep(LOOK).await;
    }
    Mail(None)
}

/// The operator's answer, by a process of its own.
async fn play(stage: &Stage, yes: bool, id: &str, digest: &str) -> Done {
    let mut args = vec![if yes { "approve" } else { "deny" }, id, "--digest", digest];
    if !yes {
        args.extend(["--reason", "not today"]);
    }
    stage.text(&args).await.map(|_| ())
}

fn decision(shown: &Json) -> String {
    let last = shown.get("decisions").and_then(Json::as_array).and_then(<[Json]>::last);
    let Some(last) = last else {
        return format!("none; the request is {}", text(shown, "status"));
    };
    let reason = text(last, "reason");
    let reason = if reason.is_empty() { String::new() } else { format!(": {}", safe(&reason)) };
    format!("{} by {}{reason}", text(shown, "status"), safe(&text(last, "operator")))
}

/// Whether it ended as the operator said.
fn expected(args: &DemoArgs, status: &str, code: i32, written: Option<&str>) -> Done {
    let approved = written == Some(VALUE) && code == 0 && status == "approved";
    let denied = written.is_none() && code == i32::from(exit::DENIED) && status == "denied";
    let fits = match (args.yes, args.deny) {
        (true, _) => approved,
        (_, true) => denied,
        _ => approved || denied,
    };
    if fits {
        return Ok(());
    }
    if status == "expired" {
        return Err(Failure::new("nobody answered in time", "Run it again, or with --yes."));
    }
    Err(Failure::new(
        format!(
            "this is not what was to happen: the request is {status}, the agent ended with {code}"
        ),
        "Please report this.",
    ))
}

fn parsed(line: &str) -> Done<Json> {
    json::parse_envelope(line.trim_end().as_bytes()).map_err(|error| {
        Failure::new(format!("cannot read a part's answer: {error}"), "Please report this.")
    })
}

fn text(object: &Json, name: &str) -> String {
    object.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// An entry of the history from its JSON line, as far as the table shows it.
fn entry(line: &str) -> Done<AuditEntry> {
    let object = parsed(line)?;
    let text = |name: &str| text(&object, name);
    Ok(AuditEntry {
        sequence: object.get("sequence").and_then(Json::as_u64).unwrap_or_default(),
        at: text("at"),
        kind: text("kind"),
        request_id: text("request_id"),
        caller: text("caller"),
        agent: text("agent"),
        server: text("server"),
        tool: text("tool"),
        status: records::status_number(&text("status")),
        operator: text("operator"),
        payload: object.get("payload").map(Json::to_text).unwrap_or_default(),
        ..AuditEntry::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_succeeds_only_on_the_effect_that_was_asked_for() {
        let args = |yes, deny| DemoArgs { yes, deny };
        assert!(expected(&args(true, false), "approved", 0, Some(VALUE)).is_ok());
        assert!(expected(&args(true, false), "approved", 0, None).is_err());
        assert!(expected(&args(true, false), "denied", 10, None).is_err());
        assert!(expected(&args(false, true), "denied", 10, None).is_ok());
        assert!(expected(&args(false, true), "denied", 10, Some(VALUE)).is_err());
        assert!(expected(&args(false, false), "denied", 10, None).is_ok());
        assert!(expected(&args(false, false), "expired", 11, None).is_err());
    }

    #[test]
    fn the_script_that_is_shown_is_the_one_that_runs() {
        for part in [
            "request --server kv --tool set",
            r#"--args '{"key":"greeting","value":"hello"}'"#,
            "set greeting hello",
        ] {
            assert!(SCRIPT.contains(part) && SCRIPT_SHOWN.contains(part), "{part}");
        }
    }
}
