//! The policies under which calls are measured.

/// Everything is allowed, and nothing is looked at but the tool's name.
pub const ALLOW_ALL: &str = "default: allow\n";

/// Everything waits for a person.
pub const HOLD_ALL: &str = "default: require_approval\n";

/// Thirty rules as teams have them: for single tools, for patterns, for kinds of
/// tools and with conditions. The last one allows the call, so that all are looked at.
/// With `limited`, the first one is a limit that no client here reaches.
pub fn thirty_rules(limited: bool) -> String {
    let mut rules = Vec::new();
    if limited {
        rules.push("name: each client, rate_limit: {max: 5000, window: 1, per: client}".to_owned());
    }
    for n in 0..10 {
        rules.push(format!(
            r#"server: ["mail-{n}", "mail-{n}-*"], tool: ["send_*", "*_delete"], action: require_approval"#
        ));
    }
    for n in 0..8 {
        rules.push(format!(r#"tool: "admin_{n}_*", action: deny, reason: Ask the platform team."#));
    }
    // These are meant for the tool that is called, and their conditions are evaluated.
    let about_the_tool = [
        r#"tool: "ech?", when: "args.n < 0", action: deny, reason: Count from zero."#,
        r#"tool: echo, when: "args.text.startsWith('secret')", action: require_approval"#,
        r#"when: "has(args.path) && args.path.matches('^/etc/')", action: deny, reason: Not there."#,
        "category: [destructive, financial], risk: [high, critical], action: require_approval",
        "annotation: {destructiveHint: true}, action: require_approval",
    ];
    rules.extend(about_the_tool.map(str::to_owned));
    for n in rules.len()..29 {
        rules.push(format!("server: bench, tool: [read_{n}, list_{n}], action: allow"));
    }
    rules.push(r#"server: "ben*", tool: [echo, "ping_*"], action: allow"#.to_owned());
    let rules: String = rules.into_iter().map(|rule| format!("  - {{{rule}}}\n")).collect();
    format!("default: require_approval\nservers:\n  bench: {{trusted: true}}\nrules:\n{rules}")
}
