//! Who is let in, and who may sign for what.

use super::*;

const NOON: Time = Time(1_700_000_000_000);

fn token(text: &str, expires: Option<Time>) -> TokenConfig {
    TokenConfig { sha256: TokenHash::of(text), expires, place: Default::default() }
}

fn caller(name: &str, tokens: &[TokenConfig], acts_for: &[&str]) -> CallerConfig {
    CallerConfig {
        name: name.to_owned(),
        tokens: tokens.to_vec(),
        certificate_names: Vec::new(),
        acts_for: strings(acts_for),
        place: Default::default(),
    }
}

pub(in crate::desk) fn operator(name: &str, groups: &[&str], roles: &[&str]) -> OperatorConfig {
    OperatorConfig {
        name: name.to_owned(),
        email: Some(format!("{name}@example.com")),
        time_zone: None,
        aliases: Vec::new(),
        groups: strings(groups).into_iter().collect(),
        roles: Roles {
            operator: roles.contains(&"operator"),
            auditor: roles.contains(&"auditor"),
            admin: roles.contains(&"admin"),
        },
        wants: Default::default(),
        quiet_hours: None,
        tokens: vec![token(&format!("hp_{name}"), None)],
        certificate_names: Vec::new(),
        place: Default::default(),
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn clause(route: &str, groups: &[&str], approvals: u32) -> Clause {
    Clause {
        route: route.to_owned(),
        groups: strings(groups).into_iter().collect(),
        approvals,
        sign_in: false,
    }
}

fn asks(clauses: &[Clause]) -> Requirement {
    Requirement { clauses: clauses.to_vec() }
}

/// alice and bob in ops, carol in security, eve looks only.
fn people() -> People {
    let mut alice = operator("alice", &["ops"], &["operator"]);
    alice.email = Some("Alice@Example.com".to_owned());
    alice.aliases = strings(&["a.liddell", "Alice Liddell"]);
    People::new(
        &[caller("proxy", &[token("hp_proxy", None)], &[])],
        &[
            alice,
            operator("bob", &["ops"], &["operator"]),
            operator("carol", &["security"], &["operator", "admin"]),
            operator("eve", &["ops"], &["auditor"]),
        ],
    )
}

fn name_of(identity: Option<Identity>) -> String {
    match identity {
        None => "nobody".to_owned(),
        Some(Identity::Caller(caller)) => format!("caller {}", caller.name),
        Some(Identity::Operator(operator)) => format!("operator {}", operator.name),
    }
}

#[test]
fn a_token_is_one_identity_and_nothing_else_is() {
    let people = people();
    let known = |token| name_of(people.authenticate(token, NOON));
    assert_eq!(known("hp_proxy"), "caller proxy");
    assert_eq!(known("hp_alice"), "operator alice");
    for wrong in ["", "alice", "hp_alic", "hp_alice ", "HP_ALICE", "hp_alice\0"] {
        assert_eq!(known(wrong), "nobody", "{wrong:?}");
    }
    // The hash that is in the file does not let anyone in.
    assert_eq!(known(&TokenHash::of("hp_alice").to_string()), "nobody");
}

#[test]
fn a_certificate_is_the_identity_whose_names_it_has_and_no_other() {
    let mut proxy = caller("proxy", &[], &[]);
    proxy.certificate_names = strings(&["proxy-1.example.com", "spiffe://corp/proxy-1"]);
    let mut alice = operator("alice", &["ops"], &["operator"]);
    alice.certificate_names = strings(&["alice@example.com"]);
    let people = People::new(&[proxy], &[alice]);
    let known = |names: &[&str]| people.certified(&strings(names)).map(name_of);
    let caller = Ok("caller proxy".to_owned());
    assert_eq!(known(&["proxy-1.example.com"]), caller);
    assert_eq!(known(&["other.example.com", "spiffe://corp/proxy-1"]), caller);
    assert_eq!(known(&["spiffe://corp/proxy-1", "proxy-1.example.com"]), caller);
    assert_eq!(known(&["alice@example.com"]), Ok("operator alice".to_owned()));
    let strangers: [&[&str]; 4] =
        [&[], &["proxy"], &["PROXY-1.example.com"], &["proxy-1.example.com.evil.example"]];
    for strangers in strangers {
        assert_eq!(known(strangers), Ok("nobody".to_owned()), "{strangers:?}");
    }
    let both = known(&["alice@example.com", "proxy-1.example.com"]).expect_err("two identities");
    assert!(both.to_string().contains("alice") && both.to_string().contains("proxy"), "{both}");
    // Known by a token, alice is the same person, and more weakly known.
    let certified =
        people.certified(&strings(&["alice@example.com"])).expect("one").expect("alice");
    let by_token = people.authenticate("hp_alice", NOON).expect("alice");
    assert!(certified.is_same(&by_token));
    let (Identity::Operator(certified), Identity::Operator(by_token)) = (certified, by_token)
    else {
        panic!("operators")
    };
    assert_eq!((certified.strength, by_token.strength), (Strength::Certificate, Strength::Token));
}

#[test]
fn an_expired_token_is_nobody_from_that_instant_on() {
    let old = token("hp_old", Some(NOON));
    let people = People::new(&[caller("proxy", &[old], &[])], &[]);
    let at = |time| name_of(people.authenticate("hp_old", time));
    assert_eq!(at(Time(NOON.0 - 1)), "caller proxy");
    assert_eq!(at(NOON), "nobody");
    assert_eq!(at(Time(NOON.0 + 1)), "nobody");
}

#[test]
fn two_tokens_work_side_by_side_while_one_replaces_the_other() {
    let both = [token("hp_old", Some(NOON)), token("hp_new", None)];
    let people = People::new(&[caller("proxy", &both, &[])], &[]);
    let known = |token, at| name_of(people.authenticate(token, at));
    let before = Time(NOON.0 - 1);
    assert_eq!(known("hp_old", before), "caller proxy");
    assert_eq!(known("hp_new", before), "caller proxy");
    assert_eq!(known("hp_old", NOON), "nobody");
    assert_eq!(known("hp_new", NOON), "caller proxy");
}

#[test]
fn a_callers_token_never_makes_an_operator() {
    // Same name, same token: the check of the configuration refuses both, and
    // even if it did not, this token could ask but never decide.
    let mut named_alike = operator("proxy", &[], &["operator"]);
    named_alike.tokens = vec![token("hp_proxy", None), token("hp_person", None)];
    let people = People::new(&[caller("proxy", &[token("hp_proxy", None)], &[])], &[named_alike]);
    let known = |token| name_of(people.authenticate(token, NOON));
    assert_eq!(known("hp_proxy"), "caller proxy");
    assert_eq!(known("hp_person"), "operator proxy");
}

#[test]
fn a_person_is_known_by_name_address_and_alias_in_any_case() {
    let people = people();
    let alice = people.operator("alice").expect("configured");
    for word in [
        "alice",
        "ALICE",
        " alice ",
        "Alice@Example.COM",
        "A.Liddell",
        "alice  liddell",
        "ali\u{200b}ce",
        "\u{202e}alice",
        "alice\r\n",
        "Somebody <alice@example.com>",
        "\"Alice Liddell\" <x@y.z>",
        "<ALICE@example.com",
        "mailto:alice@example.com",
        "bob, alice",
        "Alice Liddell (at work)",
        "Somebody alice@example.com",
        "x <x@y.z>, \"A\" <alice@example.com>",
        "EXAMPLE\\alice",
    ] {
        assert!(alice.is(word), "{word:?}");
    }
    for word in ["", " ", "\u{200b}", "alic", "alice@example.org", "bob", "<>", "x <>"] {
        assert!(!alice.is(word), "{word:?}");
    }
}

#[test]
fn nobody_decides_a_call_made_on_their_own_behalf() {
    let people = people();
    let any = asks(&[clause("r", &[], 1)]);
    let entitled = |who, behalf| people.entitled(who, &any, behalf);
    assert_eq!(entitled("alice", ""), Ok(()));
    assert_eq!(entitled("alice", "bob"), Ok(()));
    for behalf in ["alice", "Alice@Example.COM", "A.LIDDELL", "x <alice@example.com>"] {
        assert_eq!(entitled("alice", behalf), Err(NotEntitled::OwnCall), "{behalf}");
        assert_eq!(entitled("bob", behalf), Ok(()), "{behalf}");
    }
}

#[test]
fn only_operators_who_are_asked_and_still_there_are_entitled() {
    let people = people();
    let ops = asks(&[clause("r", &["ops"], 1)]);
    let entitled = |who| people.entitled(who, &ops, "");
    assert_eq!(entitled("bob"), Ok(()));
    assert_eq!(entitled("carol"), Err(NotEntitled::NotAsked));
    assert_eq!(entitled("eve"), Err(NotEntitled::WrongRole));
    assert_eq!(entitled("mallory"), Err(NotEntitled::Unknown));
    assert_eq!(entitled("proxy"), Err(NotEntitled::Unknown));
    assert_eq!(entitled("BOB"), Err(NotEntitled::Unknown));
    // After a reload without bob, his approval counts no more.
    let reloaded = People::new(&[], &[operator("alice", &["ops"], &["operator"])]);
    assert_eq!(reloaded.entitled("bob", &ops, ""), Err(NotEntitled::Unknown));
}

#[test]
fn those_who_are_asked_are_those_whose_decision_would_count() {
    let people = people();
    let both = asks(&[clause("a", &["ops"], 1), clause("b", &["security"], 1)]);
    let names = |behalf| -> Vec<String> {
        people.asked(&both, behalf).iter().map(|o| o.name.clone()).collect()
    };
    assert_eq!(names(""), ["alice", "bob", "carol"]);
    assert_eq!(names("a.liddell"), ["bob", "carol"]);
}

#[test]
fn what_cannot_be_satisfied_names_the_route_and_what_is_lacking() {
    let people = people();
    let two = asks(&[clause("easy", &[], 1), clause("deletes", &["ops"], 2)]);
    assert_eq!(people.can_be_satisfied(&two, ""), Ok(()));
    assert_eq!(
        people.can_be_satisfied(&two, "Alice@example.com").unwrap_err(),
        "route \"deletes\" asks ops for 2 approvals, but 1 operator could give one besides \
         \"alice\", for whom the call is made: 1 more needed"
    );
    let many = asks(&[clause("r", &[], 5)]);
    assert_eq!(
        people.can_be_satisfied(&many, "").unwrap_err(),
        "route \"r\" asks any operator for 5 approvals, but 3 operators could give one: 2 \
         more needed"
    );
}

#[test]
fn the_sole_person_of_local_mode_may_decide_their_own_call() {
    let people = People::local("hp_c", "hp_o", "alice");
    let any = asks(&[clause("built-in", &[], 1)]);
    assert_eq!(people.entitled("alice", &any, "alice"), Ok(()));
    assert_eq!(people.can_be_satisfied(&any, "alice"), Ok(()));
    assert!(people.can_be_satisfied(&asks(&[clause("r", &[], 2)]), "").is_err());
    assert_eq!(name_of(people.authenticate("hp_c", NOON)), "caller local");
    let Some(Identity::Operator(alice)) = people.authenticate("hp_o", NOON) else {
        panic!("the operator's token is the operator");
    };
    assert_eq!(alice.strength, Strength::Local);
    assert!(alice.sole_local && alice.can_decide() && alice.sees_all());
    assert!(alice.is("ALICE"));
    let same = People::local("hp_x", "hp_x", "alice");
    assert_eq!(name_of(same.authenticate("hp_x", NOON)), "caller local");
}

#[test]
fn a_caller_acts_only_for_the_people_it_is_configured_for() {
    let acts_for = |who: &[&str]| Caller {
        name: "proxy".to_owned(),
        acts_for: strings(who),
        strength: Strength::Token,
    };
    let anyone = acts_for(&[]);
    assert_eq!(anyone.on_behalf_of("mallory"), Ok("mallory".to_owned()));
    assert_eq!(anyone.on_behalf_of(""), Ok(String::new()));

    let one = acts_for(&["alice@example.com"]);
    let alice = Ok("alice@example.com".to_owned());
    for claimed in ["", "  ", "ALICE@Example.com", " alice@example.com"] {
        assert_eq!(one.on_behalf_of(claimed), alice, "{claimed:?}");
    }
    for claimed in ["bob", "alice", "alice@example.com, bob", "Alice <alice@example.com>"] {
        assert!(one.on_behalf_of(claimed).is_err(), "{claimed:?}");
    }

    let two = acts_for(&["alice", "bob"]);
    assert_eq!(two.on_behalf_of("Bob"), Ok("bob".to_owned()));
    let unsaid = two.on_behalf_of("").unwrap_err().to_string();
    assert!(unsaid.contains("has to say") && unsaid.contains("alice, bob"), "{unsaid}");
    let hostile = format!("mallory\r\n\u{1b}[2J{}", "x".repeat(10_000));
    let refused = two.on_behalf_of(&hostile).unwrap_err().to_string();
    assert!(refused.contains("mallory") && !refused.contains(['\r', '\n', '\u{1b}']));
    assert!(refused.len() < 500, "{refused}");
}
