//! Servers behind a URL that answer, break off, close what is idle, and show
//! certificates of every kind.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::url::{Away, UrlServer, cause};
use crate::proxy::config::UrlConfig;

/// An answer in one piece.
const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Stands in a URL, where a key may.
const KEY: &str = "s3cret";

/// What was heard over which connection.
type Heard = Arc<Mutex<Vec<(usize, String)>>>;

/// A server that gives these answers over its first connection, its second and so on,
/// each to one request, and then closes the connection. An empty one is none.
struct Server {
    url: String,
    heard: Heard,
}

impl Server {
    async fn new(answers: &[&[&str]]) -> Server {
        Server::with(answers, None).await
    }

    async fn with(answers: &[&[&str]], tls: Option<TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let port = listener.local_addr().expect("bound").port();
        let heard = Heard::default();
        let mut left = answers.iter().map(|one| one.iter().map(|a| a.to_string()).collect());
        let left: Vec<Vec<String>> = left.by_ref().collect();
        let seen = heard.clone();
        tokio::spawn(async move {
            for (n, answers) in left.into_iter().enumerate() {
                let (socket, _) = listener.accept().await.expect("a connection");
                match &tls {
                    None => drop(tokio::spawn(serve(socket, n, answers, seen.clone()))),
                    Some(tls) => {
                        let Ok(socket) = tls.accept(socket).await else { continue };
                        tokio::spawn(serve(socket, n, answers, seen.clone()));
                    }
                }
            }
        });
        Server { url: format!("{scheme}://localhost:{port}/mcp?key={KEY}"), heard }
    }

    fn client(&self) -> UrlServer {
        UrlServer::new(&UrlConfig::of(&self.url, Vec::new()).expect("a URL")).expect("a client")
    }

    /// The connections over which requests came.
    fn connections(&self) -> Vec<usize> {
        self.heard.lock().expect("a lock").iter().map(|(n, _)| *n).collect()
    }
}

async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    n: usize,
    answers: Vec<String>,
    heard: Heard,
) {
    for answer in answers {
        let Some(request) = request(&mut socket).await else { return };
        heard.lock().expect("a lock").push((n, request));
        if answer.is_empty() || socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
    let _ = socket.shutdown().await;
}

/// The next request, with its body.
async fn request(socket: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    loop {
        text.push(socket.read_u8().await.ok()?);
        if text.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(text).expect("a head").to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    socket.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).expect("a body"))
}

/// Asks, and reads the whole answer.
async fn asked(server: &UrlServer) -> Result<String, Away> {
    let mut headers = HeaderMap::new();
    headers.insert("x-own", HeaderValue::from_static(KEY));
    let sent = server.send(Method::POST, headers, Some(Bytes::from_static(b"{}"))).await;
    let body = sent?.into_body().collect().await;
    let body = body.map_err(|error| Away::Broken(cause(&error)))?;
    Ok(String::from_utf8(body.to_bytes().to_vec()).expect("text"))
}

