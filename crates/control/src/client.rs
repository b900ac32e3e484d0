//! Asking a running daemon.

use crate::place::connect;
use bifold_engine::daemon::face::{Event, Trouble, TroubleKind};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Longest line of the stream of events, in bytes.
const LONGEST_EVENT: usize = 64 << 20;

/// Asks the daemon of a home.
#[derive(Clone, Debug)]
pub struct Client {
    home: PathBuf,
}

fn failed(what: &str, e: impl std::fmt::Display) -> Trouble {
    Trouble::new(TroubleKind::Failed, format!("the daemon {what} ({e})"))
        .hint("See its log, and whether it still runs: bifold status.")
}

impl Client {
    /// For the daemon of a home; it is connected with each question.
    #[must_use]
    pub fn new(home: &Path) -> Client {
        Client { home: home.to_owned() }
    }

    async fn ask<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<hyper::Response<hyper::body::Incoming>, Trouble> {
        let stream = connect(&self.home).await.map_err(|e| match e.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                let message = format!("no daemon runs on the home {}", self.home.display());
                Trouble::new(TroubleKind::Unreachable, message)
                    .hint("Start it with bifold daemon, or name another home with --home DIR.")
            }
            _ => Trouble::new(
                TroubleKind::Unreachable,
                format!("the daemon of the home {} cannot be asked ({e})", self.home.display()),
            )
            .hint("It is for the user alone who started it."),
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| failed("does not answer", e))?;
        tokio::spawn(connection);
        let body = serde_json::to_vec(body).map_err(|e| failed("cannot be asked this", e))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "bifold")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| failed("cannot be asked this", e))?;
        sender.send_request(request).await.map_err(|e| failed("did not answer", e))
    }

    async fn answer<T: DeserializeOwned>(response: hyper::Response<hyper::body::Incoming>) -> Result<T, Trouble> {
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|e| failed("did not answer whole", e))?
            .to_bytes();
        if status == StatusCode::OK {
            return serde_json::from_slice(&bytes)
                .map_err(|e| failed("is of another version, and gave an answer that is not understood", e));
        }
        Err(serde_json::from_slice::<Trouble>(&bytes).unwrap_or_else(|_| failed("is of another version, and refused", status)))
    }

    /// Asks something.
    ///
    /// # Errors
    /// If no daemon runs, or what it says.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        Self::answer(self.ask(Method::GET, path, &()).await?).await
    }

    /// Has something done.
    ///
    /// # Errors
    /// If no daemon runs, or what it says.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Trouble> {
        Self::answer(self.ask(Method::POST, path, body).await?).await
    }

    /// Listens to events, until `take` says false or the daemon ends.
    ///
    /// # Errors
    /// If no daemon runs, or it ended.
    pub async fn events(&self, take: &mut dyn FnMut(Event, &str) -> bool) -> Result<(), Trouble> {
        let response = self.ask(Method::GET, "/v1/events", &()).await?;
        if response.status() != StatusCode::OK {
            return Self::answer::<()>(response).await;
        }
        let mut body = response.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| failed("ended", e))?;
            rest.extend_from_slice(frame.data_ref().map_or(&[], |d| d.as_ref()));
            while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]).into_owned();
                if line.is_empty() {
                    continue; // it is still there
                }
                let event = serde_json::from_str(&line)
                    .map_err(|e| failed("is of another version, and told something that is not understood", e))?;
                if !take(event, &line) {
                    return Ok(());
                }
            }
            if rest.len() > LONGEST_EVENT {
                return Err(failed("tells something without end", "a line that is too long"));
            }
        }
        Ok(())
    }
}
