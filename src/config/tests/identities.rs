//! Callers, operators and routes.

use super::*;

#[test]
fn a_team_is_read() {
    let (config, warnings) = read(&team()).expect("valid");
    assert_eq!(warnings, Vec::<String>::new());
    assert!(!config.local_mode());
    assert_eq!(config.callers[0].acts_for, ["alice@example.com"]);
    let alice = &config.operators[0];
    assert_eq!(alice.tokens.len(), 2);
    assert_eq!(alice.tokens[1].expires, Time::parse("2027-01-01T00:00:00Z"));
    assert_eq!(alice.roles.words(), ["operator", "admin"]);
    assert_eq!(config.operators[1].roles.words(), ["operator"]);
    assert!(matches!(&alice.place, Place::File { line: 6, .. }), "{:?}", alice.place);
}

#[test]
fn hostile_names_are_refused_and_quoted_harmlessly() {
    for name in ["a\\r\\nBcc: x@y.z", "a\\u001b[2Jb", "a\\u202eb", "al\\u200bice", "<script>", ""] {
        let text = format!("[[operators]]\nname = \"{name}\"\ntokens = []");
        let error = read(&text).expect_err(name).to_string();
        assert!(error.contains("hp.toml:2:8: the name"), "{error}");
        let harmless = |c: char| c == '\n' || !crate::call::safe_text::is_hidden(c);
        assert!(error.chars().all(harmless), "{error:?}");
    }
    let long = "a".repeat(100_000);
    let error = read(&format!("[[routes]]\nname = \"{long}\"")).expect_err("long").to_string();
    assert!(error.len() < 1_000);
}

#[test]
fn one_name_one_token_and_one_word_mean_one_identity() {
    let caller = |name: &str, hash: &str| {
        format!("[[callers]]\nname = \"{name}\"\ntokens = [{{ sha256 = \"{HASH}{hash}\" }}]\n")
    };
    let operator = |head: &str, hash: &str| {
        format!("[[operators]]\n{head}\ntokens = [{{ sha256 = \"{HASH}{hash}\" }}]\n")
    };
    let with = |more: String| format!("{}{more}", team());
    refused(&with(caller("Alice", "aa")), &["name of another caller", "rename one"]);
    refused(&with(operator("name = \"PROXY-1\"", "aa")), &["name of another caller"]);
    refused(&with(caller("proxy-2", "02")), &["is also one of \"proxy-2\"", "token new"]);
    refused(&with(operator("name = \"carol\"", "04")), &["is also one of \"bob\""]);
    refused(&with(operator("name = \"A.Liddell\"", "aa")), &["stands for"]);
    refused(
        &with(operator("name = \"c\"\naliases = [\"ALICE@example.com\"]", "aa")),
        &["stands for"],
    );
    let same_mail = with(operator("name = \"c\"\nemail = \"Alice@Example.com\"", "aa"));
    warned(&same_mail, &["that person could approve twice"]);
    let same_hash = operator(
        &format!("name = \"c\"\ngroups = []\nroles = [\"operator\"]\nemail = \"c@d.e\"\n# {HASH}"),
        "05",
    );
    refused(&with(same_hash), &["is also one of \"eve\""]);
}

#[test]
fn an_identity_has_one_token_or_two() {
    let with = |tokens: &str| format!("[[operators]]\nname = \"a\"\n{tokens}");
    refused(&with(""), &["has no `tokens`", "holdpoint token new"]);
    refused(&with("tokens = []"), &["has 0 entries"]);
    let one = |n: u8| format!("{{ sha256 = \"{HASH}0{n}\" }}");
    let three = format!("tokens = [{}, {}, {}]", one(1), one(2), one(3));
    refused(&with(&three), &["has 3 entries"]);
    refused(&with(&format!("tokens = [{}, {}]", one(1), one(1))), &["is also one of"]);
    refused(&with("tokens = [{ sha256 = \"abc\" }]"), &["not 64 hex digits", "token hash"]);
    refused(&with("tokens = [{ expires = 2027-01-01 }]"), &["no `sha256`", "with a zone"]);
}

