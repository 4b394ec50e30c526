//! Decisions about decisions: `lift` forgets a denial, `confirm-clock` vouches
//! for the daemon's clock.

use clap::Args;

use super::client::{Client, Role, brief};
use super::errors::Done;
use super::look::find;
use super::output::note;
use super::state::Globals;
use super::text::{safe, short};
use crate::call::ids::RequestId;
use crate::proto;

/// Forget a denial, so that the same call may be asked again.
#[derive(Debug, Clone, Args)]
pub struct LiftArgs {
    /// The denied request's id, or the unique beginning or end of one (4 digits or more)
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

/// `holdpoint lift`
pub async fn lift(globals: &Globals, args: LiftArgs) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    let id = match args.id.parse::<RequestId>() {
        Ok(id) => id.to_string(),
        Err(_) => find(&client, &args.id).await?.request.unwrap_or_default().id,
    };
    let message = proto::LiftDenialRequest { id: id.clone(), reason: args.reason };
    let lifted = client.operator().lift_denial(brief(message)).await;
    lifted.map_err(|status| client.failure(status).about(&id))?;
    note(&format!("[{}] the denial is forgotten: the same call may be asked again", short(&id)));
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
