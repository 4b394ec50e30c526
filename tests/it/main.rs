//! The program from outside: the real `holdpoint` as a process of its own,
//! spoken to through its real doors.
//!
//! | module | what it tries |
//! |---|---|
//! | [`backup`] | copies under load, restores, a database replaced under a running daemon |
//! | [`counts`] | the proxy's state file on disks that are full or cannot be written |
//! | [`crash`] | kill -9 under load: the clients' log against the history |
//! | [`steps`] | death at each named step of a commit (feature `faults`) |
//! | [`model`] | what must follow from an acknowledgement |
//! | [`trouble`] | disk, database, clock, files, a second daemon |
//! | [`beside`] | several questions about one request at once |
//! | [`handles`] | what a caller that lost everything finds again; calls that were not held |
//! | [`gate`] | the MCP proxy's gate: tasks, rounds of questions, waits that break off, what changes meanwhile |
//! | [`held`] | callers that vanish, come back, ask twice, in a burst |
//! | [`deciding`] | who may decide, and what happens when two do |
//! | [`judged`] | changed definitions, named routes, evidence, recorded calls, a policy replayed |
//! | [`records`] | history, charts, people and mail as pages |
//! | [`reach`] | who looked, and what happens when nobody can be reached |
//! | [`hostile`] | arguments and names that mean harm |
//! | [`limits`] | limits, and what is told of them |
//! | [`pages`] | the operators' pages, by a browser without a script |
//! | [`doors`] | TLS: certificates of both sides, their exchange and their end |
//! | [`flood`] | connections that are many, silent, hostile or dead |
//! | [`reload`] | the configuration read again while the daemon serves |
//! | [`startup`] | a large database (ignored: it takes minutes to make one) |
//! | [`systemd`] | what it hears, and the sockets that it passes |
//! | [`stopping`] | told to stop in the middle of commits, mails and holds |
//! | [`links`] | decisions by the links of mails; leaving the summaries |
//! | [`mail`] | mail, tried out from the command line |
//! | [`watched_over`] | metrics, health and logs, and those who read them slowly |
//!
//! One test: `cargo test --test it a_callers_token`. Where a test needs what not
//! every machine allows (mounting, immutable files, faketime), it says that it
//! skips. The named steps: `cargo test --features faults --test it`.
//!
//! Mistakes that others made, and the test that shows we don't:
//!
//! | mistake | test |
//! |---|---|
//! | the decider's identity taken from the request | `deciding::a_callers_token_cannot_decide_and_an_operators_cannot_ask`, `deciding::nobody_decides_a_call_on_their_own_behalf` |
//! | approval keyed by tool name | `held::an_approval_is_for_these_arguments_and_for_once` |
//! | a second identical call inherits the first approval | `held::an_approval_is_for_these_arguments_and_for_once` |
//! | used, denied or expired approvals re-armed | `deciding::an_ended_request_is_never_re_armed`, `held::what_nobody_answers_expires_and_is_not_called_a_denial`, `held::an_approval_that_nobody_uses_lapses` |
//! | one use consumed several rows | `held::the_same_call_id_twice_at_once_is_one_request_and_one_use` |
//! | nested JSON not canonical | `held::a_call_id_stands_for_one_call`, `hostile::arguments_are_kept_as_they_were_sent` |
//! | last write wins between two deciders | `deciding::of_two_operators_at_once_one_wins_and_the_other_is_told_who` |
//! | a fast decision is lost before its waiter is registered | `held::a_decision_as_fast_as_the_event_is_never_lost` |
//! | a failure between two halves of a decision loses it | `steps::a_decision_survives_death_at_every_step` |
//! | validity not checked again at dispatch | `held::an_approval_is_for_these_arguments_and_for_once` (another digest), `held::a_request_is_resumed_only_while_its_route_is_no_stricter`, `deciding::an_operator_removed_between_opening_and_deciding_does_not_decide` |
//! | an upstream error gives the approval back | `held::an_approval_is_for_these_arguments_and_for_once` |
//! | the approval came seconds too late, or the held call died | `held::a_caller_that_vanishes_between_approval_and_use_resumes_the_approval`, `held::max_wait_answers_pending_with_the_time_left` |
//! | armed, and nobody notified | `deciding::a_call_that_nobody_could_approve_is_refused_at_once`, `deciding::every_operator_gets_every_mail`, `reach::nobody_is_coming_is_said_to_everyone` |
//! | a time-out told as a denial | `held::what_nobody_answers_expires_and_is_not_called_a_denial` |
//! | a restart drops what is pending, or leaves it pending for ever | `trouble::a_daemon_that_stops_sends_waiters_away_and_they_resume`, `trouble::a_clock_put_forward_an_hour_over_a_restart_ends_what_is_due`, `crash` |
//! | mail dropped because another was sent within the minute | `deciding::every_operator_gets_every_mail` |
//! | history deleted, or rebuilt by the program's own updates | `trouble::an_entry_that_somebody_changed_in_the_database_is_found_and_placed` |
//!
//! Progress while a call is held, and editing a call, are matters of the proxy.

mod backup;
mod beside;
// The same texts by which the parts are tried.
#[path = "../../src/call/hostile.rs"]
mod corpus;
mod counts;
mod crash;
mod deciding;
mod doors;
mod flood;
mod gate;
mod handles;
mod held;
mod hostile;
mod judged;
mod limits;
mod links;
mod mail;
mod model;
mod pages;
mod reach;
mod records;
mod reload;
mod startup;
#[cfg(feature = "faults")]
mod steps;
mod stopping;
mod support;
mod systemd;
mod trouble;
mod watched_over;
