//! Which routes apply to a call, and what they ask together.

use globset::GlobBuilder;

use super::*;

const DEFAULT: Duration = Duration::from_secs(900);

pub(super) fn route(name: &str) -> RouteConfig {
    RouteConfig {
        name: name.to_owned(),
        servers: Vec::new(),
        tools: Vec::new(),
        categories: Vec::new(),
        risks: Vec::new(),
        labels: BTreeMap::new(),
        ask: BTreeSet::new(),
        approvals: 1,
        timeout: None,
        require_sign_in: false,
        place: Default::default(),
    }
}

pub(super) fn globs(patterns: &[&str]) -> Vec<globset::Glob> {
    let build = |p: &&str| GlobBuilder::new(p).literal_separator(false).build();
    patterns.iter().map(|p| build(p).expect("valid")).collect()
}

pub(super) fn facts<'a>(server: &'a str, tool: &'a str) -> Facts<'a> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let (category, risk) = (Category::Write, Risk::Low);
    Facts { server, tool, category, risk, labels: &NONE, also: "" }
}

/// Where the caller names no route that there is not.
fn asked_of(
    routes: &Routes,
    facts: &Facts<'_>,
    timeout: Option<Duration>,
) -> (Requirement, Duration) {
    routes.requirement(facts, timeout).expect("the route that is named")
}

fn names(requirement: &Requirement) -> Vec<&str> {
    requirement.clauses.iter().map(|c| c.route.as_str()).collect()
}

/// The names of the routes that apply, in the order of the configuration.
fn applied(routes: &[RouteConfig], facts: &Facts<'_>) -> Vec<String> {
    let mut routes = routes.to_vec();
    for (n, route) in routes.iter_mut().enumerate() {
        // Groups of their own, so that none implies another.
        route.ask = BTreeSet::from([n.to_string()]);
    }
    let (requirement, _) = asked_of(&Routes::new(&routes, DEFAULT), facts, None);
    names(&requirement).iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn without_a_matching_route_every_operator_is_asked_for_one_approval() {
    let other = RouteConfig {
        servers: globs(&["other"]),
        approvals: 3,
        timeout: Some(Duration::from_secs(5)),
        ..route("other")
    };
    let (requirement, timeout) = asked_of(&Routes::new(&[other], DEFAULT), &facts("s", "t"), None);
    assert_eq!(requirement.clauses, [built_in()]);
    assert_eq!(timeout, DEFAULT);
}

#[test]
fn globs_match_whole_names_with_case() {
    let with = |pattern: &str| RouteConfig { tools: globs(&[pattern]), ..route("r") };
    let matches = |pattern: &str, tool: &str| {
        let routes = Routes::new(&[with(pattern)], DEFAULT);
        names(&asked_of(&routes, &facts("s", tool), None).0) == ["r"]
    };
    for (pattern, tool) in [
        ("delete", "delete"),
        ("*delete*", "key_delete_all"),
        ("*delete*", "a/b\\delete/c\nd"),
        ("*", ""),
        ("fs.*", "fs.rm/-rf"),
        ("*.rm", "fs/../x.rm"),
        ("*.rm", ".rm"),
        ("{set,del}_?", "del_x"),
        ("[a-c]x", "bx"),
        ("*ü*", "löschen für"),
        ("\\*", "*"),
    ] {
        assert!(matches(pattern, tool), "{pattern} and {tool:?}");
    }
    for (pattern, tool) in [
        ("delete", "deletes"),
        ("delete", "a/delete"),
        ("*delete*", "DELETE"),
        ("delete", "delete\n"),
        ("\\*", "x"),
        ("fs.*", "fs"),
    ] {
        assert!(!matches(pattern, tool), "{pattern} and {tool:?}");
    }
}

#[test]
fn all_filters_of_a_route_must_match() {
    let both = RouteConfig {
        servers: globs(&["valkey*", "redis*"]),
        tools: globs(&["*delete*", "*flush*"]),
        categories: vec![Category::Write, Category::Destructive],
        risks: vec![Risk::Low],
        ..route("both")
    };
    let applies =
        |facts: Facts<'_>| !applied(std::slice::from_ref(&both), &facts).contains(&BUILT_IN.into());
    assert!(applies(facts("redis-1", "flushall")));
    assert!(!applies(facts("mysql", "flushall")));
    assert!(!applies(facts("redis-1", "get")));
    assert!(!applies(Facts { category: Category::Read, ..facts("redis-1", "flushall") }));
    assert!(!applies(Facts { risk: Risk::High, ..facts("redis-1", "flushall") }));
}

#[test]
fn what_is_unsaid_matches_every_filter() {
    let routes: Vec<RouteConfig> = vec![
        RouteConfig { categories: vec![Category::Financial], ..route("money") },
        RouteConfig { categories: vec![Category::Read], ..route("reading") },
        RouteConfig { risks: vec![Risk::Critical], ..route("critical") },
        RouteConfig {
            categories: vec![Category::Financial],
            risks: vec![Risk::Critical],
            ..route("both")
        },
    ];
    let call = |category, risk| Facts { category, risk, ..facts("s", "t") };
    let unsaid = Category::Unspecified;
    assert_eq!(
        applied(&routes, &call(unsaid, Risk::Unspecified)),
        ["money", "reading", "critical", "both"]
    );
    assert_eq!(applied(&routes, &call(unsaid, Risk::Low)), ["money", "reading"]);
    assert_eq!(
        applied(&routes, &call(Category::Financial, Risk::Unspecified)),
        ["money", "critical", "both"]
    );
    assert_eq!(applied(&routes, &call(Category::Write, Risk::Low)), [BUILT_IN]);
}

#[test]
fn of_several_routes_the_strictest_of_each_holds() {
    let group = |name: &str| BTreeSet::from([name.to_owned()]);
    let seconds = |n| Some(Duration::from_secs(n));
    let routes = Routes::new(
        &[
            RouteConfig { ask: group("ops"), timeout: seconds(600), ..route("one") },
            RouteConfig { ask: group("ops"), approvals: 2, ..route("two") },
            RouteConfig { ask: group("security"), timeout: seconds(3600), ..route("security") },
            route("anyone"),
        ],
        DEFAULT,
    );
    let (requirement, timeout) = asked_of(&routes, &facts("s", "t"), None);
    // "one" and "anyone" ask nothing that the others do not.
    assert_eq!(names(&requirement), ["two", "security"]);
    assert_eq!(timeout, Duration::from_secs(600));
    let asked = |n| asked_of(&routes, &facts("s", "t"), seconds(n)).1;
    assert_eq!(asked(60), Duration::from_secs(60));
    assert_eq!(asked(7200), Duration::from_secs(600));
}

#[test]
fn the_default_time_holds_only_where_nobody_says() {
    let long = RouteConfig { timeout: Some(DEFAULT * 4), ..route("long") };
    let silent = Routes::new(&[route("silent")], DEFAULT);
    let long = Routes::new(&[long], DEFAULT);
    let call = facts("s", "t");
    assert_eq!(asked_of(&silent, &call, None).1, DEFAULT);
    assert_eq!(asked_of(&silent, &call, Some(DEFAULT * 2)).1, DEFAULT * 2);
    assert_eq!(asked_of(&long, &call, None).1, DEFAULT * 4);
}

#[test]
fn clauses_that_say_the_same_are_shown_once() {
    let wide = BTreeSet::from(["ops".to_owned(), "security".to_owned()]);
    let narrow = BTreeSet::from(["ops".to_owned()]);
    let with = |name: &str, ask: &BTreeSet<String>, approvals| RouteConfig {
        ask: ask.clone(),
        approvals,
        ..route(name)
    };
    let clauses = |routes: &[RouteConfig]| {
        let (requirement, _) = asked_of(&Routes::new(routes, DEFAULT), &facts("s", "t"), None);
        names(&requirement).join(" ")
    };
    let none = BTreeSet::new();
    assert_eq!(clauses(&[with("a", &narrow, 1), with("b", &narrow, 1)]), "a");
    assert_eq!(clauses(&[with("wide", &wide, 1), with("narrow", &narrow, 1)]), "narrow");
    assert_eq!(clauses(&[with("narrow", &narrow, 1), with("wide", &wide, 1)]), "narrow");
    // Two of a wider group is not implied by one of a narrower.
    assert_eq!(clauses(&[with("wide", &wide, 2), with("narrow", &narrow, 1)]), "wide narrow");
    assert_eq!(clauses(&[with("all", &none, 2), with("x", &wide, 2), with("y", &narrow, 2)]), "y");
}

#[test]
fn a_label_is_matched_where_a_call_has_it_and_nowhere_else() {
    let glob = |pattern: &str| globs(&[pattern]).remove(0);
    let labels =
        BTreeMap::from([("team".to_owned(), glob("plat*")), ("env".to_owned(), glob("prod"))]);
    let routes = [RouteConfig { labels, ..route("platform") }, route("all")];
    let asked = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        applied(&routes, &Facts { labels: &labels, ..facts("s", "t") })
    };
    assert_eq!(asked(&[("team", "platform"), ("env", "prod"), ("x", "y")]), ["platform", "all"]);
    for labels in [&[][..], &[("team", "platform")], &[("team", "data"), ("env", "prod")]] {
        assert_eq!(asked(labels), ["all"], "{labels:?}");
    }
}

