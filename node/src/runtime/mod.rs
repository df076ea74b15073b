//! Threads, channels and signals: the loop that waits in one place and decides in another.
//!
//! ```text
//!  api ─┐                              ┌─► link of relay A
//! link ─┼─► Inputs ─► core thread ─────┼─► link of relay B
//! link ─┘  (bounded)  Node::step       └─► answers to whoever asked
//! ```
//!
//! The core thread never waits for anybody but its queue: what a link cannot take is answered for it. So
//! links and API may wait for the core, and nothing can wait in a circle.

mod indexing;
mod inputs;
mod keeper;
mod nightly;
mod run;
mod sweeping;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schema::blob::BlobRef;
use schema::id::{OfficeId, RegionId};
use schema::registry::CERTIFICATES_MAX;
use schema::time::Millis;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

pub use inputs::{ANSWER_SECONDS_MAX, AskError, INPUT_BYTES_MAX, INPUTS_MAX, Inputs};
pub(crate) use inputs::{Queued, WeakInputs};
pub use keeper::{Keeper, TakenIn};
pub use run::{ApiAddress, SELF_CHECK_EVENTS, run};

use crate::content::Contents;
use crate::keyring::Login;
use crate::link::{self, JOBS_MAX, Job, LinkBoard, LinkSetting};
use crate::step::{Answer, Effect, Found, Input, Opening, Ticket};
use crate::words::with_causes;

/// Most inputs of one step, that is of one transaction.
pub const STEP_INPUTS_MAX: usize = 512;
/// Longest sleep of the core, so that a clock that was set back does not stop it for long.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Shortest sleep after a wake-up without work, so that a wake-up in the past does not become a hot loop.
const SLEEP_MIN: Duration = Duration::from_millis(20);
/// Chores that wait: a change of keys, and a word about each earlier one.
const CHORES_MAX: usize = CERTIFICATES_MAX + 2;

/// What runs in the core thread. [`crate::node::Node`] is the one; tests of the edges put something smaller
/// in its place.
pub trait Station: Send + 'static {
    /// Why a step failed; the station stops then.
    type Error: std::error::Error + Send + Sync + 'static;

    /// One transaction.
    ///
    /// # Errors
    /// When nothing may be promised any more, because the store failed.
    fn step(&mut self, inputs: Vec<Input>, now: Millis) -> Result<Vec<Effect>, Self::Error>;

    /// When it wants to be called again although nothing happens.
    fn wakeup(&self) -> Option<Millis>;
}

/// The time of the system's clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A core at work.
pub struct Core {
    /// The way in.
    pub inputs: Inputs,
    /// Resolves when the core ended: with the reason when it failed.
    pub ended: oneshot::Receiver<Result<(), anyhow::Error>>,
}

/// Starts the core thread. Must be called inside a tokio runtime.
///
/// # Errors
/// When the system gives no thread.
pub fn start_core<S: Station>(station: S, links: &Links) -> std::io::Result<Core> {
    let (inputs, waiting) = Inputs::new();
    let (done, ended) = oneshot::channel();
    let examiner = Examiner { contents: Arc::clone(&links.contents), inputs: inputs.downgrade() };
    let routes = links.routes.clone();
    let handle = Handle::current();
    std::thread::Builder::new().name("tram-core".to_owned()).spawn(move || {
        let result = work(station, waiting, &routes, &examiner, &handle);
        // Nobody may wait for the end any more.
        let _ = done.send(result.map_err(anyhow::Error::from));
    })?;
    Ok(Core { inputs, ended })
}

/// Gathered for one step.
#[derive(Default)]
struct Gathered {
    inputs: Vec<Input>,
    replies: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    room: Vec<OwnedSemaphorePermit>,
    stop: bool,
}

impl Gathered {
    fn add(&mut self, queued: Queued) {
        match queued {
            Queued::Input { input, reply, room } => {
                self.inputs.push(input);
                self.replies.extend(reply);
                self.room.push(room);
            }
            Queued::Stop => self.stop = true,
        }
    }
}

