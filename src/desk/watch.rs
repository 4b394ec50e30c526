//! A watcher's stream: what is pending, then every change, missing none.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast::{self, Receiver, error::RecvError};

use super::error::DeskError;
use super::people::Operator;
use super::{Desk, sees};
use crate::call::model::Request;
use crate::store::read::{self, PendingAfter};
use crate::store::{Event, audit};

/// Requests read at once for the beginning of a stream.
const PAGE: usize = 500;

/// What a watcher is sent.
#[derive(Debug, Clone)]
pub enum Sight {
    /// It was pending when the stream began.
    Pending(Arc<Request>),
    /// All that was pending has been sent.
    Ready,
    /// Something happened.
    Changed(Event),
    /// The watcher was too slow: everything comes again.
    Reset,
}

/// One watcher.
#[derive(Debug)]
pub struct Watch {
    desk: Arc<Desk>,
    operator: Arc<Operator>,
    events: Receiver<Event>,
    ready: VecDeque<Sight>,
    /// Where the beginning stands; `None` once it has been sent.
    page: Option<PendingAfter>,
    /// Newest audit entry when the beginning was read: events up to it are in it.
    seen: u64,
    /// Events were missed, so everything has to be sent again.
    behind: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.desk.metrics().watchers.dec();
    }
}

impl Watch {
    /// Begins to watch. Subscribed first, read second.
    pub async fn begin(desk: Arc<Desk>, operator: Arc<Operator>) -> Result<Self, DeskError> {
        let events = desk.subscribe();
        let seen = newest(&desk).await?;
        let (ready, page) = (VecDeque::new(), Some(PendingAfter::default()));
        desk.metrics().watchers.inc();
        Ok(Watch { desk, operator, events, ready, page, seen, behind: false })
    }

    /// Who watches, as they were known when the stream last began.
    pub fn operator(&self) -> &Arc<Operator> {
        &self.operator
    }

    /// The watcher may see other requests than before: everything comes again.
    pub fn became(&mut self, operator: Arc<Operator>) {
        self.operator = operator;
        self.behind = true;
    }

    /// What comes next; `None` when the daemon stops. May be given up at any time.
    pub async fn next(&mut self) -> Result<Option<Sight>, DeskError> {
        loop {
            if self.behind {
                self.start_over().await?;
            }
            if let Some(sight) = self.ready.pop_front() {
                return Ok(Some(sight));
            }
            if let Some(after) = self.page {
                self.read_page(after).await?;
                continue;
            }
            match self.events.recv().await {
                Ok(event) if event.sequence <= self.seen => {}
                Ok(event) => {
                    if sees(&self.operator, &event.request) {
                        return Ok(Some(Sight::Changed(event)));
                    }
                }
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    /// Keeps nothing for a watcher that does not read. What is not read yet is
    /// kept for all watchers together, and may be thousands of large requests.
    pub fn let_go(&mut self) {
        self.events = broadcast::channel(1).1;
        self.ready.clear();
        self.behind = true;
    }

    /// Sends everything again.
    pub async fn start_over(&mut self) -> Result<(), DeskError> {
        self.events = self.desk.subscribe();
        self.seen = newest(&self.desk).await?;
        self.behind = false;
        self.page = Some(PendingAfter::default());
        self.ready = VecDeque::from([Sight::Reset]);
        Ok(())
    }

    /// A request that ends while the beginning is being read is either still in
    /// a page (and its ending comes as an event) or in none; both are right.
    async fn read_page(&mut self, after: PendingAfter) -> Result<(), DeskError> {
        let read = self.desk.store().read(move |conn| read::pending(conn, after, PAGE));
        let (page, more) = read.await?;
        self.page = page.last().map(|(at, _)| *at).filter(|_| more);
        let mine = page.into_iter().filter(|(_, request)| sees(&self.operator, request));
        self.ready.extend(mine.map(|(_, request)| Sight::Pending(Arc::new(request))));
        if self.page.is_none() {
            self.ready.push_back(Sight::Ready);
        }
        Ok(())
    }
}

async fn newest(desk: &Desk) -> Result<u64, DeskError> {
    Ok(desk.store().read(audit::newest_sequence).await?)
}