#[test]
fn a_route_that_the_caller_names_adds_and_never_takes_away() {
    let group = |name: &str| BTreeSet::from([name.to_owned()]);
    let second = RouteConfig {
        servers: globs(&["nowhere"]),
        ask: group("security"),
        timeout: Some(DEFAULT / 2),
        ..route("second")
    };
    let weak =
        RouteConfig { servers: globs(&["nowhere"]), timeout: Some(DEFAULT * 2), ..route("weak") };
    let ops = RouteConfig { ask: group("ops"), approvals: 2, ..route("ops") };
    let routes = Routes::new(&[second.clone(), weak.clone(), ops], DEFAULT);
    let named = |also| asked_of(&routes, &Facts { also, ..facts("s", "t") }, None);
    let (requirement, timeout) = named("second");
    assert_eq!((names(&requirement), timeout), (vec!["ops", "second"], DEFAULT / 2));
    // What matches already is not asked twice, and what asks for less changes nothing.
    assert_eq!(names(&named("ops").0), ["ops"]);
    let (requirement, timeout) = named("weak");
    assert_eq!((names(&requirement), timeout), (vec!["ops"], DEFAULT));
    assert_eq!(requirement.clauses[0].approvals, 2);
    // Where no route matches, beside what is asked of anybody.
    let alone = Routes::new(&[second, weak], DEFAULT);
    let (requirement, _) = asked_of(&alone, &Facts { also: "second", ..facts("s", "t") }, None);
    assert_eq!(names(&requirement), ["second"]);
    assert_eq!(requirement.clauses[0].groups, group("security"));

    for also in ["Second", "elsewhere", BUILT_IN] {
        let refused = routes.requirement(&Facts { also, ..facts("s", "t") }, None);
        let error = refused.expect_err("no such route").to_string();
        assert!(error.contains(also) && error.contains("not held"), "{error}");
    }
}