fn work<S: Station>(
    mut station: S,
    mut waiting: mpsc::Receiver<Queued>,
    routes: &Routes,
    examiner: &Examiner,
    handle: &Handle,
) -> Result<(), S::Error> {
    // What the links could not take, answered in their name.
    let mut failed: Vec<Input> = Vec::new();
    let mut idle = false;
    // Some answers come steps later, when somebody has looked at the disk.
    let mut replies: BTreeMap<Ticket, oneshot::Sender<Answer>> = BTreeMap::new();
    loop {
        let mut gathered = Gathered { inputs: std::mem::take(&mut failed), ..Gathered::default() };
        if gathered.inputs.is_empty() {
            match wait(&mut waiting, station.wakeup(), idle, handle) {
                Waited::Queued(queued) => {
                    idle = false;
                    gathered.add(queued);
                }
                Waited::Woken => {
                    idle = true;
                    gathered.inputs.push(Input::Tick);
                }
                Waited::Closed => gathered.stop = true,
            }
        }
        while !gathered.stop && gathered.inputs.len() < STEP_INPUTS_MAX {
            match waiting.try_recv() {
                Ok(queued) => gathered.add(queued),
                Err(_) => break,
            }
        }
        let Gathered { inputs, replies: asked, room, stop } = gathered;
        replies.extend(asked);
        let effects = station.step(inputs, now())?;
        drop(room);
        for effect in effects {
            match effect {
                Effect::Answer { ticket, answer } => {
                    if let Some(reply) = replies.remove(&ticket) {
                        // Whoever asked may have gone away; what was done stays done.
                        let _ = reply.send(answer);
                    }
                }
                Effect::Rest { until } => routes.rest(Duration::from_millis(until.since(now()))),
                chore @ (Effect::Announce { .. } | Effect::KeyChanged { .. }) => routes.chore(chore),
                Effect::Examine { blob, openings } => examiner.examine(handle, blob, openings),
                Effect::Discard { blobs } => examiner.discard(&blobs),
                effect => failed.extend(hand_on(effect, routes)),
            }
        }
        replies.retain(|_, reply| !reply.is_closed());
        if stop {
            return Ok(());
        }
    }
}

/// Looks at attachments on the disk, where it does not keep the core waiting.
struct Examiner {
    contents: Arc<Contents>,
    inputs: WeakInputs,
}

impl Examiner {
    /// At once, and in turn: what is asked for after it must not be removed by it.
    fn discard(&self, blobs: &[BlobRef]) {
        for blob in blobs {
            if let Err(error) = self.contents.discard(blob) {
                let error = with_causes(&error);
                tracing::error!(
                    error,
                    "an attachment that is needed no more was not removed; the next sweep does it"
                );
            }
        }
    }

    /// The core asks about each attachment once, and about few at a time.
    fn examine(&self, handle: &Handle, blob: BlobRef, openings: Vec<Opening>) {
        let (contents, inputs) = (Arc::clone(&self.contents), self.inputs.clone());
        handle.spawn(async move {
            let looked = tokio::task::spawn_blocking(move || contents.examine(&blob, &openings)).await;
            let found = match looked {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => {
                    tracing::error!(error = with_causes(&error), "an attachment cannot be looked at");
                    Found::Unknown
                }
                Err(error) => {
                    tracing::error!(%error, "looking at an attachment panicked");
                    Found::Unknown
                }
            };
            // A core that has ended needs no telling.
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.put(Input::Examined { blob, found }).await;
            }
        });
    }
}

enum Waited {
    Queued(Queued),
    Woken,
    Closed,
}

fn wait(waiting: &mut mpsc::Receiver<Queued>, wakeup: Option<Millis>, idle: bool, handle: &Handle) -> Waited {
    let least = if idle { SLEEP_MIN } else { Duration::ZERO };
    let sleep = wakeup.map(|at| Duration::from_millis(at.since(now())).clamp(least, SLEEP_MAX));
    handle.block_on(async {
        let queued = match sleep {
            None => waiting.recv().await,
            Some(sleep) => match timeout(sleep, waiting.recv()).await {
                Ok(queued) => queued,
                Err(_) => return Waited::Woken,
            },
        };
        queued.map_or(Waited::Closed, Waited::Queued)
    })
}

/// Gives an effect to its link; what the link cannot take is answered for it.
fn hand_on(effect: Effect, routes: &Routes) -> Option<Input> {
    let (relay, job) = Job::of(effect)?;
    let route = routes.of(&relay);
    let refused = match route {
        None => Some(job),
        Some(route) => route.try_send(job).err().map(|error| match error {
            mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job) => job,
        }),
    }?;
    tracing::warn!(%relay, "the link takes no more at the moment");
    refused.failed(&relay)
}

/// The ways out of the core.
#[derive(Clone)]
struct Routes {
    jobs: Arc<Mutex<BTreeMap<RegionId, mpsc::Sender<Job>>>>,
    rests_until: watch::Sender<Instant>,
    chores: mpsc::Sender<Effect>,
}

impl Routes {
    fn new() -> (Self, mpsc::Receiver<Effect>) {
        let (chores, waiting) = mpsc::channel(CHORES_MAX);
        (Self { jobs: Arc::default(), rests_until: watch::Sender::new(Instant::now()), chores }, waiting)
    }

