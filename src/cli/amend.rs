//! Decisions about decisions: `lift` forgets a denial, `confirm-clock` vouches
//! for the daemon's clock.

use clap::Args;

use super::client::{Client, Role, brief};
use super::errors::{Done, Failure};
use super::output::note;
use super::state::Globals;
use super::text::safe;
use crate::call::ids::RequestId;
use crate::proto;

/// Forget a denial, so that the same call may be asked again.
#[derive(Debug, Clone, Args)]
pub struct LiftArgs {
    /// The denied request's full id
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

/// `holdpoint lift`
pub async fn lift(globals: &Globals, args: LiftArgs) -> Done {
    let Ok(id) = args.id.parse::<RequestId>() else {
        return Err(Failure::usage(
            format!("{} is not a full request id", safe(&args.id)),
            "`holdpoint show` prints it.",
        ));
    };
    let client = Client::new(globals, Role::Operator)?;
    let message = proto::LiftDenialRequest { id: id.to_string(), reason: args.reason };
    let lifted = client.operator().lift_denial(brief(message)).await;
    lifted.map_err(|status| client.failure(status).about(&args.id))?;
    note(&format!("[{}] the denial is forgotten: the same call may be asked again", id.short()));
    Ok(())
}

/// `holdpoint confirm-clock`
pub async fn confirm_clock(globals: &Globals) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    let answer = client.operator().confirm_clock(brief(proto::ConfirmClockRequest {})).await;
    let answer = answer.map_err(|status| client.failure(status))?.into_inner();
    note(&format!("confirmed: the daemon's clock is right, it is {}", safe(&answer.now)));
    Ok(())
}
