//! What waits for this person, most urgent first.
//!
//! Identical calls of one caller stand together, so that a loop of an agent is one
//! line and not fifty.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::answer::Trouble;
use super::form::Form;
use super::layout::{Here, page as whole_page};
use super::who::Who;
use super::{Pages, words};
use crate::call::model::{Category, Request, Risk};
use crate::call::present;
use crate::call::safe_text::SafeText;
use crate::policy::judging::Says;

/// Lines on one page.
const ON_A_PAGE: usize = 100;

/// What a person wants to see of the queue.
#[derive(Debug, Default)]
struct Filter {
    category: Option<Category>,
    risk: Option<Risk>,
    /// Part of a name: server, tool, caller, client, or on whose behalf.
    name: String,
    /// Also what others decide, for who may see it.
    all: bool,
    page: usize,
}

impl Filter {
    fn of(form: &Form) -> Filter {
        Filter {
            category: Category::from_word(form.text("category")),
            risk: Risk::from_word(form.text("risk")),
            name: form.text("name").trim().to_lowercase(),
            all: form.text("whose") == "all",
            page: form.text("page").parse().unwrap_or(1).max(1),
        }
    }

    fn lets(&self, request: &Request) -> bool {
        let call = &request.call;
        let names = [
            &call.server,
            &call.tool,
            &call.caller,
            &call.client,
            &call.agent.name,
            &call.agent.on_behalf_of,
        ];
        self.category.is_none_or(|category| category == call.category)
            && self.risk.is_none_or(|risk| risk == call.risk)
            && (self.name.is_empty()
                || names.iter().any(|name| name.to_lowercase().contains(&self.name)))
    }

    fn is_set(&self) -> bool {
        self.category.is_some() || self.risk.is_some() || !self.name.is_empty()
    }

    /// The same on another page.
    fn path(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix("/?".to_owned(), 2);
        if let Some(category) = self.category {
            query.append_pair("category", category.word());
        }
        if let Some(risk) = self.risk {
            query.append_pair("risk", risk.word());
        }
        if !self.name.is_empty() {
            query.append_pair("name", &self.name);
        }
        if self.all {
            query.append_pair("whose", "all");
        }
        query.append_pair("page", &page.to_string());
        query.finish()
    }
}

/// GET /
pub async fn page(
    State(pages): State<Arc<Pages>>,
    RawQuery(query): RawQuery,
    who: Who,
) -> Result<Response, Trouble> {
    let filter = Filter::of(&Form::read(query.unwrap_or_default().as_bytes()));
    let (requests, more) = pages.desk.pending_for(who.operator(), filter.all).await?;
    let all = requests.len();
    let groups = grouped(requests.into_iter().filter(|request| filter.lets(request)));
    let from = (filter.page - 1).saturating_mul(ON_A_PAGE).min(groups.len());
    let shown = &groups[from..groups.len().min(from + ON_A_PAGE)];
    let title = match (all, more) {
        (0, _) => "Nothing waits".to_owned(),
        (n, false) => format!("({n}) Queue"),
        (n, true) => format!("({n}+) Queue"),
    };
    let body = html! {
        div #live data-live="queue" {
            h1 { "What waits for " @if filter.all { "anybody" } @else { "you" } }
            (filters(&filter, &who))
            @if groups.is_empty() {
                (nothing(&filter, all))
            } @else {
                ol.queue role="list" {
                    @for group in shown { li.row { (line(group, &who)) } }
                }
                (pager(&filter, from + shown.len(), groups.len()))
            }
            @if more { p.hint { "More wait than are counted here." } }
        }
    };
    let title = SafeText::line(&title);
    Ok(whole_page(&who, Here::Queue, &title, &body).into_response())
}

fn nothing(filter: &Filter, all: usize) -> Markup {
    html! {
        div.empty {
            @if filter.is_set() && all > 0 {
                p { "Nothing that waits is like that. " a href="/" { "Show all " (all) } }
            } @else {
                p { strong { "Nothing waits for you." } }
                p.hint { "A call that needs your approval appears here by itself." }
            }
        }
    }
}

