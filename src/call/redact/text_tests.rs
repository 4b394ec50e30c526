//! Secrets in free text: by their shape, and after a name.

use proptest::prelude::*;

use super::*;

/// Secrets by shape. Test values only: assembled, so that no scanner takes them for real ones.
pub(super) fn secrets() -> Vec<String> {
    let x = |n: usize| "aB3dE5gH7jK9mN2pQ4sT6vW8yZ1cF0".chars().cycle().take(n).collect::<String>();
    let up = x(16).to_uppercase();
    let pem = |kind: &str| {
        format!("-----BEGIN {kind}-----\nMIIE{}\n{}==\n-----END {kind}-----", x(60), x(30))
    };
    vec![
        format!("AKIA{up}"),
        format!("ASIA{up}"),
        pem("RSA PRIVATE KEY"),
        pem("PRIVATE KEY"),
        pem("OPENSSH PRIVATE KEY"),
        pem("PGP PRIVATE KEY BLOCK"),
        format!("eyJ{}.eyJ{}.{}", x(20), x(40), x(43)),
        format!("ghp_{}", x(36)),
        format!("gho_{}", x(36)),
        format!("github_pat_{}_{}", x(22), x(59)),
        format!("glpat-{}", x(20)),
        format!("xoxb-1234567890-{}", x(24)),
        format!("sk_live_{}", x(24)),
        format!("rk_live_{}", x(24)),
        format!("AIza{}", x(35)),
        format!("sk-{}", x(48)),
        format!("sk-proj-{}", x(48)),
        format!("sk-ant-api03-{}", x(90)),
        format!("hp_{}", x(32)),
        format!("hp_op_{}", x(43)),
        format!("npm_{}", x(36)),
        "4111111111111111".into(),
        "4111 1111 1111 1111".into(),
        "5500-0000-0000-0004".into(),
        "378282246310005".into(),
        "6011111111111117".into(),
    ]
}

#[test]
fn secrets_are_hidden_by_their_shape_wherever_they_stand() {
    for secret in secrets() {
        for (before, after) in [
            ("", ""),
            ("use ", " now"),
            ("a=\"", "\";"),
            ("(", ")"),
            ("é", "é"),
            ("x:\n", "\ny"),
            ("<b>", "</b>"),
        ] {
            let text = format!("{before}{secret}{after}");
            let (shown, hidden) = mask_text(&text);
            assert_eq!(hidden, 1, "{text:?} -> {shown:?}");
            let count = secret.chars().count();
            assert_eq!(shown, format!("{before}«hidden: text of {count} characters»{after}"));
            let name =
                Json::object([(text.as_str(), Json::Array(vec![Json::from(text.as_str())]))]);
            let all = mask(&name);
            assert_eq!(all.hidden, 2);
            assert!(!format!("{:?}", all.value).contains(&secret[..secret.len().min(30)]));
        }
    }
}

