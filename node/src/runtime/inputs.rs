//! The one queue into the core: bounded in number and in bytes, for everybody who puts something in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::step::{Answer, Input, Ticket};

/// Most inputs that wait for the core.
pub const INPUTS_MAX: usize = 1024;
/// Most bytes of messages that wait for the core; what comes after waits at its source: at the relay, or in the
/// sending program.
pub const INPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long an answer is waited for, in seconds. The core may be writing to a slow disk.
pub const ANSWER_SECONDS_MAX: u64 = 60;

const KIB: usize = 1024;

/// What waits for the core.
pub(crate) enum Queued {
    /// An input, who wants its answer, and the room it takes until it was processed.
    Input {
        /// The input.
        input: Input,
        /// Who asked.
        reply: Option<(Ticket, oneshot::Sender<Answer>)>,
        /// Given back when the step is over.
        room: OwnedSemaphorePermit,
    },
    /// Finish what was gathered, then end.
    Stop,
}

/// Why a request got no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AskError {
    /// The queue was full for as long as the caller would wait: nothing was done.
    #[error("the station is busy: its queue of {INPUTS_MAX} inputs stayed full; nothing was done, try again")]
    Busy,
    /// The station stopped before it took the request: nothing was done.
    #[error("the station has stopped taking requests; nothing was done")]
    Stopped,
    /// No answer came: it may have been done.
    #[error(
        "no answer within {ANSWER_SECONDS_MAX} s, or the station stopped meanwhile; look whether it was done"
    )]
    Unknown,
}

/// The way into the core. Cheap to clone.
#[derive(Clone)]
pub struct Inputs {
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    tickets: Arc<AtomicU64>,
}

impl Inputs {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Queued>) {
        let (queue, waiting) = mpsc::channel(INPUTS_MAX);
        let room = Arc::new(Semaphore::new(INPUT_BYTES_MAX / KIB));
        (Self { queue, room, tickets: Arc::new(AtomicU64::new(1)) }, waiting)
    }

    /// Puts an input in; waits for room.
    ///
    /// # Errors
    /// When the core has ended.
    pub async fn put(&self, input: Input) -> Result<(), AskError> {
        let room = self.room_for(&input).await?;
        self.queue.send(Queued::Input { input, reply: None, room }).await.map_err(|_| AskError::Stopped)
    }

    /// As [`Inputs::put`], but gives up when there is no room for `patience`.
    ///
    /// # Errors
    /// When there is no room, or the core has ended.
    pub async fn put_within(&self, patience: Duration, input: Input) -> Result<(), AskError> {
        timeout(patience, self.put(input)).await.unwrap_or(Err(AskError::Busy))
    }

    /// Puts a request in and waits for its answer.
    ///
    /// # Errors
    /// When there is no room for `patience`, or no answer comes.
    pub async fn ask(
        &self,
        patience: Duration,
        request: impl FnOnce(Ticket) -> Input,
    ) -> Result<Answer, AskError> {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let input = request(ticket);
        let queued = async {
            let room = self.room_for(&input).await?;
            self.queue
                .send(Queued::Input { input, reply: Some((ticket, reply)), room })
                .await
                .map_err(|_| AskError::Stopped)
        };
        timeout(patience, queued).await.unwrap_or(Err(AskError::Busy))?;
        match timeout(Duration::from_secs(ANSWER_SECONDS_MAX), answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(AskError::Unknown),
        }
    }

    /// A way in that does not keep the core from ending when everybody else has gone.
    pub(crate) fn downgrade(&self) -> WeakInputs {
        WeakInputs {
            queue: self.queue.downgrade(),
            room: Arc::clone(&self.room),
            tickets: Arc::clone(&self.tickets),
        }
    }

    pub(crate) async fn stop(&self) {
        // A core that has ended needs no telling.
        let _ = self.queue.send(Queued::Stop).await;
    }

    async fn room_for(&self, input: &Input) -> Result<OwnedSemaphorePermit, AskError> {
        let kib = bytes_of(input).div_ceil(KIB).clamp(1, INPUT_BYTES_MAX / KIB);
        let kib = u32::try_from(kib).expect("clamped to 16 Ki");
        Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| AskError::Stopped)
    }
}

/// A way into the core for the core's own helpers.
#[derive(Clone)]
pub(crate) struct WeakInputs {
    queue: mpsc::WeakSender<Queued>,
    room: Arc<Semaphore>,
    tickets: Arc<AtomicU64>,
}

impl WeakInputs {
    /// The way in, while anybody else has one.
    pub(crate) fn upgrade(&self) -> Option<Inputs> {
        let (room, tickets) = (Arc::clone(&self.room), Arc::clone(&self.tickets));
        Some(Inputs { queue: self.queue.upgrade()?, room, tickets })
    }
}

fn bytes_of(input: &Input) -> usize {
    match input {
        Input::Delivered { opened, .. } | Input::Imported { opened, .. } => {
            let events: usize = opened.events.iter().map(|arrival| arrival.event.bytes().len()).sum();
            let refused: usize = opened.refused.iter().map(|refused| refused.bytes.len()).sum();
            events + refused
        }
        Input::Registry { items, .. } => items.iter().map(|item| item.bytes().len()).sum(),
        Input::Command { .. }
        | Input::Rehearse { .. }
        | Input::Connected(_)
        | Input::Disconnected(_)
        | Input::Published { .. }
        | Input::Chunk { .. }
        | Input::Brought { .. }
        | Input::Enclosed { .. }
        | Input::Leftovers { .. }
        | Input::Examined { .. }
        | Input::Offered { .. }
        | Input::Takes { .. }
        | Input::Keeps { .. }
        | Input::Released { .. }
        | Input::SealingKeyRenewed { .. }
        | Input::Tick => 0,
    }
}
