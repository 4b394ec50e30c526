//! Invariant 8: secrets do not rest.

use proptest::prelude::*;

use super::text_tests::secrets;
use super::*;
use crate::call::hostile::HOSTILE;
use crate::call::json::parse;
use crate::call::json::tests::any_json;

fn masked(text: &str) -> (String, u32) {
    let masked = mask(&parse(text.as_bytes()).expect(text));
    (masked.value.to_text(), masked.hidden)
}

fn hides(text: &str) -> bool {
    mask_text(text).1 > 0
}

#[test]
fn values_under_secret_names_are_hidden() {
    for name in "password,Password,PASSWORD,passwd,passphrase,secret,token,api_key,apiKey,\
         api-key,APIKey,X-Api-Key,apikey,access_key,private_key,privateKey,\
         client_secret,clientSecret,authorization,Authorization,Proxy-Authorization,\
         auth,auth_token,cookie,Set-Cookie,credential,credentials,session_token,\
         connection_string,connectionString,cvv,cvv2,cvc,userPassword,\
         AWS_SECRET_ACCESS_KEY,aws_access_key_id,dbPasswd,DB_PASS,dbpassword,authtoken,\
         password2,new password,token_secret,refresh_tokens,signing-key,secretKey,\
         pass\u{200b}word,passwordHash,otp,seed_phrase,requirepass,security_code,TOKEN,\
         tokenV2,github.token,bot-token,X-Auth-Token,pwd,encryption_key,JWT,APIKEYS,\
         service_account_key"
        .split(',')
    {
        let text = Json::object([(name, Json::from("hunter2"))]).to_text();
        let (shown, hidden) = masked(&text);
        assert_eq!(hidden, 1, "{name}: {shown}");
        assert!(shown.contains("«hidden: text of 7 characters»"), "{name}: {shown}");
    }
}

#[test]
fn values_under_other_names_are_shown() {
    for name in "max_tokens,maxTokens,token_count,tokenCount,tokenizer,tokens,author,authors,\
         primary_key,primaryKey,key,keys,keyboard,public_key,sort_key,partition_key,\
         secretary,compass,passage,passenger,bypass,authority,password_policy,\
         password_length,token_expires_at,next_page_token,cookiecutter,pinned,spin,pin,\
         session,authored_by,token_type,secret_name,auth_url,boarding_pass,monkey,hash,\
         signature,user"
        .split(',')
    {
        let text = Json::object([(name, Json::from("hunter2"))]).to_text();
        assert_eq!(masked(&text), (text, 0), "{name}");
    }
}