#[test]
fn only_the_secret_part_of_a_text_is_hidden() {
    let marker = |n| format!("«hidden: text of {n} characters»");
    let seven = marker(7);
    for (text, shown) in [
        ("Bearer abc.def-1", format!("Bearer {}", marker(9))),
        ("authorization: bearer abc.def-1", format!("authorization: bearer {}", marker(9))),
        ("Authorization: Basic dXNlcjpwdw==", format!("Authorization: Basic {}", marker(12))),
        ("postgres://bob:hunter2@db:5432/x", format!("postgres://bob:{seven}@db:5432/x")),
        ("redis://:hunter2@cache", format!("redis://:{seven}@cache")),
        ("amqp://u:p/w#rd?@mq/v and on", format!("amqp://u:{seven}@mq/v and on")),
        ("https://u:p@ssword@h/x", format!("https://u:{}@h/x", marker(8))),
        ("password=hunter2", format!("password={seven}")),
        ("password = hunter2, next", format!("password = {seven}, next")),
        ("the token: hunter2.", format!("the token: {seven}.")),
        ("token=hunter2&user=bob", format!("token={seven}&user=bob")),
        ("?a=b&access_token=hunter2#x", format!("?a=b&access_token={}", marker(9))),
        ("Server=db;Password=hunter2;Database=x", format!("Server=db;Password={seven};Database=x")),
        (
            "Endpoint=sb://x/;SharedAccessKey=hunter2;Y=1",
            format!("Endpoint=sb://x/;SharedAccessKey={seven};Y=1"),
        ),
        ("AccountKey=hunter2==;Z=1", format!("AccountKey={};Z=1", marker(9))),
        ("Pwd=a;b&c;User Id=sa", format!("Pwd={};User Id=sa", marker(5))),
        (
            r#"{"password": "hun\"er2", "a": 1}"#,
            format!(r#"{{"password": "{}", "a": 1}}"#, marker(8)),
        ),
        (
            r#"{\"password\":\"hunter2\",\"a\":1}"#,
            format!(r#"{{\"password\":\"{seven}\",\"a\":1}}"#),
        ),
        ("{'apiKey': 'hunter2'}", format!("{{'apiKey': '{seven}'}}")),
        ("headers[\"X-Api-Key\"] = \"hunter2\"", format!("headers[\"X-Api-Key\"] = \"{seven}\"")),
        ("export DB_PASSWORD='hunter2'\nls", format!("export DB_PASSWORD='{seven}'\nls")),
        ("mysql --user x --password hunter2 db", format!("mysql --user x --password {seven} db")),
        ("mysql --password=hunter2 db", format!("mysql --password={seven} db")),
        ("run --api-key \"hunter2\" -v", format!("run --api-key \"{seven}\" -v")),
        (
            "curl -H \"X-Token: hunter2\" https://x",
            format!("curl -H \"X-Token: {seven}\" https://x"),
        ),
        ("curl -s -u bob:hunter2 https://x", format!("curl -s -u bob:{seven} https://x")),
        ("Cookie: sid=abc; b=c\nHost: x", format!("Cookie: {}\nHost: x", marker(12))),
        ("ALTER USER x IDENTIFIED BY 'hunter2'", format!("ALTER USER x IDENTIFIED BY '{seven}'")),
        ("ALTER ROLE x WITH PASSWORD 'hunter2';", format!("ALTER ROLE x WITH PASSWORD '{seven}';")),
        ("CONFIG SET requirepass hunter2", format!("CONFIG SET requirepass {seven}")),
        ("machine h login bob password hunter2", format!("machine h login bob password {seven}")),
        ("API key: hunter2", format!("API key: {seven}")),
        ("password: =hunter2", format!("password: {}", marker(8))),
        ("password => hunter2", format!("password => {seven}")),
        ("card 12345 4111 1111 1111 1111 ok", format!("card 12345 {} ok", marker(19))),
        (
            "password=a password=b",
            "password=«hidden: text of 1 character» password=«hidden: text of 1 character»".into(),
        ),
        ("secret=\"not closed", format!("secret=\"{}", marker(10))),
    ] {
        assert_eq!(mask_text(text).0, shown, "{text}");
        // The same inside arguments counts one value.
        assert_eq!(mask(&Json::array([text])).hidden, 1, "{text}");
    }
}

#[test]
fn ordinary_text_is_shown() {
    for text in [
        "",
        "a",
        "The author wrote 3 tokens.",
        "max_tokens=100",
        "key: value",
        "primary_key=id",
        "see https://example.com:8080/a?b=c@d",
        "http://auth:8080/token",
        "registry/auth:1.2",
        "session:token:42",
        "auth:user:7",
        "basic authentication",
        "bearer tokens are used here",
        "token=$TOKEN",
        "password: ${DB_PASSWORD}",
        "token: null",
        "token_count: 5",
        "1234567890123",
        "1700000000000000",
        "call +49 170 1234567 or 2026-11-22",
        "4111 1111 1111 1112",
        "12345678901234567890123456789012",
        "task-runner-with-a-long-name-here",
        "the php_version is 8",
        "SELECT a::text FROM t",
        "x != y; a == b",
        "10:30:00",
        "C:\\Users",
        "password",
        "token",
        "secret =",
        "--token",
        "ghp_short",
        "AKIASHORT",
        "-----BEGIN PUBLIC KEY-----",
        "user@example.com",
        "git@github.com:a/b.git",
    ] {
        assert_eq!(mask_text(text), (text.to_owned(), 0));
    }
}

#[test]
fn masking_takes_no_quadratic_time() {
    let n = 64 * 1024;
    let start = std::time::Instant::now();
    for piece in [
        "a",
        ":",
        "=",
        "token=",
        "token:\"",
        "password='\\",
        "1",
        "1 ",
        "4111-",
        "://a:b@",
        "://a:",
        "«hidden: ",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "eyJaaaaa.",
        "curl -u ",
        "--token ",
        "Bearer ",
        "a.",
        "\\",
        "\"",
        ";a",
        "token=a;",
        "password=a,b=",
        "key ",
        "api key=",
        "hp_",
        "sk-",
        "login a password ",
        "pass\u{200b}",
        "cookie:",
    ] {
        mask_text(&piece.repeat(n / piece.len()));
    }
    // Two seconds in a debug build; the bound leaves room for slow machines, not for n².
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn planted_secrets_never_survive(
        before in "[a-z \":=,{}\\[\\]\\n«éA-Z0-9]{0,20}[ \"(=\\n]",
        after in "[ \")\\n;,][a-z \":=,{}\\[\\]\\n»é]{0,20}",
        which in prop::sample::select(secrets()),
    ) {
        let text = format!("{before}{which}{after}");
        prop_assert!(!mask_text(&text).0.contains(&which), "{}", text);
        let args = Json::object([("note", Json::from(text))]);
        prop_assert!(!mask(&args).value.to_text().contains(&which));
    }

    #[test]
    fn assigned_secrets_never_survive(
        before in "[a-z \":=,{}\\n]{0,12}[ ,;&?\\n{]",
        name in prop::sample::select(vec!["password", "api_key", "DB_PASSWD", "client-secret", "userPassword"]),
        sign in prop::sample::select(vec!["=", ": ", ":", " = ", "\": \"", "=\"", "='", "=>"]),
        secret in "Q[A-Za-z0-9!#$%^*_+/.?-]{6,20}Q",
        after in "([ \\n][a-z \":=,{}\\n]{0,12})?",
    ) {
        let quote = sign.chars().next_back().filter(|c| "\"'".contains(*c)).map(String::from).unwrap_or_default();
        let text = format!("{before}{name}{sign}{secret}{quote}{after}");
        prop_assert!(!mask_text(&text).0.contains(&secret), "{} -> {}", text, mask_text(&text).0);
    }
}
