//! What asks a program to end.

/// Resolves when someone wants the program to stop. Whoever says it twice does not want to wait.
pub async fn stop_signal() {
    let Some(mut signals) = Signals::new() else {
        return std::future::pending().await;
    };
    signals.next().await;
    tokio::spawn(async move {
        signals.next().await;
        // What was done is noted as after a power cut: nothing is lost by it.
        std::process::exit(1);
    });
}

/// What asks a program to end.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> Option<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [terminate, interrupt, hangup] = kinds.map(|kind| signal(kind).ok());
        Some(Signals([terminate?, interrupt?, hangup?]))
    }

    async fn next(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// What asks a program to end.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Option<Signals> {
        Some(Signals)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