fn filters(filter: &Filter, who: &Who) -> Markup {
    let categories = Category::ALL.iter().filter(|c| **c != Category::Unspecified);
    let risks = Risk::ALL.iter().filter(|r| **r != Risk::Unspecified);
    html! {
        details.filters open[filter.is_set()] {
            summary { "Filter" }
            form method="get" action="/" {
                label { "Category "
                    select name="category" {
                        option value="" { "any" }
                        @for c in categories {
                            option value=(c.word()) selected[filter.category == Some(*c)] { (c.word()) }
                        }
                    }
                }
                label { "Risk "
                    select name="risk" {
                        option value="" { "any" }
                        @for r in risks {
                            option value=(r.word()) selected[filter.risk == Some(*r)] { (r.word()) }
                        }
                    }
                }
                label { "Name "
                    input type="search" name="name" value=(SafeText::line(&filter.name))
                        placeholder="server, tool, agent, person";
                }
                @if who.operator().sees_all() {
                    label { input type="checkbox" name="whose" value="all" checked[filter.all]; " also what others decide" }
                }
                button { "Show" }
            }
        }
    }
}

fn pager(filter: &Filter, to: usize, all: usize) -> Markup {
    html! {
        @if all > ON_A_PAGE {
            nav.pager aria-label="More of the queue" {
                @if filter.page > 1 { a rel="prev" href=(filter.path(filter.page - 1)) { "Before" } }
                span { (to.min(all)) " of " (all) }
                @if to < all { a rel="next" href=(filter.path(filter.page + 1)) { "More" } }
            }
        }
    }
}

/// Identical calls of one caller for one person, in the place of the most urgent.
fn grouped(requests: impl Iterator<Item = Request>) -> Vec<Vec<Request>> {
    let mut groups: Vec<Vec<Request>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for request in requests {
        let call = &request.call;
        let key = (call.digest, call.caller.clone(), call.agent.on_behalf_of.clone());
        let place = *places.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(request);
    }
    groups
}

fn line(group: &[Request], who: &Who) -> Markup {
    let Some(first) = group.first() else { return Markup::default() };
    let call = &first.call;
    let path = format!("/requests/{}", first.id);
    let says = Says::of(call);
    html! {
        div.badges {
            (words::does(call, &says)) (words::risk(call.risk))
            span.grow {}
            (words::left(&who.clock, first.deadline))
        }
        a.what href=(path) { (words::unbroken(&present::sentence_of(&first.call, says.belies()))) }
        p.who { (asker(first)) }
        @if group.len() > 1 {
            p.same { (words::count(group.len(), "identical call")) ": "
                @for (n, request) in group.iter().enumerate() {
                    a href=(format!("/requests/{}", request.id)) { (n + 1) } " "
                }
            }
        }
        @for mark in marks(group) { p.mark { (mark) } }
        @if call.hidden_values > 0 {
            p.hidden { (words::count(call.hidden_values as usize, "value")) " hidden" }
        }
    }
}

/// What sets these apart from what is usual, in a few words: the request itself says
/// more.
fn marks(group: &[Request]) -> impl Iterator<Item = &'static str> {
    let any = |holds: fn(&Request) -> bool| group.iter().any(holds);
    let marks = [
        (any(|r| !r.may_have_run.is_empty()), "May have run already"),
        (any(|r| !r.call.definition_changed.is_empty()), "The tool's definition has changed"),
        (any(|r| !r.call.not_covered.is_empty()), "Not all of it is covered by the digest"),
        (any(|r| r.unreached.is_some()), "Nobody could be reached by mail"),
        (any(|r| !r.decisions.is_empty()), "Others have approved; more are needed"),
    ];
    marks.into_iter().filter_map(|(holds, words)| holds.then_some(words))
}

/// Who asks: the caller, which is proven, and then what it says of others.
pub fn asker(request: &Request) -> Markup {
    let call = &request.call;
    let name = |text: &str| SafeText::cut_line(text, 40).0;
    html! {
        "caller " (words::unbroken(&name(&call.caller)))
        @if !call.client.is_empty() { ", client " (words::unbroken(&name(&call.client))) }
        @if !call.agent.name.is_empty() { ", agent " (words::unbroken(&name(&call.agent.name))) }
        @match call.agent.on_behalf_of.as_str() {
            "" => ", for nobody named",
            person => { ", for " strong { (name(person)) } " as it says" }
        }
    }
}
