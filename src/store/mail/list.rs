//! Mails as people see them: on a request, and in the queue.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{FAILED, QUEUED, SENT, kind_of, request_of};
use crate::call::ids::RequestId;
use crate::call::model::Notice;
use crate::call::time::Time;
use crate::store::error::StoreError;
use crate::store::reader::Reader;

/// How many rows one page looks at, at most.
const EXAMINED: usize = 2000;

/// The columns of [`notice_of`] and the tables they come from. What a mail within
/// a summary went through is the summary's.
pub(in crate::store) const NOTICE: &str = "o.kind, o.operator, o.state, coalesce(s.detail, o.detail), \
     coalesce(s.attempts, o.attempts), coalesce(s.at, o.at), o.summary, coalesce(s.begun, o.begun), \
     coalesce(s.due, o.due) FROM outbox o LEFT JOIN outbox s ON s.n = o.summary";

/// How many columns [`NOTICE`] has: others come before it, and so here after.
const COLUMNS_BEFORE: usize = 4;

/// Reads the columns of [`NOTICE`], which begin at `first`.
pub(in crate::store) fn notice_of(row: &Row<'_>, first: usize) -> rusqlite::Result<Notice> {
    let attempts: u32 = row.get(first + 4)?;
    let underway = row.get::<_, i64>(first + 7)? > 0;
    let deferred = attempts > 0 && !underway;
    let state = match row.get::<_, i64>(first + 2)? {
        QUEUED if deferred => "deferred",
        QUEUED => "queued",
        SENT => "sent",
        FAILED => "failed",
        _ => "pointless",
    };
    let due = row.get::<_, i64>(first + 8)?;
    Ok(Notice {
        kind: kind_of(row, first)?,
        operator: row.get(first + 1)?,
        state: state.to_owned(),
        detail: row.get(first + 3)?,
        attempts,
        at: row.get::<_, Option<i64>>(first + 5)?.map(Time),
        next_attempt: (state == "deferred").then_some(Time(due)),
        in_summary: row.get::<_, Option<i64>>(first + 6)?.is_some(),
    })
}

/// Which mails are listed, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailList {
    /// Every mail, newest first; those within a summary too.
    All,
    /// Queued or deferred letters, by operator, most urgent first.
    Waiting,
    /// Letters that will not be tried again, newest attempt first.
    Failed,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailPlace {
    /// To whom, where the list is in order of them; else empty. Empty there too where
    /// its reader may not see that mail: then its row alone says where.
    pub operator: String,
    /// By when it should go, or when it was tried.
    pub at: i64,
    /// Its row.
    pub n: i64,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailQuestion {
    /// Which ones.
    pub list: MailList,
    /// Only those to this operator.
    pub operator: Option<String>,
    /// Only those whose newest attempt is not older; what was not tried always fits.
    pub since: Option<Time>,
    /// Behind this place.
    pub after: Option<MailPlace>,
    /// At most so many.
    pub most: usize,
}

/// A mail in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMail {
    /// Its row.
    pub id: i64,
    /// What it is and how it went.
    pub notice: Notice,
    /// What it is about; `None` for a summary.
    pub request: Option<RequestId>,
    /// How many mails a summary stands for.
    pub gathers: u32,
}

/// A page of mails for this reader (without one, for who sees everything), and where
/// the next one begins. A page that looked at 2,000 rows may be short, or empty, and
/// still not be the last.
pub fn list(
    conn: &Connection,
    question: &MailQuestion,
    mut reader: Option<&mut Reader<'_>>,
) -> Result<(Vec<ListedMail>, Option<MailPlace>), StoreError> {
    let after = begin(conn, question)?;
    let (place, wanted) = match question.list {
        MailList::All => ("0", "o.n < ?3 ORDER BY o.n DESC"),
        MailList::Waiting => (
            "o.go_by",
            "o.state = 0 AND o.summary IS NULL AND (o.operator, o.go_by, o.n) > (?1, ?2, ?3)
             ORDER BY o.operator, o.go_by, o.n",
        ),
        MailList::Failed => (
            "o.at",
            "o.state = 2 AND o.summary IS NULL AND (o.at, o.n) < (?2, ?3)
             ORDER BY o.at DESC, o.n DESC",
        ),
    };
    let sql = format!(
        "SELECT o.n, o.request, {place}, (SELECT count(*) FROM outbox m WHERE m.summary = o.n),
           {NOTICE} WHERE {wanted} LIMIT ?4"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![after.operator, after.at, after.n, EXAMINED as i64])?;
    let (mut found, mut examined, mut seen) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        let notice = notice_of(row, COLUMNS_BEFORE)?;
        let (id, at) = (row.get(0)?, row.get(2)?);
        let in_order = question.list == MailList::Waiting;
        let operator = if in_order { notice.operator.clone() } else { String::new() };
        let here = MailPlace { operator, at, n: id };
        if question.operator.as_ref().is_some_and(|wanted| *wanted != notice.operator) {
            if in_order {
                // In order of operators: those of this one are all behind us.
                return Ok((found, None));
            }
        } else if question.since.is_some_and(|since| notice.at.is_some_and(|at| at < since)) {
            if question.list == MailList::Failed {
                return Ok((found, None));
            }
        } else {
            let (request, gathers) = (request_of(row, 1)?, row.get(3)?);
            let is_told = match &mut reader {
                Some(reader) => reader.is_told(conn, request, Some(&notice.operator))?,
                None => true,
            };
            if is_told {
                seen = Some(here.clone());
                found.push(ListedMail { id, notice, request, gathers });
            }
        }
        examined += 1;
        let full = found.len() == question.most;
        if !full && examined < EXAMINED {
            continue;
        }
        let place = match (reader, seen) {
            // It does not tell whose mail the page ended at: what is theirs comes before.
            (Some(_), Some(seen)) => seen,
            (Some(_), None) if in_order => MailPlace { operator: String::new(), at: 0, n: id },
            _ => here,
        };
        return Ok((found, Some(place)));
    }
    Ok((found, None))
}

/// Behind which place a page begins.
fn begin(conn: &Connection, question: &MailQuestion) -> Result<MailPlace, StoreError> {
    let Some(after) = question.after.clone() else { return Ok(first(question)) };
    if question.list != MailList::Waiting || !after.operator.is_empty() {
        return Ok(after);
    }
    let row = conn
        .prepare_cached("SELECT operator, go_by FROM outbox WHERE n = ?")?
        .query_row([after.n], |row| {
            Ok(MailPlace { operator: row.get(0)?, at: row.get(1)?, n: after.n })
        })
        .optional()?;
    // Where it is forgotten meanwhile, the list begins again.
    Ok(row.unwrap_or_else(|| first(question)))
}

/// Before the first one.
fn first(question: &MailQuestion) -> MailPlace {
    let far = match question.list {
        MailList::Waiting => i64::MIN,
        MailList::All | MailList::Failed => i64::MAX,
    };
    MailPlace { operator: question.operator.clone().unwrap_or_default(), at: far, n: far }
}

/// One mail.
pub fn one(conn: &Connection, id: i64) -> Result<Option<ListedMail>, StoreError> {
    let place = MailPlace { operator: String::new(), at: 0, n: id.saturating_add(1) };
    let question = MailQuestion {
        list: MailList::All,
        operator: None,
        since: None,
        after: Some(place),
        most: 1,
    };
    let found = list(conn, &question, None)?.0.into_iter().next();
    Ok(found.filter(|mail| mail.id == id))
}
