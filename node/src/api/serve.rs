//! Accepting connections: few, bounded, and closed when they dawdle.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Most connections at the same time; more wait in the system's backlog. Below the usual limit of 1,024 open
/// files.
pub const CONNECTIONS_MAX: usize = 400;
/// How long a request's header may take, the wait for its first byte included. Half-sent requests once held
/// every connection of a test server for as long as they liked.
pub const HEADER_SECONDS_MAX: u64 = 5;
/// How long open requests may go on after the station was asked to stop.
const FAREWELL: Duration = Duration::from_secs(5);
/// Pause after the system refused to give a connection, out of files above all.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Largest header, in bytes.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Serves until `stop` turns true; then lets open requests finish.
pub async fn serve(listener: TcpListener, app: Router, mut stop: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&room).acquire_owned() => permit.expect("the semaphore is never closed"),
            () = stopped(&mut stop) => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = stopped(&mut stop) => break,
        };
        let service = TowerToHyperService::new(app.clone());
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(HEADER_SECONDS_MAX))
                .max_buf_size(HEADER_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopped(&mut stop) => {
                    connection.as_mut().graceful_shutdown();
                    timeout(FAREWELL, connection.as_mut()).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection of the API ended");
            }
            drop(permit);
        });
    }
    // The last permits come back when the last connections end.
    let all = u32::try_from(CONNECTIONS_MAX).expect("a few hundred");
    let _ = timeout(FAREWELL + Duration::from_secs(1), room.acquire_many(all)).await;
}

/// Waits for the word to stop; whoever would say it being gone counts as having said it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
