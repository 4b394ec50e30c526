//! What the arguments of a call say.

use super::*;

fn called(name: &str, arguments: &str) -> Judgement {
    let arguments = parse(arguments.as_bytes()).expect("JSON");
    judge(name, None, Word::default(), false, Some(&arguments))
}

#[test]
fn a_command_in_the_arguments_makes_a_call_look_worse() {
    for (name, arguments, category) in [
        ("kv_write", r#"{"command":"SET","args":["a","1"]}"#, Category::Write),
        ("kv_write", r#"{"command":"DEL","args":["a"]}"#, Category::Destructive),
        ("kv_write", r#"{"command":" del "}"#, Category::Destructive),
        ("kv_write", r#"{"command":"D\u0045L"}"#, Category::Destructive),
        ("kv_read", r#"{"command":"GET","args":["a"]}"#, Category::Read),
        ("kv_read", r#"{"command":"HGETALL","args":["a"]}"#, Category::Read),
        ("kv_read", r#"{"command":"FLUSHALL"}"#, Category::Destructive),
        ("kv_read", r#"{"command":"CONFIG SET dir /tmp"}"#, Category::Execute),
        ("kv_read", r#"{"command":"EVAL","args":["return 1"]}"#, Category::Execute),
        ("kv_read", r#"{"command":["DEL","a"]}"#, Category::Destructive),
        ("kv_read", r#"{"command":"FROBNICATE"}"#, Category::Execute),
        ("get_thing", r#"{"action":"delete"}"#, Category::Destructive),
        (
            "get_thing",
            r#"{"options":{"steps":[{"op":"get"},{"op":"remove"}]}}"#,
            Category::Destructive,
        ),
        ("get_thing", r#"{"operation":"createItem"}"#, Category::Write),
        ("fetch_url", r#"{"method":"DELETE","url":"http://x"}"#, Category::Destructive),
        ("fetch_url", r#"{"method":"POST","url":"http://x"}"#, Category::Write),
        ("fetch_url", r#"{"method":"GET","url":"http://x"}"#, Category::Read),
        ("read_file", r#"{"path":"x","mode":"w"}"#, Category::Write),
        ("aggregate", r#"{"pipeline":[{"$match":{}}]}"#, Category::Read),
        ("aggregate", r#"{"pipeline":[{"$match":{}},{"$out":"x"}]}"#, Category::Write),
        ("get_item", r#"{"overwrite":true}"#, Category::Destructive),
        ("get_item", r#"{"create_if_missing":true}"#, Category::Write),
        ("get_item", r#"{"create_if_missing":false,"include_deleted":true}"#, Category::Read),
        ("run_command", r#"{"command":"ls -la"}"#, Category::Execute),
        ("run_command", r#"{"command":"cd /tmp; r\"m\" -rf x"}"#, Category::Destructive),
        ("run_command", r#"{"command":"echo $(rm x)"}"#, Category::Destructive),
        ("get_output", r#"{"command":"make all"}"#, Category::Execute),
        ("search_issues", r#"{"query":"how to delete a user"}"#, Category::Read),
        ("search_issues", r#"{"q":"update the docs and set a date"}"#, Category::Write),
    ] {
        let judgement = called(name, arguments);
        assert_eq!(judgement.category, category, "{name} {arguments}: {}", why(&judgement));
        assert!(judgement.told, "{name} {arguments}");
    }
}

#[test]
fn one_statement_that_certainly_only_reads_passes_where_the_name_leaves_it_to_it() {
    for sql in [
        "SELECT 1",
        "select * from users where name = 'delete me; now' limit 10;",
        "SELECT count(*), max(created_at) FROM t GROUP BY 1 HAVING count(*) > 2",
        "WITH a AS (SELECT id FROM t) SELECT * FROM a JOIN b ON (a.id = b.id)",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM t",
        "  SELECT \"drop\" FROM t WHERE x IN (1, 2)",
        "SELECT a FROM t -- newest first\nORDER BY a",
    ] {
        for name in ["query", "execute_sql", "run_query", "mysql_query", "neon_run_sql"] {
            let arguments = Json::object([("sql", Json::from(sql)), ("limit", Json::from(5u32))]);
            let judgement = judge(name, None, Word::default(), false, Some(&arguments));
            assert!(passes(&judgement), "{name} {sql}: {}", why(&judgement));
            assert_eq!(judgement.evidence[0].source, Source::Arguments);
        }
    }
}

#[test]
fn a_statement_that_may_change_something_does_not_pass() {
    for sql in [
        "",
        "DELETE FROM t",
        "SELECT 1; DROP TABLE t",
        "SELECT 1;DROP TABLE t;--",
        "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone",
        "/* SELECT */ TRUNCATE t",
        "/*!50000 DROP TABLE t */",
        "SELECT /*! 1 INTO OUTFILE '/tmp/x' */",
        "-- read\nDELETE FROM t",
        "SELECT * INTO t2 FROM t",
        "SELECT * FROM t FOR UPDATE",
        "EXPLAIN ANALYZE DELETE FROM t WHERE a = 1",
        "SELECT pg_terminate_backend(1)",
        "SELECT \"pg_terminate_backend\"(1)",
        "SELECT mine.count(1)",
        "SELECT mine . count(1)",
        "SELECT 'a\\'; DROP TABLE t; -- '",
        "SELECT $$a$$; DROP TABLE t",
        "SELECT nextval('s')",
        "SELECT * FROM url('http://x')",
        "SELECT lo_unlink (5)",
        "SELECT `count`(1)",
        "SELECT [count](1)",
        "SELECT load_extension/**/('x')",
        "SELECT load_extension -- count\n('x')",
        "SELECT '",
        "PRAGMA journal_mode = delete",
        "SET x = 1",
        "CALL gone()",
        "\u{ff33}ELECT 1",
        "SELECT a\u{ff08}1\u{ff09}",
        "COPY t FROM PROGRAM 'x'",
    ] {
        let arguments = Json::object([("sql", Json::from(sql))]);
        let judgement = judge("run_query", None, Word::default(), false, Some(&arguments));
        assert!(!passes(&judgement), "{sql}: {}", why(&judgement));
    }
    let long = format!("SELECT {}", "1,".repeat(10_000));
    let arguments = Json::object([("sql", Json::from(long))]);
    assert!(!passes(&judge("run_query", None, Word::default(), false, Some(&arguments))));
}

#[test]
fn a_statement_lowers_no_tool_whose_name_says_more() {
    for name in [
        "write_query",
        "delete_query",
        "run_script",
        "query_and_purge",
        "execute_sql_migration",
        "run_python_query",
    ] {
        let judgement = called(name, r#"{"sql":"SELECT 1"}"#);
        assert!(!passes(&judgement), "{name}: {}", why(&judgement));
    }
    for arguments in [
        r#"{"sql":"SELECT 1","script":"x"}"#,
        r#"{"sql":"SELECT 1","queries":["DROP TABLE t"]}"#,
        r#"{"sql":["SELECT 1","SELECT 2"],"action":"obliterate"}"#,
        r#"{"sql":"SELECT 1","force":true}"#,
        r#"{"sql":1}"#,
        "{}",
    ] {
        let judgement = called("run_query", arguments);
        assert!(!passes(&judgement), "{arguments}: {}", why(&judgement));
    }
}

#[test]
fn what_a_statement_does_is_found_in_a_tool_that_reads() {
    for (sql, category, risk) in [
        ("DELETE FROM t WHERE a = 1", Category::Destructive, Risk::High),
        ("DELETE FROM t", Category::Destructive, Risk::Critical),
        ("DROP DATABASE d", Category::Destructive, Risk::Critical),
        ("SELECT 1; UPDATE t SET a = 1 WHERE b = 2", Category::Write, Risk::Medium),
        ("WITH a AS (INSERT INTO t VALUES (1)) SELECT 1", Category::Write, Risk::Medium),
        ("mutation { deleteUser(id: 1) { id } }", Category::Destructive, Risk::High),
        ("query A { a }\nmutation B { rename(id: 1) }", Category::Write, Risk::High),
        ("query { mutation }", Category::Read, Risk::Low),
        ("SELECT * FROM t", Category::Read, Risk::Low),
    ] {
        let arguments = Json::object([("query", Json::from(sql))]);
        let judgement = judge("read_records", None, Word::default(), false, Some(&arguments));
        let got = (judgement.category, judgement.risk);
        assert_eq!(got, (category, risk), "{sql}: {}", why(&judgement));
    }
}

#[test]
fn an_action_that_the_schema_lists_passes_where_the_name_leaves_it_to_it() {
    let schema =
        r#""inputSchema":{"properties":{"action":{"enum":["list","info","create","drop"]}}}"#;
    let ours = tool(&format!(r#"{{"name":"manage_index",{schema}}}"#));
    let call = |name, arguments: &str| {
        let arguments = parse(arguments.as_bytes()).expect("JSON");
        judge(name, Some(&ours), Word::default(), false, Some(&arguments))
    };
    let looks = call("manage_index", r#"{"action":"list"}"#);
    assert!(passes(&looks), "{}", why(&looks));
    for arguments in [
        "{}",
        r#"{"action":"LIST"}"#,
        r#"{"action":"get"}"#,
        r#"{"action":["list","drop"]}"#,
        r#"{"action":"list","operation":"x"}"#,
        r#"{"a":{"action":"list"},"b":{"action":"drop"}}"#,
    ] {
        let judgement = call("manage_index", arguments);
        assert!(!passes(&judgement), "{arguments}: {}", why(&judgement));
    }
    assert!(!passes(&call("update_index", r#"{"action":"list"}"#)));
    let itself = judge("manage_index", Some(&ours), Word::default(), false, None);
    assert_eq!(itself.category, Category::Destructive, "{}", why(&itself));
}

#[test]
fn an_amount_of_money_makes_an_act_financial_and_no_read() {
    let money = r#"{"amount":5,"currency":"EUR"}"#;
    assert_eq!(called("create_thing", money).category, Category::Financial);
    assert_eq!(called("get_rate", money).category, Category::Read);
}

#[test]
fn evidence_never_repeats_an_argument() {
    let judgement = called(
        "x",
        r#"{"command":"delete hunter2","sql":"DROP TABLE hunter2","action":"hunter2"}"#,
    );
    assert!(judgement.told && !why(&judgement).contains("hunter2"), "{}", why(&judgement));
}
