//! Who may decide what: everyone, the routes, and what a made-up call would need.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::answer::Trouble;
use super::form::Form;
use super::layout::{Here, page as whole_page};
use super::tables::{lasted, table};
use super::who::Who;
use super::{Pages, words};
use crate::call::model::{Category, Risk};
use crate::call::requirement::{Clause, Requirement};
use crate::call::safe_text::SafeText;
use crate::call::wants::Wants;
use crate::desk::explained::{Explained, MadeUp};
use crate::desk::people::{NotEntitled, Operator, who_is_asked};
use crate::desk::routes::ToldRoute;

/// Labels that a made-up call can have.
const LABELS: usize = 20;

/// GET /people
pub async fn page(
    State(pages): State<Arc<Pages>>,
    RawQuery(query): RawQuery,
    who: Who,
) -> Result<Response, Trouble> {
    if !who.operator().roles.admin {
        let words = "Only an admin sees who may decide what.";
        return Err(Trouble::new(StatusCode::FORBIDDEN, "Not for your role", words));
    }
    let form = Form::read(query.unwrap_or_default().as_bytes());
    let asked = made_up(&form);
    let routes = pages.desk.told_routes();
    let people = pages.desk.people();
    let everyone: Vec<&Arc<Operator>> = people.operators().collect();
    let without = pages.desk.without_summaries().await?;
    let body = html! {
        h1 { "People" }
        section.card { h2 { "Who may decide a call?" }
            (question(&form, &routes))
            @if let Some(call) = &asked {
                div #answer {
                    @match pages.desk.explain(call) {
                        Ok(explained) => (explanation(call, &explained)),
                        Err(error) => { p.wrong role="alert" { (SafeText::line(&error.to_string())) } }
                    }
                }
            }
        }
        section.card { h2 { "Everyone" } (all(&everyone, &without)) }
        section.card { h2 { "Routes" } (listed(&routes)) }
        p.hint { "They stand in the configuration, which a reload reads again. Nothing here changes them." }
    };
    Ok(whole_page(&who, Here::People, &SafeText::line("People"), &body).into_response())
}

/// The call that an address asks about, if it asks.
fn made_up(form: &Form) -> Option<MadeUp> {
    let text = |field: &str| form.text(field).trim().to_owned();
    let call = MadeUp {
        server: text("server"),
        tool: text("tool"),
        category: Category::from_word(form.text("category")),
        risk: Risk::from_word(form.text("risk")),
        labels: labels(form.text("labels")),
        route: text("route"),
        on_behalf_of: text("for"),
    };
    (form.text("ask") == "1").then_some(call)
}

/// `key=value` on each line.
fn labels(text: &str) -> std::collections::BTreeMap<String, String> {
    let pairs = text.lines().take(LABELS).filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

fn question(form: &Form, routes: &[ToldRoute]) -> Markup {
    let value = |field: &str| SafeText::line(form.text(field));
    let choice = |field: &str, words: &str, all: &[&str]| {
        html! {
            label { (words)
                select name=(field) {
                    option value="" { "not stated" }
                    @for word in all.iter().filter(|word| **word != "unspecified") {
                        option value=(word) selected[form.text(field) == *word] { (word) }
                    }
                }
            }
        }
    };
    let categories: Vec<&str> = Category::ALL.iter().map(|c| c.word()).collect();
    let risks: Vec<&str> = Risk::ALL.iter().map(|r| r.word()).collect();
    html! {
        form.question method="get" action="/people#answer" {
            input type="hidden" name="ask" value="1";
            label { "Server" input type="text" name="server" value=(value("server")) autocomplete="off"; }
            label { "Tool" input type="text" name="tool" value=(value("tool")) autocomplete="off"; }
            (choice("category", "Category", &categories))
            (choice("risk", "Risk", &risks))
            label { "On behalf of" input type="text" name="for" value=(value("for")) autocomplete="off" placeholder="name or address"; }
            label { "Route that the caller names"
                select name="route" {
                    option value="" { "none" }
                    @for route in routes {
                        @let name = &route.clause.route;
                        option value=(SafeText::line(name)) selected[form.text("route") == name] { (SafeText::line(name)) }
                    }
                }
            }
            label.wide { "Labels, a line each"
                textarea.few name="labels" placeholder="key=value" { (SafeText::block(form.text("labels"))) }
            }
            div.go { button.main { "Explain" } }
        }
    }
}

fn explanation(call: &MadeUp, explained: &Explained) -> Markup {
    let applying: Vec<&ToldRoute> =
        explained.routes.iter().filter(|route| route.applies()).collect();
    html! {
        @if let Some(why) = &explained.refused {
            p.wrong role="alert" { strong { "Such a call is refused at once. " } (SafeText::line(why)) "." }
        }
        h3 { "What it needs" }
        ul.plain { @for clause in &explained.requirement.clauses { li { (demand(clause)) } } }
        @if applying.is_empty() {
            p.hint { "No route matches, so any operator's one approval is enough" @if !call.route.is_empty() { ", besides what the named route asks" } "." }
        } @else if applying.len() > explained.requirement.clauses.len() {
            p.hint { "What another route asks anyway is not asked twice." }
        }
        p { "They have " strong { (lasted(explained.timeout)) } ", unless the caller gives them less." }
        h3 { @if explained.asked.len() == 1 { "1 person" } @else { (explained.asked.len()) " people" } " asked" }
        ul.plain { @for operator in &explained.asked { li { strong { (name(operator)) } (counts_for(&explained.requirement, operator)) } } }
        @if !explained.left_out.is_empty() {
            h3 { "Not asked" }
            ul.plain { @for (operator, why) in &explained.left_out { li { strong { (name(operator)) } ": " (left_out(*why)) } } }
        }
        h3 { "Route by route" }
        @if explained.routes.is_empty() { p { "There are no routes." } }
        ol.plain {
            @for route in &explained.routes {
                li { strong { (SafeText::line(&route.clause.route)) } ": " (fits(route, &call.route)) }
            }
        }
    }
}

fn name(operator: &Operator) -> SafeText {
    SafeText::line(&operator.name)
}

fn demand(clause: &Clause) -> Markup {
    html! {
        strong { (words::count(clause.approvals as usize, "approval")) } " by " strong { (SafeText::line(&who_is_asked(clause))) }
        " (route " (SafeText::line(&clause.route)) ")"
        @if clause.sign_in { ", signed in: the link of a mail is not enough" }
    }
}

/// For which of the demands somebody counts, where there are several.
fn counts_for(requirement: &Requirement, operator: &Operator) -> Markup {
    let routes = requirement.clauses.iter().filter(|clause| clause.counts(&operator.groups));
    let routes: Vec<SafeText> = routes.map(|clause| SafeText::line(&clause.route)).collect();
    html! {
        @if requirement.clauses.len() > 1 { " counts for " (SafeText::join(&routes, " and ")) }
    }
}

fn left_out(why: NotEntitled) -> &'static str {
    match why {
        NotEntitled::OwnCall => {
            "the call is on their own behalf, and nobody decides their own call"
        }
        NotEntitled::WrongRole => "may look, but not decide",
        NotEntitled::NotAsked => "in none of the groups that are asked",
        NotEntitled::Unknown => "not configured any more",
    }
}