/// A moment in which this process hears what happened to its connections.
async fn moment() {
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

#[tokio::test]
async fn a_request_says_what_its_url_says_and_goes_over_the_connection_of_the_one_before() {
    let server = Server::new(&[&[FINE, FINE]]).await;
    let client = server.client();
    for _ in 0..2 {
        assert_eq!(asked(&client).await.as_deref(), Ok("ok"));
    }
    assert_eq!(server.connections(), [0, 0]);
    let heard = server.heard.lock().expect("a lock")[0].1.clone();
    assert!(heard.starts_with(&format!("post /mcp?key={KEY} http/1.1\r\n")), "{heard}");
    let host = server.url.split('/').nth(2).expect("a host");
    for header in [&format!("host: {host}"), "content-length: 2", "accept: */*"] {
        assert!(heard.contains(&format!("\r\n{header}\r\n")), "{heard}");
    }
    assert!(heard.ends_with("\r\n\r\n{}"), "{heard}");
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_costs_the_next_call_nothing() {
    let server = Server::new(&[&[FINE], &[FINE]]).await;
    let client = server.client();
    assert_eq!(asked(&client).await.as_deref(), Ok("ok"));
    moment().await;
    assert_eq!(asked(&client).await.as_deref(), Ok("ok"));
    assert_eq!(server.connections(), [0, 1]);
}

#[tokio::test]
async fn what_a_server_read_is_not_sent_again_however_the_connection_ends() {
    // Over a connection that was used before, and over a new one.
    let server = Server::new(&[&[FINE, ""], &[""], &[FINE]]).await;
    let client = server.client();
    assert_eq!(asked(&client).await.as_deref(), Ok("ok"));
    for _ in 0..2 {
        let broken = asked(&client).await.expect_err("no answer");
        assert!(matches!(broken, Away::Broken(_)), "{broken}");
        assert!(!broken.to_string().contains(KEY), "{broken}");
    }
    assert_eq!(server.connections(), [0, 0, 1]);
}

#[tokio::test]
async fn where_nobody_is_there_nothing_was_sent() {
    let server = Server::new(&[]).await;
    moment().await;
    let away = asked(&server.client()).await.expect_err("nobody");
    assert!(matches!(away, Away::Unreachable(_)), "{away}");
    assert!(away.to_string().contains("refused") && !away.to_string().contains(KEY), "{away}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let other = Server::new(&[&[FINE]]).await;
    let moved =
        format!("HTTP/1.1 307 Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", other.url);
    let server = Server::new(&[&[&moved]]).await;
    let answer = server.client().send(Method::POST, HeaderMap::new(), None).await.expect("one");
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!((server.connections().len(), other.connections().len()), (1, 0));
}

#[tokio::test]
async fn a_long_answer_comes_whole_and_leaves_its_connection_to_the_next() {
    let text = "x".repeat(1 << 20);
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    let server = Server::new(&[&[&whole, &chunked, FINE]]).await;
    let client = server.client();
    assert_eq!(asked(&client).await.map(|text| text.len()), Ok(1 << 20));
    assert_eq!(asked(&client).await.map(|text| text.len()), Ok(2 << 20));
    assert_eq!(asked(&client).await.as_deref(), Ok("ok"));
    assert_eq!(server.connections(), [0, 0, 0]);
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_read_or_not_whole_is_not_used_again() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let more = format!("{FINE}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother");
    let server = Server::new(&[&[half, FINE], &[half], &[last], &[&more, FINE], &[FINE]]).await;
    let client = server.client();
    let dropped = client.send(Method::POST, HeaderMap::new(), None).await.expect("its beginning");
    drop(dropped);
    let broken = asked(&client).await.expect_err("half of it");
    assert!(matches!(broken, Away::Broken(_)), "{broken}");
    for _ in 0..3 {
        // What nobody asked for is not taken for the answer to the next.
        assert_eq!(asked(&client).await.as_deref(), Ok("ok"));
        moment().await;
    }
    assert_eq!(server.connections(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn calls_at_once_have_a_connection_each_and_leave_them_all() {
    let (two, client) = {
        let server = Server::new(&[&[FINE, FINE], &[FINE, FINE]]).await;
        let client = server.client();
        (server, client)
    };
    for _ in 0..2 {
        let (a, b) = tokio::join!(asked(&client), asked(&client));
        assert_eq!((a.as_deref(), b.as_deref()), (Ok("ok"), Ok("ok")));
    }
    let mut used = two.connections();
    used.sort_unstable();
    assert_eq!(used, [0, 0, 1, 1]);
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("bound"));
    let config = UrlConfig::of(&url, Vec::new()).expect("a URL");
    let client = UrlServer::new(&config).expect("a client");
    let served = async {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        request(&mut socket).await.expect("a request");
        socket.write_all(FINE.as_bytes()).await.expect("taken");
        // Until its end.
        let end = tokio::time::timeout(std::time::Duration::from_secs(30), socket.read_u8());
        end.await.expect("it ends").expect_err("nothing more")
    };
    let (answer, end) = tokio::join!(asked(&client), served);
    assert_eq!(answer.as_deref(), Ok("ok"));
    assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
}

/// An authority's certificate as PEM, and a server's that it signed for this name.
fn certified(name: &str) -> (String, TlsAcceptor) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("signed").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let chain = vec![server.signed_by(&key, &issuer).expect("signed").der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    (pem, TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn with_tls_a_server_is_asked_if_its_certificate_is_for_its_name() {
    for (name, fits) in [("localhost", true), ("other.example", false)] {
        let (pem, tls) = certified(name);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), pem).expect("written");
        let server = Server::with(&[&[FINE, FINE], &[FINE]], Some(tls)).await;
        let config = UrlConfig::of(&server.url, Vec::new()).expect("a URL");
        let trusting = UrlConfig { tls_ca_file: Some(file.path().to_owned()), ..config.clone() };
        let client = UrlServer::new(&trusting).expect("a client");
        match fits {
            true => {
                assert_eq!(asked(&client).await.as_deref(), Ok("ok"));
                assert_eq!(asked(&client).await.as_deref(), Ok("ok"));
                assert_eq!(server.connections(), [0, 0]);
            }
            false => {
                let away = asked(&client).await.expect_err("another's certificate");
                assert!(matches!(&away, Away::Unreachable(why) if why.contains("certificate")));
            }
        }
        // Who signed it is nobody that this machine knows.
        let away = asked(&UrlServer::new(&config).expect("a client")).await.expect_err("unknown");
        assert!(matches!(&away, Away::Unreachable(why) if why.contains("UnknownIssuer")), "{away}");
    }
}

#[test]
fn a_file_of_certificates_that_cannot_be_used_is_said_at_once() {
    for url in ["https://mcp.example.org/mcp", "http://localhost/mcp"] {
        let config = UrlConfig::of(url, Vec::new()).expect("a URL");
        let config = UrlConfig { tls_ca_file: Some("/nowhere/ca.pem".into()), ..config };
        let error = UrlServer::new(&config).expect_err("no file").to_string();
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
    }
}
