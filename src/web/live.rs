//! Tells an open page that something changed, so that it fetches itself anew.
//!
//! Promises: nothing about any request travels here but the ids of those that this
//! person may see; a page that does not read holds nothing up; a sign-in that ends
//! ends its streams; a person who opens too many is left the newest. Must never: keep a sign-in alive, as a person does who uses it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::Pages;
use super::answer::Trouble;
use super::who::Who;
use crate::desk::sees;

/// How long changes are gathered before a page hears of them: quick enough for an
/// eye, and a storm of requests does not become a storm of pages.
const GATHER: Duration = Duration::from_millis(300);

/// Ids that one message names; more are told as "many".
const NAMED: usize = 20;

/// A comment in a silent stream, so that proxies keep it open.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How often it is asked whether the sign-in is still there: its own end rings nowhere.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Seconds after which a page that found no place may try again.
const AGAIN: u64 = 60;

/// GET /live
pub async fn stream(State(pages): State<Arc<Pages>>, who: Who) -> Response {
    let Some(place) = pages.watching.enter(&who.operator().name) else {
        let words = "Too many pages are open. This one does not follow changes by itself.";
        let trouble = Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "Not live", words);
        return trouble.after(AGAIN).into_response();
    };
    let mut events = pages.desk.subscribe();
    let (sender, receiver) = mpsc::channel::<Event>(1);
    let desk = pages.desk.clone();
    tokio::spawn(async move {
        let (mut closing, mut changes) = (desk.closing(), desk.changes());
        let ended = async {
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => {}
                () = sender.closed() => {}
            }
        };
        tokio::pin!(ended);
        let mut operator = who.operator().clone();
        let mut asked = Instant::now();
        // So that a page which comes back knows that it is back.
        if sender.try_send(Event::default().event("here").data("now")).is_err() {
            return;
        }
        let mut changed = Changed::default();
        loop {
            let event = tokio::select! {
                biased;
                () = &mut ended => return,
                // Told, so that it does not come back at once and take another's place.
                () = place.taken() => {
                    let _ = sender.try_send(Event::default().event("elsewhere").data("now"));
                    return;
                }
                // Whoever may not see it any more is told nothing more, and who may see
                // other requests than before is told of those.
                () = any(changes.changed(), sleep_until(asked + ASK_AGAIN)) => {
                    let Ok(Some(now)) = desk.still_signed_in(&who.signed_in).await else { return };
                    (operator, asked) = (now, Instant::now());
                    continue;
                }
                event = events.recv(), if changed.may_wait() => event,
                // What is gathered is told now; a page that has not read the last
                // message is told when it has.
                () = sleep(GATHER), if changed.any() => {
                    // Not read yet: it stays gathered.
                    if let Ok(place) = sender.try_reserve() {
                        place.send(changed.tell());
                    } else {
                        changed.wait_again();
                    }
                    continue;
                }
            };
            match event {
                Ok(event) if sees(&operator, &event.request) => {
                    changed.add(event.request.id.to_string());
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => changed.many = true,
                Err(RecvError::Closed) => return,
            }
        }
    });
    let events = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("");
    Sse::new(events).keep_alive(keep_alive).into_response()
}

/// Ends with whichever ends first.
async fn any<T>(one: impl Future<Output = T>, other: impl Future<Output = ()>) {
    tokio::select! {
        _ = one => {}
        () = other => {}
    }
}

/// What has changed since the page was last told.
#[derive(Default)]
struct Changed {
    ids: Vec<String>,
    many: bool,
    since: Option<Instant>,
}

impl Changed {
    fn add(&mut self, id: String) {
        self.since.get_or_insert_with(Instant::now);
        if self.ids.len() >= NAMED {
            self.many = true;
        } else if !self.ids.contains(&id) {
            self.ids.push(id);
        }
    }

    fn any(&self) -> bool {
        self.many || !self.ids.is_empty()
    }

    /// Whether more may be gathered: in a storm the page is told all the same.
    fn may_wait(&self) -> bool {
        self.since.is_none_or(|since| since.elapsed() < GATHER)
    }

    /// There is no room for it: it is tried again when as much time has passed.
    fn wait_again(&mut self) {
        self.since = Some(Instant::now());
    }

    fn tell(&mut self) -> Event {
        let all = std::mem::take(self);
        let data = if all.many { "many".to_owned() } else { all.ids.join(" ") };
        Event::default().event("changed").data(data)
    }
}
