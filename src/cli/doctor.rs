//! `holdpoint doctor`: what is there, what answers, and what to mend.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::client::{Client, Role, brief, variable};
use super::config::render::pages_in_words;
use super::errors::{Done, Failure, exit};
use super::output::{Output, Tone, View};
use super::state::{Globals, token_file};
use super::text::safe;
use crate::config::{Config, StatePaths};
use crate::proto::{WhoAmIRequest, WhoAmIResponse};

/// How long this machine may take to say that somebody listens.
const PATIENCE: Duration = Duration::from_secs(3);

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    level: Level,
    what: &'static str,
    found: String,
    /// What to do; empty where nothing has to be done.
    remedy: String,
}

fn check(
    level: Level,
    what: &'static str,
    found: impl Into<String>,
    remedy: impl Into<String>,
) -> Check {
    Check { level, what, found: found.into(), remedy: remedy.into() }
}

/// Runs the command: exit code 1 if anything failed.
pub async fn run(globals: &Globals) -> Done {
    let mut checks = Vec::new();
    let paths = globals.paths();
    if let Some(elsewhere) = elsewhere(globals, paths.as_ref().ok()) {
        let found = format!("the daemon is at {elsewhere}: its files were not looked at");
        checks.push(check(Level::Ok, "where", found, ""));
        daemon(globals, None, &mut checks).await;
    } else {
        match &paths {
            Ok(paths) => checks.push(state_directory(&paths.dir)),
            Err(failure) => checks.push(failed("state", failure)),
        }
        let (config, found) = configuration(globals);
        checks.extend(found);
        if let Some(config) = config {
            checks.push(pages(&config).await);
        }
        daemon(globals, paths.ok().as_ref(), &mut checks).await;
    }
    let mut out = Output::stdout();
    let view = out.view();
    out.text(&render(&checks, &view))?;
    out.flush()?;
    let any = checks.iter().any(|check| check.level == Level::Fail);
    if any { Err(Failure::quiet(exit::OTHER)) } else { Ok(()) }
}

/// The address of a daemon that is not the one of this state directory.
fn elsewhere(globals: &Globals, paths: Option<&StatePaths>) -> Option<String> {
    let address = globals.connect.clone().or_else(|| variable("HOLDPOINT_SERVER"))?;
    let local = match address.strip_prefix("unix:") {
        Some(path) => paths.is_some_and(|paths| Path::new(path) == paths.socket),
        None => false,
    };
    // A configuration that was named is meant.
    let config = globals.config.is_some() || variable("HOLDPOINT_CONFIG").is_some();
    (!local && !config).then(|| safe(&address))
}

fn failed(what: &'static str, failure: &Failure) -> Check {
    check(Level::Fail, what, failure.what.clone(), failure.next.clone())
}

fn state_directory(dir: &Path) -> Check {
    let shown = safe(&dir.to_string_lossy());
    let meta = match dir.metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let remedy = "`holdpoint serve` makes it. Where the daemon is another machine's or user's, none is needed.";
            return check(Level::Warn, "state", format!("{shown} is not there"), remedy);
        }
        Err(error) => {
            return check(
                Level::Fail,
                "state",
                format!("{shown}: {error}"),
                "Make it readable for this user.",
            );
        }
    };
    let mode = meta.permissions().mode() & 0o777;
    if !meta.is_dir() {
        check(
            Level::Fail,
            "state",
            format!("{shown} is not a folder"),
            "Move it away, or set HOLDPOINT_STATE_DIR.",
        )
    } else if meta.uid() != rustix::process::geteuid().as_raw() {
        check(
            Level::Warn,
            "state",
            format!("{shown} belongs to another user"),
            "Set HOLDPOINT_SERVER and HOLDPOINT_TOKEN_FILE to speak to that user's daemon.",
        )
    } else if mode & 0o077 != 0 {
        let remedy = format!("Others may enter it: chmod 700 {}", super::text::shell_word(&shown));
        check(Level::Fail, "state", format!("{shown} has mode {mode:03o}"), remedy)
    } else {
        check(Level::Ok, "state", shown, "")
    }
}

fn configuration(globals: &Globals) -> (Option<Config>, Vec<Check>) {
    let (config, warnings) = match Config::load(globals.overrides()) {
        Ok(loaded) => loaded,
        Err(error) => {
            let one = |p: &crate::config::Problem| {
                check(
                    Level::Fail,
                    "config",
                    safe(&format!("{}: {}", p.place, p.message)),
                    safe(&p.remedy),
                )
            };
            return (None, error.problems.iter().map(one).collect());
        }
    };
    let file = match &config.file {
        Some(file) => safe(&file.to_string_lossy()),
        None => "no file, which is fine: defaults".to_owned(),
    };
    let mode = if config.local_mode() {
        "local mode".to_owned()
    } else {
        let (callers, operators) = (config.callers.len() as u64, config.operators.len() as u64);
        use super::text::count;
        format!(
            "{}, {}",
            count(callers, "caller", "callers"),
            count(operators, "operator", "operators")
        )
    };
    let mut checks = vec![check(Level::Ok, "config", format!("{file}; {mode}"), "")];
    checks.extend(warnings.iter().map(|warning| check(Level::Warn, "config", safe(warning), "")));
    (Some(config), checks)
}