    /// What is done about the station's keys. Whatever is lost here is done at the next start.
    fn chore(&self, chore: Effect) {
        if self.chores.try_send(chore).is_err() {
            tracing::error!(
                "what is to be done about the station's keys was not done; it is at the next start"
            );
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<RegionId, mpsc::Sender<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, relay: &RegionId) -> Option<mpsc::Sender<Job>> {
        self.all().get(relay).cloned()
    }

    /// No link asks its mailbox for more meanwhile.
    fn rest(&self, pause: Duration) {
        self.rests_until.send_replace(Instant::now() + pause);
    }
}

/// The links to the home relays.
pub struct Links {
    office: OfficeId,
    login: Login,
    routes: Routes,
    running: BTreeMap<RegionId, (String, JoinHandle<()>)>,
    keeper: Keeper,
    contents: Arc<Contents>,
    chores: Option<mpsc::Receiver<Effect>>,
    board: LinkBoard,
}

impl Links {
    /// No link yet.
    pub fn new(office: OfficeId, login: Login, keeper: Keeper, contents: Arc<Contents>) -> Self {
        let (routes, chores) = Routes::new();
        let (running, board) = (BTreeMap::new(), LinkBoard::default());
        Self { office, login, routes, running, keeper, contents, chores: Some(chores), board }
    }

    /// What the core wants done about its next signing key: [`Effect::Announce`], [`Effect::KeyChanged`]. Once.
    pub fn take_chores(&mut self) -> Option<mpsc::Receiver<Effect>> {
        self.chores.take()
    }

    /// How they stand.
    pub fn board(&self) -> LinkBoard {
        self.board.clone()
    }

    /// Starts links to these relays and ends those to others.
    pub fn serve(&mut self, relays: Vec<(RegionId, String)>, inputs: &Inputs) {
        let wanted: BTreeMap<RegionId, String> = relays.into_iter().collect();
        let mut routes = self.routes.all();
        self.running.retain(|relay, (url, _)| {
            let keep = wanted.get(relay) == Some(url);
            if !keep {
                // A link whose jobs have ended ends itself.
                routes.remove(relay);
            }
            keep
        });
        for (relay, url) in wanted {
            if self.running.contains_key(&relay) {
                continue;
            }
            let (job_sender, jobs) = mpsc::channel(JOBS_MAX);
            let setting = LinkSetting {
                office: self.office,
                relay: relay.clone(),
                url: url.clone(),
                login: self.login.clone(),
                keeper: self.keeper.clone(),
                contents: Arc::clone(&self.contents),
                rests_until: self.routes.rests_until.subscribe(),
                board: self.board.clone(),
            };
            let task = tokio::spawn(link::run(setting, inputs.clone(), jobs));
            routes.insert(relay.clone(), job_sender);
            self.running.insert(relay, (url, task));
        }
    }

    /// Ends all links; what the core has acknowledged still leaves. Waits `patience` at most.
    pub async fn end(&mut self, patience: Duration) {
        self.routes.all().clear();
        for (relay, (_, task)) in std::mem::take(&mut self.running) {
            if timeout(patience, task).await.is_err() {
                tracing::warn!(%relay, "link did not end in time");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{Publication, PublishOutcome};
    use schema::blob::BlobRef;
    use schema::directory::DirectoryBuilder;
    use schema::id::BlobHash;

    #[derive(Debug, thiserror::Error)]
    #[error("the disk is gone")]
    struct Gone;

    /// Answers every question, publishes into the void, and fails when told to.
    #[derive(Default)]
    struct Echo {
        fails: bool,
        seen: Arc<Mutex<Vec<usize>>>,
        outcomes: Arc<Mutex<Vec<PublishOutcome>>>,
    }

    impl Station for Echo {
        type Error = Gone;

        fn step(&mut self, inputs: Vec<Input>, _: Millis) -> Result<Vec<Effect>, Gone> {
            if self.fails {
                return Err(Gone);
            }
            self.seen.lock().expect("one thread").push(inputs.len());
            let mut effects = Vec::new();
            for input in inputs {
                match input {
                    Input::Brought { ticket, blob: _ } => {
                        effects.push(Effect::Answer { ticket, answer: Answer::Kept });
                    }
                    Input::Connected(relay) => effects.push(Effect::Publish {
                        relay,
                        publication: Publication(1),
                        message_id: String::new(),
                        message: bytes::Bytes::new(),
                    }),
                    Input::Disconnected(_) => {
                        effects.push(Effect::Rest { until: now().plus(Millis::MINUTE) });
                    }
                    Input::Published { outcome, .. } => {
                        self.outcomes.lock().expect("one thread").push(outcome);
                    }
                    _ => {}
                }
            }
            Ok(effects)
        }

        fn wakeup(&self) -> Option<Millis> {
            None
        }
    }

    fn links() -> Links {
        let directory = DirectoryBuilder::new().build(1, Millis(0)).expect("an empty directory");
        let registry = crate::certified::Registrar::new().registry(&directory, &[]);
        let office = OfficeId::new([1; 16]);
        let keeper = Keeper::new(office, std::env::temp_dir().join("never-written.cbor"), registry);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let contents = Contents::open(folder.path()).expect("a folder");
        Links::new(office, Login::generate().expect("randomness"), keeper, Arc::new(contents))
    }

    fn blob() -> BlobRef {
        BlobRef { hash: BlobHash::new([3; 32]), length: 1 }
    }

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn every_question_gets_its_own_answer_and_steps_stay_bounded() {
        let seen = Arc::default();
        let echo = Echo { seen: Arc::clone(&seen), ..Echo::default() };
        let core = start_core(echo, &links()).expect("a thread");
        let ask = |_| {
            let inputs = core.inputs.clone();
            async move { inputs.ask(PATIENCE, |ticket| Input::Brought { ticket, blob: blob() }).await }
        };
        let answers = futures_util::future::join_all((0..2_000).map(ask)).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Answer::Kept))));
        assert!(seen.lock().expect("no panic").iter().all(|inputs| *inputs <= STEP_INPUTS_MAX));
    }

