//! The daemon's TCP door: over TLS, through a relay, or by hand.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::certificates::{Ca, Pair};

/// A TLS connection for calls, with a client certificate if one is given.
pub fn endpoint(address: &str, ca: &Ca, client: Option<&Pair>) -> Endpoint {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(ca.pem()))
        .domain_name("localhost");
    if let Some(pair) = client {
        tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
    }
    let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
    endpoint.tls_config(tls).expect("TLS").connect_timeout(Duration::from_secs(10))
}

/// The same, connected when it is first used.
pub fn channel(address: &str, ca: &Ca, client: Option<&Pair>) -> Channel {
    endpoint(address, ca, client).connect_lazy()
}

/// The address without its scheme.
pub fn socket_address(address: &str) -> SocketAddr {
    address.rsplit('/').next().expect("an address").parse().expect("an IP address and a port")
}

/// Makes a handshake and nothing more: the certificate that the server showed.
pub async fn handshake(
    address: &str,
    ca: &Ca,
    versions: &[&'static SupportedProtocolVersion],
    protocol: &str,
) -> io::Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca.pem().as_bytes()).expect("PEM");
    roots.add(ca).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(socket_address(address)).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let made = connector.connect(name, stream).await?;
    let shown = made.get_ref().1.peer_certificates().expect("a certificate");
    Ok(shown[0].to_vec())
}

/// Between a client and the daemon. Once it is silenced it neither reads nor
/// writes nor closes anything: as if a cable were cut, or the peer frozen.
#[derive(Debug)]
pub struct Relay {
    pub address: SocketAddr,
    silence: watch::Sender<bool>,
}

impl Relay {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let silence = watch::Sender::new(false);
        let silenced = silence.subscribe();
        tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let mut silenced = silenced.clone();
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(target).await.expect("the daemon");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => return,
                        _ = silenced.wait_for(|silent| *silent) => {}
                    }
                    std::future::pending::<()>().await;
                });
            }
        });
        Relay { address, silence }
    }

    pub fn silence(&self) {
        self.silence.send_replace(true);
    }
}

/// Waits until the other side has closed a connection.
pub async fn closed(stream: &mut TcpStream) {
    let mut bytes = [0; 1024];
    while matches!(stream.read(&mut bytes).await, Ok(n) if n > 0) {}
}

/// HTTP/2 by hand, for what no client library does.
#[derive(Debug)]
pub struct ByHand {
    pub stream: TcpStream,
    next: u32,
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;

impl ByHand {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        Ok(ByHand { stream, next: 1 })
    }

    /// Begins so many calls of a path and takes each back at once.
    pub async fn begin_and_reset(&mut self, path: &str, calls: u32) -> io::Result<()> {
        let mut bytes = Vec::new();
        for _ in 0..calls {
            bytes.extend(frame(HEADERS, END_HEADERS, self.next, &headers(path)));
            bytes.extend(frame(RST_STREAM, 0, self.next, &8u32.to_be_bytes()));
            self.next += 2;
        }
        self.stream.write_all(&bytes).await
    }

    /// Reads what has come, and forgets it. An error once the daemon has closed.
    pub fn forget(&self) -> io::Result<()> {
        let mut bytes = [0; 65_536];
        loop {
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// HPACK without compression: POST, http, the path, and what gRPC asks for.
fn headers(path: &str) -> Vec<u8> {
    let mut bytes = vec![0x83, 0x86];
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.push(u8::try_from(text.len()).expect("short"));
        bytes.extend(text.as_bytes());
    };
    bytes.push(0x04);
    text(&mut bytes, path);
    for (name, value) in
        [(":authority", "localhost"), ("content-type", "application/grpc"), ("te", "trailers")]
    {
        bytes.push(0);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}