/// Whether somebody listens where the operators' pages are to be. What a proxy in front
/// of it does is not seen from here.
async fn pages(config: &Config) -> Check {
    let where_ = pages_in_words(config);
    let Some(listen) = config.web_listen.filter(|listen| listen.port() != 0) else {
        return check(Level::Ok, "pages", where_, "");
    };
    let connect = tokio::net::TcpStream::connect(listen);
    match tokio::time::timeout(PATIENCE, connect).await {
        Ok(Ok(_)) => check(Level::Ok, "pages", where_, ""),
        _ => {
            let found = format!("{where_}; nothing answers at {listen}");
            let remedy = "`web_listen` takes effect when the daemon is started again.";
            check(Level::Fail, "pages", found, remedy)
        }
    }
}

async fn daemon(globals: &Globals, paths: Option<&StatePaths>, checks: &mut Vec<Check>) {
    let client = match Client::new(globals, Role::Operator) {
        Ok(client) => client,
        Err(failure) => return checks.push(failed("daemon", &failure)),
    };
    if let Err(failure) = client.connect().await {
        return checks.push(failed("daemon", &failure));
    }
    checks.push(check(Level::Ok, "daemon", format!("answers at {}", client.address), ""));
    let me = match identity(&client).await {
        Ok(me) => me,
        Err(failure) => return checks.push(failed("token", &failure)),
    };
    checks.push(check(
        Level::Ok,
        "token",
        format!("{} ({})", safe(&me.name), safe(&me.roles.join(", "))),
        "",
    ));
    if me.server_version != env!("CARGO_PKG_VERSION") {
        let found = format!(
            "the daemon is {}, this program {}",
            safe(&me.server_version),
            env!("CARGO_PKG_VERSION")
        );
        checks.push(check(Level::Warn, "version", found, "Bring both to the same version."));
    }
    checks.push(match me.server_state.as_str() {
        "serving" => check(Level::Ok, "store", "serving", ""),
        other => check(
            Level::Fail,
            "store",
            safe(other),
            "See the daemon's log: disk, permissions, clock.",
        ),
    });
    checks.push(mail(&me.mail));
    // In local mode there is a second token, for what asks.
    if let Some(paths) = paths.filter(|paths| token_file(paths, Role::Caller).exists()) {
        let caller = match Client::new(globals, Role::Caller) {
            Ok(client) => identity(&client).await,
            Err(failure) => Err(failure),
        };
        let shown = safe(&token_file(paths, Role::Caller).to_string_lossy());
        checks.push(match caller {
            Ok(_) => check(Level::Ok, "caller", shown, ""),
            Err(failure) => failed("caller", &failure),
        });
    }
}

/// Where the daemon says that mail goes: "127.0.0.1 port 25, without TLS", or
/// "files in DIR", which nobody is told of.
fn mail(goes: &str) -> Check {
    match goes {
        "" => check(Level::Warn, "mail", "the daemon does not say", ""),
        files if files.starts_with("files in ") => {
            let remedy = "Nobody is told until smtp_url and from are set (`holdpoint config init` shows how).";
            check(Level::Warn, "mail", safe(files), remedy)
        }
        server => check(Level::Ok, "mail", safe(server), ""),
    }
}

async fn identity(client: &Client) -> Done<WhoAmIResponse> {
    let answer = client.operator().who_am_i(brief(WhoAmIRequest {})).await;
    Ok(answer.map_err(|status| client.failure(status))?.into_inner())
}

fn render(checks: &[Check], view: &View) -> String {
    let mut text = String::new();
    for check in checks {
        let (word, tone) = match check.level {
            Level::Ok => ("ok  ", Tone::Good),
            Level::Warn => ("warn", Tone::Caution),
            Level::Fail => ("fail", Tone::Alarm),
        };
        text.push_str(&format!("{}  {:<8}{}\n", view.paint(tone, word), check.what, check.found));
        if !check.remedy.is_empty() {
            text.push_str(&format!("              -> {}\n", check.remedy));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mail_that_goes_to_files_reaches_nobody() {
        for server in ["127.0.0.1 port 25, without TLS", "mail.example.com port 465, TLS"] {
            let found = mail(server);
            assert_eq!((found.level, found.found.as_str()), (Level::Ok, server));
        }
        let files = mail("files in /var/lib/holdpoint/mail");
        assert!(files.level == Level::Warn && files.remedy.contains("smtp_url"), "{files:?}");
    }

    #[tokio::test]
    async fn pages_that_nobody_serves_are_said() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let listen = listener.local_addr().expect("bound");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("holdpoint.toml");
        let config = |text: String| {
            std::fs::write(&file, text).expect("written");
            let overrides =
                crate::config::Overrides { config: Some(file.clone()), ..Default::default() };
            Config::load(overrides).expect("a configuration").0
        };
        let with = config(format!("web_listen = \"{listen}\"\n"));
        let found = pages(&with).await;
        assert_eq!((found.level, found.found), (Level::Ok, format!("http://{listen}/")));
        drop(listener);
        assert_eq!(pages(&with).await.level, Level::Fail);
        let none = pages(&config(String::new())).await;
        assert!(none.level == Level::Ok && none.found.contains("no links"), "{none:?}");
    }

    #[test]
    fn a_state_directory_that_others_may_enter_fails_and_says_how_to_mend_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mode =
            |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode));
        mode(0o755).expect("changed");
        let found = state_directory(folder.path());
        assert_eq!(found.level, Level::Fail);
        assert!(found.remedy.contains("chmod 700"), "{found:?}");
        mode(0o700).expect("changed");
        assert_eq!(state_directory(folder.path()).level, Level::Ok);
        assert_eq!(state_directory(&folder.path().join("none")).level, Level::Warn);
    }
}