    #[tokio::test]
    async fn core_that_rests_is_not_handed_more() {
        let links = links();
        let core = start_core(Echo::default(), &links).expect("a thread");
        let mut rests_until = links.routes.rests_until.subscribe();
        let begun = Instant::now();
        assert!(*rests_until.borrow_and_update() <= begun);
        let relay: RegionId = "ha-noi".parse().expect("a region");
        core.inputs.put(Input::Disconnected(relay)).await.expect("the core is there");
        timeout(PATIENCE, rests_until.changed()).await.expect("in time").expect("the links are there");
        let rests = rests_until.borrow().duration_since(begun);
        assert!(rests > Duration::from_secs(55) && rests < Duration::from_secs(65), "{rests:?}");
    }

    #[tokio::test]
    async fn publish_without_a_link_has_the_outcome_unknown() {
        let outcomes = Arc::default();
        let echo = Echo { outcomes: Arc::clone(&outcomes), ..Echo::default() };
        let core = start_core(echo, &links()).expect("a thread");
        core.inputs.put(Input::Connected("p01".parse().expect("a region"))).await.expect("running");
        core.inputs.ask(PATIENCE, |ticket| Input::Brought { ticket, blob: blob() }).await.expect("running");
        core.inputs.ask(PATIENCE, |ticket| Input::Brought { ticket, blob: blob() }).await.expect("running");
        assert_eq!(*outcomes.lock().expect("no panic"), [PublishOutcome::Unknown]);
    }

    #[tokio::test]
    async fn failed_store_ends_the_core_and_says_so_to_whoever_asks() {
        let core = start_core(Echo { fails: true, ..Echo::default() }, &links()).expect("a thread");
        let asked = core.inputs.ask(PATIENCE, |ticket| Input::Brought { ticket, blob: blob() }).await;
        assert_eq!(asked, Err(AskError::Unknown));
        let ended = core.ended.await.expect("told").expect_err("failed");
        assert_eq!(ended.to_string(), "the disk is gone");
        let asked = core.inputs.ask(PATIENCE, |ticket| Input::Brought { ticket, blob: blob() }).await;
        assert_eq!(asked, Err(AskError::Stopped));
    }

    #[tokio::test]
    async fn stop_finishes_what_was_gathered() {
        let seen = Arc::default();
        let echo = Echo { seen: Arc::clone(&seen), ..Echo::default() };
        let core = start_core(echo, &links()).expect("a thread");
        core.inputs.put(Input::Tick).await.expect("running");
        core.inputs.stop().await;
        core.ended.await.expect("told").expect("without failure");
        assert!(seen.lock().expect("no panic").iter().sum::<usize>() >= 1);
    }

    /// The core's own helpers do not keep it running.
    #[tokio::test]
    async fn core_ends_when_nobody_can_ask_it_any_more() {
        let Core { inputs, ended } = start_core(Echo::default(), &links()).expect("a thread");
        inputs.ask(PATIENCE, |ticket| Input::Brought { ticket, blob: blob() }).await.expect("running");
        drop(inputs);
        let ended = timeout(PATIENCE, ended).await.expect("it does not end");
        ended.expect("told").expect("without failure");
    }
}
