//! TLS with a mail server: certificates that are good, and each kind that is not.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::server::{Answer, Security, Server, patient, transport};
use super::{letter, request};
use crate::config;
use crate::mail::transport::{Delivered, Failure, Fault, Said};

/// An authority, and the folder in which its certificate is.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        Authority::named("test authority")
    }

    fn named(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        let authority = Authority {
            issuer: Issuer::new(params, key),
            folder: tempfile::tempdir().expect("a folder"),
        };
        authority.write(&pem);
        authority
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn write(&self, pem: &str) {
        std::fs::write(self.file(), pem).expect("written");
    }

    /// A certificate of this authority, and a server that shows it.
    fn signs(&self, params: &CertificateParams) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        acceptor(certificate.der().clone(), &key)
    }
}

fn for_names(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, "mail");
    params
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}

/// Delivers to a server with this certificate, both ways of TLS alike.
async fn delivered(
    acceptor: TlsAcceptor,
    trusted: Option<&Authority>,
) -> Result<Delivered, Failure> {
    let mut last = None;
    for security in [Security::StartTls(acceptor.clone()), Security::Tls(acceptor)] {
        let server = Server::start_with(security, |_| Answer::Usual).await;
        let smtp = config::Smtp {
            tls_ca_file: trusted.map(Authority::file),
            ..server.smtp("me:hunter2@")
        };
        let result = patient(smtp, 1).deliver(&letter(&request())).await;
        if result.is_err() {
            let said = server.said();
            assert!(said.iter().all(|line| !line.starts_with("AUTH")), "{said:?}");
        }
        last = Some(result);
    }
    last.expect("two ways")
}

