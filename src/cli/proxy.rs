//! `holdpoint proxy`: the MCP proxy in front of a server, or of many.

mod served;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::task::AbortHandle;

use super::child::{self, Forward};
use super::client::{Client, Role, brief};
use super::errors::{Done, Failure, exit};
use super::output::note;
use super::state::Globals;
use super::text::safe;
use crate::config::duration;
use crate::grpc::server::bind_tcp;
use crate::metrics::proxy::ProxyMetrics;
use crate::monitor;
use crate::proto;
use crate::proxy::config::DEFAULT_HOLD;
use crate::proxy::gate::{self, Gate, Policies, Settings};
use crate::proxy::state::State;
use crate::proxy::stdio::{self, Between, Ended};
use crate::telemetry::Logging;

/// The longest name of a server or a session.
const LONGEST_NAME: usize = 200;

/// Shorter holds would ask the agent to repeat itself without end.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);

/// Stand between an MCP client and its server: calls are allowed, denied or held
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct ProxyArgs {
    /// The policy (YAML) [default: what only reads passes, everything else is held]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// With --config: only say whether the file is right
    #[arg(long)]
    check: bool,
    /// The server's name in requests and in the policy [default: its command's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Believe what the server's tools say of themselves
    #[arg(long)]
    trusted: bool,
    /// Names the session: a call that waited is continued by the same call in a
    /// session of the same name, also after this process was restarted [default:
    /// a random one]
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// How long a client is kept waiting that takes no progress and no tasks,
    /// before it is told to make the same call again
    /// [default: 50s]
    #[arg(long, value_name = "TIME", value_parser = length)]
    hold: Option<Duration>,
    /// What happens to the request when the client cancels a call that waits
    /// [default: keep]
    #[arg(long, value_enum)]
    on_cancel: Option<OnCancel>,
    /// What the history says of calls that are allowed: nothing, that they were made
    /// and their digest, or all of them before they run [default: hash]
    #[arg(long, value_enum)]
    record: Option<Record>,
    /// On whose behalf the client calls: who that is cannot approve its calls
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Where Prometheus can read how many calls there were, by what became of them
    /// [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<SocketAddr>,
    /// Hold nothing; record what would have been held
    #[arg(long)]
    dry_run: bool,
    /// The server's command
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnCancel {
    Keep,
    Withdraw,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Record {
    Off,
    Hash,
    Full,
}

const EXAMPLE: &str = "\
In a client's .mcp.json, in place of the server's own command:
  \"command\": \"holdpoint\", \"args\": [\"proxy\", \"--\", \"uvx\", \"awslabs.valkey-mcp-server\"]

The server has this process's environment (but not the token for the daemon), its
standard error, its signals; the exit code is the server's. On standard error it says only
what is wrong; HOLDPOINT_LOG=info says more.

With --config FILE instead of a command it serves many servers over HTTP, each at
/NAME/mcp: the file says which, and who may call (see `holdpoint proxy --config FILE
--check`).";

fn length(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

/// Runs the proxy until it ends. `Ok` carries the exit code.
pub async fn run(globals: &Globals, args: ProxyArgs) -> Done<u8> {
    match (&globals.config, args.command.is_empty()) {
        (Some(file), true) => {
            served::fits(&args)?;
            served::run(globals, file, args.check, args.dry_run).await.map(|()| exit::OK)
        }
        (Some(_), false) => Err(Failure::usage(
            "both --config and a command were given",
            "Serve one server with a command, or those of a file with --config.",
        )),
        (None, _) => between(globals, args).await,
    }
}

/// Stands between one client and one server, until either ends.
async fn between(globals: &Globals, args: ProxyArgs) -> Done<u8> {
    let _log = Logging::start_at("warn");
    let client = Client::new(globals, Role::Caller)?;
    let [program, arguments @ ..] = &args.command[..] else {
        let next = "Write the server's command after --, or give --config FILE.";
        return Err(Failure::usage("no command was given", next));
    };
    let server = match &args.name {
        Some(name) => name.clone(),
        None => name_of(program)?,
    };
    let has_policy = args.policy.is_some();
    short_enough("--name", &server)?;
    args.session.as_deref().map_or(Ok(()), |session| short_enough("--session", session))?;
    args.user.as_deref().map_or(Ok(()), |user| short_enough("--user", user))?;
    let trusted = if args.trusted { vec![server.clone()] } else { Vec::new() };
    let policies = Policies::open(args.policy, trusted)
        .map_err(|error| Failure::usage(error.to_string(), "Nothing was started."))?;
    if has_policy && policies.now(&server).passes_over(&server) {
        note(&format!(
            "holdpoint: nothing in the policy is about a server \"{}\", so its default holds for every tool; \
             --name says what this server is called",
            safe(&server)
        ));
    }
    let metrics = Arc::new(ProxyMetrics::new([&*server]));
    let settings = Settings {
        dry_run: args.dry_run,
        on_cancel: match args.on_cancel {
            None | Some(OnCancel::Keep) => gate::OnCancel::Keep,
            Some(OnCancel::Withdraw) => gate::OnCancel::Withdraw,
        },
        record: match args.record {
            None | Some(Record::Hash) => gate::Record::Hash,
            Some(Record::Off) => gate::Record::Off,
            Some(Record::Full) => gate::Record::Full,
        },
        // Each process is one session: who starts it decides how many there are.
        sessions_per_hour: None,
        answer_within: None,
        metrics: metrics.clone(),
    };
    let _monitor = match args.metrics_listen {
        Some(address) => Some(Monitor::open(address, metrics).await?),
        None => None,
    };
    let gate = Gate::new(client.caller(), policies, state(globals)?, settings);
    tokio::spawn(tell_if_away(client));
    let session =
        args.session.unwrap_or_else(|| format!("stdio-{}", uuid::Uuid::new_v4().simple()));
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    for secret in ["HOLDPOINT_TOKEN", "HOLDPOINT_TOKEN_FILE"] {
        command.env_remove(secret);
    }
    let hold = args.hold.unwrap_or(DEFAULT_HOLD).max(SHORTEST_HOLD);
    let mut forward = Forward::listen()?;
    let between = Between { command, server, session, user: args.user.unwrap_or_default(), hold };
    let ended =
        stdio::run(gate, between, async move |mut process| forward.until_ended(&mut process).await)
            .await;
    match ended {
        Ended::Exit(status) => Ok(child::ended(status).2),
        Ended::CannotStart(error) => {
            let code = match error.kind() {
                std::io::ErrorKind::NotFound => exit::NOT_FOUND,
                _ => exit::CANNOT_RUN,
            };
            let what = format!("cannot run {}: {error}", safe(&program.to_string_lossy()));
            Err(Failure::new(what, "Check the command and PATH.").with_exit(code))
        }
    }
}

/// The door for monitoring, open as long as this lives.
struct Monitor {
    /// Where the page is.
    address: String,
    serving: AbortHandle,
}

impl Monitor {
    async fn open(address: SocketAddr, metrics: Arc<ProxyMetrics>) -> Done<Monitor> {
        let listener = bind_tcp("metrics_listen", address).await.map_err(|error| {
            Failure::new(error, "Nothing was started.").with_exit(exit::CANNOT_RUN)
        })?;
        let address = listener.local_addr().unwrap_or(address);
        let serving = tokio::spawn(monitor::proxy::serve(metrics, listener)).abort_handle();
        Ok(Monitor { address: format!("http://{address}/metrics"), serving })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What proxies remember: limits, counters, definitions of tools.
fn state(globals: &Globals) -> Done<State> {
    let paths = globals.paths()?;
    State::open(&paths.dir).map_err(|error| {
        Failure::new(error.to_string(), "Nothing was started.").with_exit(exit::CANNOT_RUN)
    })
}

/// Programs that start others: their own name would stand for every server that
/// they start, and a policy or an operator could not tell these apart.
const LAUNCHERS: [&str; 24] = [
    "bash", "bun", "bunx", "cargo", "deno", "docker", "env", "go", "java", "mise", "nice", "node",
    "npx", "pipx", "pnpm", "podman", "poetry", "python", "ruby", "sh", "sudo", "uv", "uvx", "yarn",
];

/// What a server is called after its program.
pub(super) fn name_of(program: &OsStr) -> Done<String> {
    let name = Path::new(program).file_name().and_then(OsStr::to_str);
    let bare = name.map(|name| name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
    if bare.is_some_and(|bare| LAUNCHERS.contains(&bare)) {
        let what =
            format!("{} starts many servers: this one needs a name", safe(name.unwrap_or("it")));
        let next =
            "Give it with --name: requests, the history and the policy call the server by it.";
        return Err(Failure::usage(what, next));
    }
    name.map(str::to_owned).ok_or_else(|| {
        let what =
            format!("{} has no name to call the server by", safe(&program.to_string_lossy()));
        Failure::usage(what, "Give one with --name.")
    })
}

/// Says on standard error that calls cannot be held, while nobody has called yet:
/// the agent is told only that the approval service is away.
async fn tell_if_away(client: Client) {
    let asked = client.operator().who_am_i(brief(proto::WhoAmIRequest {})).await;
    let failure = match asked {
        Ok(who) if who.get_ref().roles.iter().any(|role| role == "caller") => return,
        Ok(_) => Failure::new(
            "the daemon takes the proxy's token for an operator's",
            "Give it the token of a caller.",
        ),
        Err(status) => client.failure(status),
    };
    note(&format!(
        "holdpoint: calls that need approval will not run until this is mended: {failure} Many \
         clients do not pass their environment on: set the HOLDPOINT_ variables in the client's \"env\"."
    ));
}

/// The daemon takes names of at most 200 bytes.
fn short_enough(option: &str, name: &str) -> Done {
    if (1..=LONGEST_NAME).contains(&name.len()) {
        return Ok(());
    }
    let what = format!("{option}: a name has 1 to {LONGEST_NAME} bytes, this one {}", name.len());
    Err(Failure::usage(what, "Give a shorter one, or none."))
}