/// A file that can stand for certificate, key and CAs: they are only read when
/// the daemon starts.
fn with_tls(more: &str) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let keys = ["tls_cert_file", "tls_key_file", "tls_client_ca_file"];
    let lines: String = keys.map(|key| format!("{key} = \"{file}\"\n")).concat();
    format!("listen = \"127.0.0.1:4653\"\n{lines}{more}")
}

#[test]
fn an_identity_with_certificate_names_needs_no_token() {
    let names = "certificate_names = [\"carol@example.com\", \"spiffe://corp/carol\"]";
    let carol = format!("{}[[operators]]\nname = \"carol\"\n{names}\n", team());
    let config = config(&with_tls(&carol));
    let carol = config.operators.last().expect("carol");
    assert_eq!(carol.certificate_names, ["carol@example.com", "spiffe://corp/carol"]);
    assert_eq!(carol.tokens.len(), 0);
}

#[test]
fn certificate_names_mean_one_identity_each_and_need_a_ca() {
    let named = |kind: &str, who: &str, names: &str| {
        format!("[[{kind}]]\nname = \"{who}\"\ncertificate_names = [{names}]\n")
    };
    let without = format!("{}{}", team(), named("callers", "p", "\"p.example.com\""));
    refused(&without, &["\"p\" has `certificate_names`", "`tls_client_ca_file` is not set"]);
    let shared = [named("callers", "p", "\"x\""), named("operators", "o", "\"x\"")].concat();
    refused(&with_tls(&format!("{}{shared}", team())), &["\"x\" stands for \"o\" and for \"p\""]);
    for name in ["", "*.example.com", "a b", "p\\r\\n", "prøxy"] {
        let text = format!("{}{}", team(), named("callers", "p", &format!("\"{name}\"")));
        refused(&with_tls(&text), &["in `certificate_names`", "as it stands there"]);
    }
    // An empty list makes nobody known.
    let nobody = format!("{}{}", team(), named("callers", "p", ""));
    refused(&with_tls(&nobody), &["has no `tokens`"]);
}

#[test]
fn expired_tokens_are_warned_of() {
    let text = format!(
        "{}[[callers]]\nname = \"old\"\ntokens = [{{ sha256 = \"{HASH}aa\", expires = \
         \"2026-11-22T13:00:00+01:00\" }}]\n",
        team()
    );
    warned(&text, &["no token of \"old\" is valid any more", "token new old"]);
}

#[test]
fn roles_emails_and_time_zones_are_checked() {
    let with = |line: &str| format!("{}[[operators]]\nname = \"z\"\n{line}\n", team());
    refused(
        &with("roles = [\"Operator\"]"),
        &["unknown role \"Operator\"", "did you mean \"operator\"?"],
    );
    refused(&with("roles = [\"root\"]"), &["known: operator, auditor, admin"]);
    refused(&with("roles = []"), &["`roles` lists nothing"]);
    for email in
        ["", "a", "a@b@c", "a@b c", "A <a@b.c>", "a@b.c\\r\\nBcc: d@e.f", "\\\"a\\nb\\\"@c.d"]
    {
        refused(&with(&format!("email = \"{email}\"")), &["not a mail address"]);
    }
    for (zone, says) in [
        ("Europe/Berln", "did you mean \"Europe/Berlin\"?"),
        ("vienna", "did you mean \"Europe/Vienna\"?"),
        ("+02:00", "write a name such as"),
        ("", "not a time zone"),
    ] {
        refused(&with(&format!("time_zone = \"{zone}\"")), &["`time_zone` is", says]);
    }
    refused(
        &with("follow_ups = [\"denied\", \"aproved\"]"),
        &["unknown follow-up \"aproved\"", "did you mean \"approved\"?"],
    );
    refused(&with("reminders = \"no\""), &["`reminders` must be true or false"]);
    refused(&with("quiet_hours = \"22-7\""), &["`quiet_hours` is \"22-7\"", "22:00-07:00"]);
    let silent = "smtp_url = \"smtps://h\"\nfrom = \"a@b.c\"\n";
    warned(&format!("{silent}{}", team()), &["\"bob\" may decide but has no `email`"]);
}