fn fits(route: &ToldRoute, named: &str) -> Markup {
    let misses = route.misses.as_deref().unwrap_or_default();
    html! {
        @if misses.is_empty() { span.badge.status-approved { "matches" } }
        @else if route.clause.route == named { span.badge.status-pending { "named by the caller" } }
        @else { "does not match by its " (misses.join(", ")) }
    }
}

fn all(everyone: &[&Arc<Operator>], without_summaries: &BTreeSet<String>) -> Markup {
    let off = |operator: &Operator| without_summaries.contains(&operator.name);
    let rows: Vec<Vec<Markup>> =
        everyone.iter().map(|operator| row(operator, off(operator))).collect();
    html! {
        @if rows.is_empty() { p { "There are no operators." } }
        @else { (table("Everyone", &["name", "may decide", "roles", "groups", "mail"], &rows)) }
    }
}

fn row(operator: &Operator, no_summaries: bool) -> Vec<Markup> {
    let roles = [
        (operator.roles.operator, "operator"),
        (operator.roles.auditor, "auditor"),
        (operator.roles.admin, "admin"),
    ];
    let roles: Vec<&str> =
        roles.into_iter().filter_map(|(has, word)| has.then_some(word)).collect();
    let groups: Vec<SafeText> = operator.groups.iter().map(|group| SafeText::line(group)).collect();
    vec![
        html! { strong { (name(operator)) } },
        html! { @if operator.can_decide() { "yes, what is routed to them" } @else { "no, looks only" } },
        html! { (roles.join(", ")) },
        html! { @if groups.is_empty() { "–" } @else { (SafeText::join(&groups, ", ")) } },
        mail(operator, no_summaries),
    ]
}

fn mail(operator: &Operator, no_summaries: bool) -> Markup {
    html! {
        @match &operator.email {
            Some(address) => { (SafeText::line(address)) }
            None => { "no address: nothing is sent" }
        }
        @if operator.email.is_some() && operator.wants != Wants::default() { span.hint { " not every kind" } }
        @if operator.quiet_hours.is_some() { span.hint { " quiet hours" } }
        @if no_summaries { span.hint { " no summaries: one mail for each call" } }
    }
}

fn listed(routes: &[ToldRoute]) -> Markup {
    html! {
        @if routes.is_empty() {
            p { "There are none: any operator's one approval decides." }
        } @else {
            p.hint { "Every route that matches applies. Where none does, any operator's one approval decides." }
            ol.routes {
                @for route in routes {
                    li {
                        strong { (SafeText::line(&route.clause.route)) } ": " (matching(route))
                        p.aside { (demand(&route.clause))
                            @if let Some(timeout) = route.timeout { ", within " (lasted(timeout)) }
                        }
                    }
                }
            }
        }
    }
}

fn matching(route: &ToldRoute) -> Markup {
    html! {
        @if route.filters.is_empty() { "every call" }
        @for (i, (part, values)) in route.filters.iter().enumerate() {
            @if i > 0 { "; " }
            (part) " "
            @for (j, value) in values.iter().enumerate() {
                @if j > 0 { " or " }
                code { (SafeText::line(value)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_asks_about_a_made_up_call() {
        let form = Form::read(
            b"ask=1&server=+kv+&tool=set&category=write&risk=&labels=team%3Dops%0D%0Aenv+%3D+prod%0D%0Ano&route=r&for=ana",
        );
        let call = made_up(&form).expect("it asks");
        assert_eq!(
            (call.server.as_str(), call.category, call.risk),
            ("kv", Some(Category::Write), None)
        );
        let labels: Vec<_> = call.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(labels, [("env", "prod"), ("team", "ops")]);
        assert_eq!(made_up(&Form::read(b"server=kv")), None);
    }
}
