//! A relay for tests, that keeps what it hands on.
//!
//! A crate of its own, and no dev-dependency of the tests, so that one set of features is compiled for all that the checks do.
#![allow(clippy::unwrap_used, reason = "in a test tool a panic is a failed test, and says where")]

use std::net::SocketAddr;
use std::path::Path;

use iroh_relay::server::{QuicConfig, RelayConfig, Server, ServerConfig};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

/// Relays at `address`, by plain HTTP, until the process ends. All that it sends is also appended to the file `sent`: what a
/// device sends to a relay is masked (RFC 6455, 5.3), what a relay sends is as the relay knows it. With a file `ca` it also tells
/// devices by which address they are seen from outside (QUIC address discovery, UDP port 7842), by a certificate that is put there.
pub fn run(address: SocketAddr, sent: &Path, ca: Option<&Path>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = ServerConfig::default();
        config.relay = Some(RelayConfig::new(SocketAddr::from(([127, 0, 0, 1], 0))));
        if let Some(ca) = ca {
            let made = rcgen::generate_simple_self_signed([address.ip().to_string()]).unwrap();
            let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
            let tls = rustls::ServerConfig::builder_with_provider(default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key.into())
                .unwrap();
            let mut quic = QuicConfig::new((address.ip(), 7842));
            quic.server_config = Some(tls);
            config.quic = Some(quic);
            std::fs::write(ca, made.cert.pem()).unwrap();
        }
        let server = Server::spawn(config).await.unwrap();
        let relay = server.http_addr().unwrap();
        let front = TcpListener::bind(address).await.unwrap();
        loop {
            let (device, _) = front.accept().await.unwrap();
            let file = File::options().create(true).append(true).open(sent).await.unwrap();
            tokio::spawn(hand_on(device, TcpStream::connect(relay).await.unwrap(), file));
        }
    });
}

async fn hand_on(device: TcpStream, relay: TcpStream, mut sent: File) {
    let (mut from_device, mut to_device) = device.into_split();
    let (mut from_relay, mut to_relay) = relay.into_split();
    tokio::spawn(async move {
        let _ = copy(&mut from_device, &mut to_relay).await;
        let _ = to_relay.shutdown().await;
    });
    let mut bytes = vec![0; 1 << 16];
    while let Ok(size @ 1..) = from_relay.read(&mut bytes).await {
        sent.write_all(&bytes[..size]).await.unwrap();
        sent.flush().await.unwrap();
        if to_device.write_all(&bytes[..size]).await.is_err() {
            break;
        }
    }
}
