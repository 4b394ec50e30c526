//! Which routes apply to a call, and what they ask together.

use globset::GlobBuilder;

use super::*;

const DEFAULT: Duration = Duration::from_secs(900);

fn route(name: &str) -> RouteConfig {
    RouteConfig {
        name: name.to_owned(),
        servers: Vec::new(),
        tools: Vec::new(),
        categories: Vec::new(),
        risks: Vec::new(),
        ask: BTreeSet::new(),
        approvals: 1,
        timeout: None,
        place: Default::default(),
    }
}

fn globs(patterns: &[&str]) -> Vec<globset::Glob> {
    let build = |p: &&str| GlobBuilder::new(p).literal_separator(false).build();
    patterns.iter().map(|p| build(p).expect("valid")).collect()
}

fn facts<'a>(server: &'a str, tool: &'a str) -> Facts<'a> {
    Facts { server, tool, category: Category::Write, risk: Risk::Low }
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
    let (requirement, _) = Routes::new(&routes, DEFAULT).requirement(facts, None);
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
    let (requirement, timeout) = Routes::new(&[other], DEFAULT).requirement(&facts("s", "t"), None);
    assert_eq!(requirement.clauses, [built_in()]);
    assert_eq!(timeout, DEFAULT);
}

#[test]
fn globs_match_whole_names_with_case() {
    let with = |pattern: &str| RouteConfig { tools: globs(&[pattern]), ..route("r") };
    let matches = |pattern: &str, tool: &str| {
        let routes = Routes::new(&[with(pattern)], DEFAULT);
        names(&routes.requirement(&facts("s", tool), None).0) == ["r"]
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
    let (requirement, timeout) = routes.requirement(&facts("s", "t"), None);
    // "one" and "anyone" ask nothing that the others do not.
    assert_eq!(names(&requirement), ["two", "security"]);
    assert_eq!(timeout, Duration::from_secs(600));
    let asked = |n| routes.requirement(&facts("s", "t"), seconds(n)).1;
    assert_eq!(asked(60), Duration::from_secs(60));
    assert_eq!(asked(7200), Duration::from_secs(600));
}

#[test]
fn the_default_time_holds_only_where_nobody_says() {
    let long = RouteConfig { timeout: Some(DEFAULT * 4), ..route("long") };
    let silent = Routes::new(&[route("silent")], DEFAULT);
    let long = Routes::new(&[long], DEFAULT);
    let call = facts("s", "t");
    assert_eq!(silent.requirement(&call, None).1, DEFAULT);
    assert_eq!(silent.requirement(&call, Some(DEFAULT * 2)).1, DEFAULT * 2);
    assert_eq!(long.requirement(&call, None).1, DEFAULT * 4);
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
        let (requirement, _) = Routes::new(routes, DEFAULT).requirement(&facts("s", "t"), None);
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
