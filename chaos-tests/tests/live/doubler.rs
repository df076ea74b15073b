//! Somebody who stole a relay's login and publishes every message once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{ConnectOptions, HeaderMap};
use futures_util::StreamExt;
use tokio::runtime::Runtime;

/// Marks a copy, so that it is not copied for ever.
const COPY: &str = "Copy";

/// Doubles every event that passes a relay's server until it is dropped.
pub(crate) struct Doubler {
    copies: Arc<AtomicU64>,
    // Dropping it ends the task.
    _runtime: Runtime,
}

impl Doubler {
    /// Begins.
    pub(crate) fn start(url: &str, seed: String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread");
        let copies = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&copies);
        let (client, mut events) = runtime.block_on(async {
            let client = ConnectOptions::with_nkey(seed).connect(url).await.expect("let in");
            // What offices bring, peers bring, goes to peers, and lies in mailboxes.
            let events = client.subscribe("t.*.*.ev").await.expect("subscribed");
            client.flush().await.expect("known to the server");
            (client, events)
        });
        runtime.spawn(async move {
            while let Some(event) = events.next().await {
                if event.headers.as_ref().is_some_and(|headers| headers.get(COPY).is_some()) {
                    continue;
                }
                // Without the message id: with it the server would drop the copy, which is not what is tested.
                let mut headers = HeaderMap::new();
                headers.insert(COPY, "1");
                if client.publish_with_headers(event.subject, headers, event.payload).await.is_err() {
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { copies, _runtime: runtime }
    }

    /// How many copies were published so far.
    pub(crate) fn copies(&self) -> u64 {
        self.copies.load(Ordering::Relaxed)
    }
}