#[test]
fn only_scalars_that_hold_something_are_hidden() {
    assert_eq!(
        masked(r#"{"credentials":{"user":"bob","list":["a",[12.50,-7]],"n":null,"t":true,"e":"","o":{},"a":[]}}"#),
        (
            concat!(
                r#"{"credentials":{"user":"«hidden: text of 3 characters»","#,
                r#""list":["«hidden: text of 1 character»",["«hidden: number of 4 digits»","«hidden: number of 1 digit»"]],"#,
                r#""n":null,"t":true,"e":"","o":{},"a":[]}}"#
            )
            .to_owned(),
            4
        )
    );
}

#[test]
fn a_pin_is_hidden_where_it_looks_like_one() {
    assert_eq!(masked(r#"{"pin":1234,"cardPin":"123456"}"#).1, 2);
    assert_eq!(masked(r#"{"pin":true,"gpio_pin":13,"pin":"message"}"#.replacen("\"pin\"", "\"x\"", 1).as_str()).1, 0);
}

#[test]
fn what_stands_beside_its_name_is_hidden() {
    for (text, hidden) in [
        (r#"{"env":[{"name":"DB_PASSWORD","value":"hunter2"},{"name":"USER","value":"bob"}]}"#, 1),
        (r#"{"headers":[{"key":"Authorization","value":"hunter2"}]}"#, 1),
        (r#"{"headers":[["X-Api-Key","hunter2"],["Accept","text"]]}"#, 1),
        (r#"{"argv":["mysql","--password","hunter2","--verbose","x"]}"#, 1),
        (r#"{"argv":["mysql","--password=hunter2"]}"#, 1),
        (r#"{"args":["CONFIG","SET","requirepass","hunter2"]}"#, 1),
        (r#"{"argv":["x","--password","--verbose"]}"#, 0),
        (r#"{"name":"the password list","value":"shown"}"#, 0),
        (r#"{"words":["token","value","other"]}"#, 0),
    ] {
        let (shown, count) = masked(text);
        assert_eq!(count, hidden, "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn card_numbers_are_hidden_as_numbers_too() {
    assert_eq!(
        masked(r#"{"a":4111111111111111,"b":4.111111111111111e15,"c":4111111111111112,"t":1700000000000}"#),
        (r#"{"a":"«hidden: number of 16 digits»","b":"«hidden: number of 18 digits»","c":4111111111111112,"t":1700000000000}"#.into(), 2)
    );
}

#[test]
fn masked_names_stay_apart() {
    let secret = |tail: &str| format!("AKIA{:0<16}", tail);
    let args =
        Json::object(["A", "B", "C"].map(|t| (secret(t), Json::from(1u64))).into_iter().chain([
            ("«hidden: text of 20 characters» (2)".to_owned(), Json::Null),
            ("<<x".to_owned(), Json::Null),
            ("«x".to_owned(), Json::Null),
        ]));
    let masked = mask(&args);
    assert_eq!(masked.hidden, 3);
    let text = masked.value.to_text();
    assert_eq!(parse(text.as_bytes()).expect("names are unique"), masked.value);
    assert_eq!(masked.value.as_object().map(<[_]>::len), Some(6));
}

#[test]
fn a_marker_cannot_be_forged() {
    let forged = "«hidden: text of 12 characters»";
    assert_eq!(mask_text(forged), ("<<hidden: text of 12 characters>>".into(), 0));
    let (shown, hidden) = masked(r#"{"password":"«hidden: text of 12 characters»","a":"« x »"}"#);
    assert_eq!((shown.contains('«'), hidden), (false, 0), "{shown}");
    assert_eq!(masked(r#"{"password":"«hidden: hunter2»"}"#).1, 1);
}

proptest! {
    #[test]
    fn scalars_below_a_secret_name_never_survive(value in any_json(), secret in "SECRET[A-Z]{4,12}") {
        let below = Json::object([("a", value), ("b", Json::Array(vec![Json::from(secret.as_str())]))]);
        let masked = mask(&Json::object([("dbPassword", below)]));
        prop_assert!(masked.hidden >= 1);
        prop_assert!(!masked.value.to_text().contains(&secret));
    }

    #[test]
    fn masking_twice_hides_nothing_more(
        value in any_json(),
        text in prop::collection::vec(prop_oneof![
            prop::sample::select(secrets()),
            prop::sample::select(vec!["password=", "token: ", "\"", "'", " ", ";", ",", "Cookie: ", "Bearer ", "://u:", "@", "«", "»",
                "--secret ", "«hidden: text of 3 characters»", "a", "\n", "IDENTIFIED BY '", "x=", "\\"]).prop_map(String::from),
        ], 0..10).prop_map(|parts| parts.concat()),
    ) {
        let once = mask(&Json::object([("v", value), ("t", Json::from(text.as_str())), ("auth", Json::from(text))]));
        let twice = mask(&once.value);
        prop_assert_eq!(twice.hidden, 0, "{} -> {}", once.value, twice.value);
        let thrice = mask(&twice.value);
        prop_assert_eq!(thrice.hidden, 0);
        prop_assert_eq!(thrice.value, twice.value);
    }

    #[test]
    fn any_arguments_can_be_masked_and_stay_well_formed(value in any_json()) {
        let masked = mask(&value).value;
        prop_assert_eq!(parse(masked.to_text().as_bytes()).unwrap(), masked);
    }
}

#[test]
fn hostile_text_is_masked_without_harm() {
    for (what, text) in HOSTILE {
        let args = Json::object([(*text, Json::from(*text)), ("password", Json::from(*text))]);
        let masked = mask(&args);
        assert!(masked.hidden <= 3, "{what}");
        assert!(!hides(text) || text.contains('='), "{what}");
    }
}