/// Expects a failure that somebody has to mend, and that says all of this.
#[track_caller]
fn says(result: Result<Delivered, Failure>, words: &[&str]) {
    let failure = result.expect_err("a bad certificate");
    assert_eq!(failure.fault, Fault::SetUp, "{}", failure.text);
    for words in words {
        assert!(failure.text.contains(words), "{words:?} is not in: {}", failure.text);
    }
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let authority = Authority::new();
    let acceptor = authority.signs(&for_names(&["localhost"]));
    delivered(acceptor, Some(&authority)).await.expect("delivered");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_and_the_setting_named() {
    let (authority, other) = (Authority::new(), Authority::named("other authority"));
    let acceptor = authority.signs(&for_names(&["localhost"]));
    let words = "from an authority that this machine does not know";
    says(delivered(acceptor.clone(), None).await, &[words, "with `smtp_tls_ca_file`"]);
    let file = other.file().display().to_string();
    says(delivered(acceptor.clone(), Some(&other)).await, &[words, &file, "does not hold"]);
    let same_name = Authority::new();
    let words = "knows, but is signed by another";
    says(delivered(acceptor, Some(&same_name)).await, &[words, "does not hold"]);
}

#[tokio::test]
async fn an_expired_certificate_is_refused_with_its_day() {
    let authority = Authority::new();
    let mut params = for_names(&["localhost"]);
    params.not_after = date_time_ymd(2020, 5, 17);
    let acceptor = authority.signs(&params);
    let words = ["its certificate expired at 2020-05-17 00:00 UTC", "this machine's clock"];
    says(delivered(acceptor, Some(&authority)).await, &words);
}

#[tokio::test]
async fn a_certificate_of_the_future_is_refused_with_its_day() {
    let authority = Authority::new();
    let mut params = for_names(&["localhost"]);
    params.not_before = date_time_ymd(2999, 1, 2);
    let acceptor = authority.signs(&params);
    let words = ["not valid before 2999-01-02 00:00 UTC", "clock"];
    says(delivered(acceptor, Some(&authority)).await, &words);
}

#[tokio::test]
async fn a_certificate_for_other_names_is_refused_and_its_names_are_told() {
    let authority = Authority::new();
    let acceptor = authority.signs(&for_names(&["mail.example.com", "smtp.example.com"]));
    let words = ["is for mail.example.com, smtp.example.com, not for localhost", "`smtp_url`"];
    says(delivered(acceptor, Some(&authority)).await, &words);
    let nameless = authority.signs(&for_names(&[]));
    says(delivered(nameless, Some(&authority)).await, &["is for no name"]);
}

#[tokio::test]
async fn an_authority_that_shows_its_own_certificate_is_told_apart() {
    let authority = Authority::new();
    let key = KeyPair::generate().expect("a key");
    let mut params = for_names(&["localhost"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("signed");
    authority.write(&certificate.pem());
    let acceptor = acceptor(certificate.der().clone(), &key);
    says(delivered(acceptor, Some(&authority)).await, &["(CA:TRUE)", "CA:FALSE"]);
}

#[tokio::test]
async fn a_certificate_that_signs_itself_is_accepted_where_it_is_named() {
    let authority = Authority::new();
    let key = KeyPair::generate().expect("a key");
    let certificate = for_names(&["localhost"]).self_signed(&key).expect("signed");
    let acceptor = acceptor(certificate.der().clone(), &key);
    says(delivered(acceptor.clone(), None).await, &["`smtp_tls_ca_file`"]);
    authority.write(&certificate.pem());
    delivered(acceptor, Some(&authority)).await.expect("delivered");
}

#[tokio::test]
async fn plain_text_on_a_tls_port_is_recognised() {
    let server = Server::start(|_| Answer::Usual).await;
    let url = format!("smtps://localhost:{}", server.port);
    let smtp = config::Smtp::parse(&url).expect("a URL");
    let words = ["does not speak TLS here but plain text", "smtp+starttls://"];
    says(patient(smtp, 1).deliver(&letter(&request())).await, &words);
}

#[tokio::test]
async fn a_server_that_waits_for_tls_on_a_plain_port_is_guessed() {
    let acceptor = Authority::new().signs(&for_names(&["localhost"]));
    let server = Server::start_with(Security::Tls(acceptor), |_| Answer::Usual).await;
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let smtp = config::Smtp::parse(&url).expect("a URL");
    let failure = transport(smtp, 1).deliver(&letter(&request())).await.expect_err("silence");
    assert!(failure.text.contains("write smtps://"), "{}", failure.text);
}

#[tokio::test]
async fn without_starttls_nothing_is_sent() {
    let server = Server::start(|_| Answer::Usual).await;
    let url = format!("smtp+starttls://me:hunter2@localhost:{}", server.port);
    let smtp = config::Smtp::parse(&url).expect("a URL");
    says(patient(smtp, 1).deliver(&letter(&request())).await, &["offers no STARTTLS", "smtps://"]);
    assert_eq!((server.times("AUTH"), server.times("MAIL")), (0, 0));
}

/// What somebody on the way slips in before TLS begins would be read after it.
#[tokio::test]
async fn what_was_said_before_tls_is_not_believed_after_it() {
    let acceptor = Authority::new().signs(&for_names(&["localhost"]));
    let server = Server::start_with(Security::StartTls(acceptor), |verb| match verb {
        "STARTTLS" => Answer::Say("220 go\r\n250-test\r\n250 AUTH PLAIN"),
        _ => Answer::Usual,
    })
    .await;
    let result = patient(server.smtp("me:hunter2@"), 1).deliver(&letter(&request())).await;
    let text = result.expect_err("it is noticed").text;
    assert!(text.contains("more than one answer to STARTTLS"), "{text}");
}

#[tokio::test]
async fn who_listens_hears_how_the_line_is_encrypted() {
    let authority = Authority::new();
    let mut params = for_names(&["localhost", "127.0.0.1"]);
    params.not_after = date_time_ymd(2999, 1, 2);
    let security = Security::StartTls(authority.signs(&params));
    let server = Server::start_with(security, |_| Answer::Usual).await;
    let smtp = config::Smtp { tls_ca_file: Some(authority.file()), ..server.smtp("") };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    let listener = Arc::new(move |said| ears.lock().expect("held for this only").push(said));
    patient(smtp, 1).try_out(&letter(&request()), listener).await.expect("delivered");
    let heard = heard.lock().expect("held for this only");
    let notes: Vec<&str> = heard
        .iter()
        .filter_map(|said| match said {
            Said::Note(note) => Some(note.as_str()),
            _ => None,
        })
        .collect();
    assert!(notes[1].starts_with("encrypted: TLSv1_3, TLS13_"), "{notes:?}");
    let certificate = "certificate: CN=mail, for localhost, 127.0.0.1, from CN=test authority, \
                       valid until 2999-01-02 00:00 UTC";
    assert_eq!(notes[2], certificate);
}