#[test]
fn a_route_that_can_never_be_satisfied_is_an_error() {
    let with = |route: &str| format!("{}[[routes]]\nname = \"r\"\n{route}\n", team());
    // eve is in ops but may not decide.
    refused(
        &with("ask = [\"ops\"]\napprovals = 3"),
        &["\"r\" can never be satisfied", "needs 3 approvals of ops", "only 2 operators"],
    );
    refused(
        &with("ask = [\"opps\"]"),
        &["no operator could give one", "did you mean the group \"ops\"?"],
    );
    refused(&with("ask = [\"audit\"]"), &["no operator could give one"]);
    warned(
        &with("ask = [\"ops\", \"security\"]"),
        &["asks security, where no operator may decide"],
    );
    refused("[[routes]]\nname = \"r\"\nask = [\"ops\"]", &["there is one person, in no group"]);
    refused("[[routes]]\nname = \"r\"\napprovals = 2", &["there is one person"]);
    assert_eq!(config("[[routes]]\nname = \"r\"\ntools = [\"*\"]").routes.len(), 1);
}

#[test]
fn without_deciders_nothing_starts_and_without_callers_it_warns() {
    let caller = format!("[[callers]]\nname = \"c\"\ntokens = [{{ sha256 = \"{HASH}01\" }}]\n");
    refused(&caller, &["nobody may decide"]);
    let auditor = format!(
        "{caller}[[operators]]\nname = \"o\"\nroles = [\"auditor\"]\ntokens = [{{ sha256 = \"{HASH}02\" }}]\n"
    );
    refused(&auditor, &["nobody may decide"]);
    let alone = format!("[[operators]]\nname = \"o\"\ntokens = [{{ sha256 = \"{HASH}02\" }}]\n");
    warned(&alone, &["nobody may ask"]);
}

#[test]
fn routes_are_checked_where_they_stand() {
    let with = |line: &str| format!("[[routes]]\nname = \"r\"\n{line}\n");
    refused(&with("tools = [\"ok*\", \"[a\"]"), &["hp.toml:3:17: the pattern \"[a\"", "unclosed"]);
    refused(&with("tools = [\"\"]"), &["is empty or too long"]);
    refused(&with("tools = []"), &["`tools` lists nothing", "take `tools` away"]);
    refused(&with("categories = [\"destructiv\"]"), &["did you mean \"destructive\"?"]);
    refused(&with("categories = [\"unspecified\"]"), &["unknown category"]);
    refused(&with("risks = [\"severe\"]"), &["known: low, medium, high, critical"]);
    refused(&with("labels = {}"), &["`labels` lists nothing"]);
    refused(&with("labels = [\"team\"]"), &["`labels` must be a table", "labels = {"]);
    refused(&with("labels = { team = 1 }"), &["`team` must be a string"]);
    refused(&with("labels = { team = \"[a\" }"), &["hp.toml:3:19: the pattern \"[a\""]);
    refused(&with(&format!("labels = {{ {} = \"x\" }}", "k".repeat(65))), &["1 to 64 bytes"]);
    let labelled = config(&with("labels = { team = \"plat*\", \"a b\" = \"\\\\*\" }"));
    assert_eq!(labelled.routes[0].labels.keys().collect::<Vec<_>>(), ["a b", "team"]);
    refused(&with("approvals = 0"), &["`approvals` is 0", "from 1 to 100"]);
    refused(&with("timeout = \"1s\""), &["5s to 7d"]);
    refused("[[routes]]\nname = \"Built-In\"", &["belongs to the route for all other calls"]);
    refused("[[routes]]\nname = \"a\"\n[[routes]]\nname = \"A\"", &["a second route"]);
}
