//! The promises of a relay that only a real NATS server can show.

mod country;
#[path = "../../schema/tests/secret/mod.rs"]
mod secret;

use std::path::Path;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::context::ContextBuilder;
use country::certified::{BEGAN, ENDS, Registrar, Revoked, Why};
use country::{
    Country, Line, OfficeClient, ask, event, event_with, eventually, kill_9, office, pack, signing_key,
};
use futures_util::future::join_all;
use relay::admin;
use schema::blob::{BlobLimits, BlobRef, BlobReply, BlobRequest, CHUNK_BYTES, fingerprint};
use schema::event::Urgency;
use schema::id::BlobHash;
use schema::pack::{Message, PackItem};
use schema::registry::talk::{
    BROUGHT_BYTES_MAX, PIECE_BYTES_MAX, RegistryAnswer, RegistryReply, RegistryRequest, parse_talk,
};
use schema::registry::{Item, ItemKind, Registry};
use schema::time::Millis;
use schema::wire;
use sha2::{Digest as _, Sha256};

#[tokio::test(flavor = "multi_thread")]
async fn event_reaches_the_mailbox_here_and_in_another_region() {
    let Some(country) = Country::new() else { return };
    let (a, b) = (country.start("a").await, country.start("b").await);
    let (sender, near, far) =
        (country.office(1, "a").await, country.office(2, "a").await, country.office(3, "b").await);
    let sent = event(1, 1, &[2, 3], b"van ban");
    sender.publish(&pack(&[&sent])).await;
    near.expect(sent.id()).await;
    far.expect(sent.id()).await;
    eventually("the server provably syncs before it acknowledges", || async {
        a.status().await.is_some_and(|status| status.sync_always == Some(true))
    })
    .await;
    let status = a.status().await.expect("a status");
    assert!(status.links["b"].up && status.links["b"].via.is_none());
    a.stop().await;
    b.stop().await;
}

/// Whether these bytes are in a file below this folder.
fn lies_below(folder: &Path, bytes: &[u8]) -> bool {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).any(|path| match path.is_dir() {
        true => lies_below(&path, bytes),
        false => std::fs::read(&path).is_ok_and(|file| file.windows(bytes.len()).any(|part| part == bytes)),
    })
}

/// I1, I2: a state secret that somebody sends all the same is told to its sender and lies on no disk of the relay.
#[tokio::test(flavor = "multi_thread")]
async fn i1_secret_event_leaves_nothing_on_the_relays_disk() {
    let Some(country) = Country::new() else { return };
    let a = country.start("a").await;
    let (sender, recipient) = (country.office(1, "a").await, country.office(2, "a").await);
    const CANARY: &[u8] = b"ke hoach tac chien tuyet mat so 7";
    // The canary of what is allowed shows that the scan would find it.
    const ALLOWED: &[u8] = b"ke hoach trong cay nam nay so 8";
    let good = event(1, 1, &[2], ALLOWED);
    let marked = secret::marked_secret(event(1, 2, &[2], CANARY).bytes());
    let items = vec![PackItem::new(0, good.bytes()), PackItem::new(0, &marked)];
    let sent_at = Instant::now();
    sender.publish(&Message::Pack(items)).await;
    recipient.expect(good.id()).await;
    let folder = country.data_dir("a");
    eventually("nothing of it lies on the disk", || async { !lies_below(&folder, CANARY) }).await;
    // Every 20 s the relay trims what is done, and with it this message: that is another defence, and too late.
    assert!(sent_at.elapsed() < Duration::from_secs(10), "it was trimmed with the others, not overwritten");
    assert!(lies_below(&folder, ALLOWED), "the scan finds nothing at all in {}", folder.display());
    let listed = admin::quarantine_list(&a.config, 10).await.expect("listed");
    let told: Vec<_> = listed.iter().map(|entry| (entry.reason.as_str(), entry.uploader.clone())).collect();
    assert_eq!(told, [("secret", office(1).to_string())]);
    a.stop().await;
    assert!(!lies_below(&folder, CANARY));
}

#[tokio::test(flavor = "multi_thread")]
async fn office_publishes_only_as_itself_and_pulls_only_its_mailbox() {
    let Some(country) = Country::new() else { return };
    let a = country.start("a").await;
    let one = country.office(1, "a").await;
    assert!(one.mailbox().await.is_some());
    let (own, other) = (wire::up(&office(1)), wire::mailbox_consumer(&office(2)));
    let stored = |subject: String| {
        let context = one.context.clone();
        async move {
            match context.publish(subject.clone(), "x".into()).await {
                Ok(ack) => (subject, ack.await.is_ok()),
                Err(_) => (subject, false),
            }
        }
    };
    assert!(stored(own).await.1);
    let foreign = [
        wire::up(&office(2)),
        wire::mailbox(&office(2)),
        wire::mailbox(&office(1)),
        "t.px.b.ev".to_owned(),
        "t.out.b.ev".to_owned(),
        "t.qr.x.malformed".to_owned(),
    ];
    for (subject, stored) in join_all(foreign.map(stored)).await {
        assert!(!stored, "stored on `{subject}`");
    }
    let others: Result<PullConsumer, _> =
        one.context.get_consumer_from_stream(other.clone(), wire::STREAM_MAILBOXES).await;
    assert!(others.is_err());
    let requests = [
        format!("$JS.API.CONSUMER.MSG.NEXT.DN.{other}"),
        format!("RB.API.CONSUMER.MSG.NEXT.DN.{other}"),
        format!("RB.API.CONSUMER.RESET.DN.{}", wire::mailbox_consumer(&office(1))),
        "RB.API.STREAM.INFO.DN".to_owned(),
        "$JS.API.STREAM.INFO.DN".to_owned(),
        "$JS.API.STREAM.PURGE.DN".to_owned(),
        "$JS.API.STREAM.DELETE.UP".to_owned(),
        "$JS.API.CONSUMER.CREATE.DN.spy".to_owned(),
        "$JS.API.DIRECT.GET.DN".to_owned(),
        "$SYS.REQ.SERVER.PING".to_owned(),
        wire::blob_request(&office(2)),
        "t.pr.b.blob".to_owned(),
    ];
    let asked = requests.map(|request| {
        let client = one.client.clone();
        async move { (client.request(request.clone(), "{}".into()).await.is_ok(), request) }
    });
    for (answered, request) in join_all(asked).await {
        assert!(!answered, "`{request}` was answered");
    }
    one.errors.lock().expect("no panic").clear();
    for subject in [wire::mailbox(&office(1)), "t.dn.>".to_owned(), ">".to_owned(), "_INBOX.>".to_owned()] {
        let _ = one.client.subscribe(subject).await;
    }
    eventually("every subscription is refused", || async {
        let errors = one.errors.lock().expect("no panic").clone();
        errors.iter().filter(|error| error.contains("Permissions Violation for Subscription")).count() == 4
    })
    .await;
    // The stream is untouched and the office still works.
    let two = country.office(2, "a").await;
    let sent = event(1, 1, &[2], b"");
    one.publish(&pack(&[&sent])).await;
    two.expect(sent.id()).await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reply_subject_pointed_at_a_mailbox_puts_nothing_into_it() {
    let Some(country) = Country::new() else { return };
    let a = country.start("a").await;
    let (one, two) = (country.office(1, "a").await, country.office(2, "a").await);
    let junk = wire::mailbox(&office(2));
    for subject in
        [wire::up(&office(1)), format!("RB.API.CONSUMER.INFO.DN.{}", wire::mailbox_consumer(&office(1)))]
    {
        one.client
            .publish_with_reply(subject, junk.clone(), "junk".into())
            .await
            .expect("handed to the client");
    }
    // What is sent afterwards has overtaken nothing: when it is there, the junk would be too.
    let sent = event(1, 1, &[2], b"");
    one.publish(&pack(&[&sent])).await;
    let mailbox = two.mailbox().await.expect("a mailbox");
    eventually("the event waits", || async {
        mailbox.get_info().await.is_ok_and(|info| info.num_pending > 0)
    })
    .await;
    assert_eq!(mailbox.get_info().await.expect("told").num_pending, 1);
    two.expect(sent.id()).await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wiped_store_is_whole_again_by_itself() {
    let Some(country) = Country::new() else { return };
    let a = country.start("a").await;
    let (one, two) = (country.office(1, "a").await, country.office(2, "a").await);
    let first = event(1, 1, &[2], b"");
    one.publish(&pack(&[&first])).await;
    two.expect(first.id()).await;
    let pid = a.server_pid().expect("a server");
    // Moved away while it runs, so that nothing is left when it starts again.
    std::fs::rename(a.config.data_dir.join("jetstream"), a.config.data_dir.join("lost")).expect("moved");
    kill_9(pid);
    let second = event(1, 2, &[2], b"");
    one.publish(&pack(&[&second])).await;
    two.expect(second.id()).await;
    assert!(a.status().await.expect("a status").server_restarts >= 1);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_left_behind_by_a_killed_relay_is_replaced() {
    let Some(country) = Country::new() else { return };
    let config = country.config("a", "");
    let text = country.folder.path().join("a.toml");
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_tram-relay"))
        .args(["run", "--config"])
        .arg(&text)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    let status = || {
        let config = config.clone();
        let ask = tokio::task::spawn_blocking(move || admin::status(&config).ok());
        async move { ask.await.expect("no panic") }
    };
    eventually("the first relay takes messages", || async {
        status().await.is_some_and(|status| status.ready)
    })
    .await;
    process.kill().expect("killed");
    process.wait().expect("collected");
    std::fs::remove_dir_all(config.data_dir.join("jetstream")).expect("wiped");
    let a = country.start("a").await;
    let (one, two) = (country.office(1, "a").await, country.office(2, "a").await);
    let sent = event(1, 1, &[2], b"");
    one.publish(&pack(&[&sent])).await;
    two.expect(sent.id()).await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumer_that_would_skip_new_messages_after_a_rollback_is_set_back() {
    let Some(country) = Country::new() else { return };
    let (store, copy) = (country.data_dir("a").join("jetstream"), country.folder.path().join("yesterday"));
    let a = country.start("a").await;
    let (one, two) = (country.office(1, "a").await, country.office(2, "a").await);
    let first = event(1, 1, &[2], b"");
    one.publish(&pack(&[&first])).await;
    two.expect(first.id()).await;
    a.stop().await;
    copy_dir(&store, &copy);
    let a = country.start("a").await;
    for seq in 2..20 {
        one.publish(&pack(&[&event(1, seq, &[2], b"")])).await;
    }
    two.expect(event(1, 19, &[2], b"").id()).await;
    let core = store.join("jetstream/CORE/streams");
    a.stop().await;
    // Yesterday's messages under today's consumers: what a disk that lost its last writes looks like.
    for stream in ["UP", "DN"] {
        let messages = core.join(stream).join("msgs");
        std::fs::remove_dir_all(&messages).expect("removed");
        copy_dir(&copy.join("jetstream/CORE/streams").join(stream).join("msgs"), &messages);
    }
    let a = country.start("a").await;
    let last = event(1, 20, &[2], b"");
    one.publish(&pack(&[&last])).await;
    two.expect(last.id()).await;
    let status = a.status().await.expect("a status");
    assert!(status.guard_resets >= 1, "{status:?}");
    assert!(status.alarms.iter().any(|alarm| alarm.sort == "guard-reset"));
    a.stop().await;
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_messages_are_kept_with_their_reasons_and_the_uploader_is_told() {
    let Some(country) = Country::new() else { return };
    let a = country.start("a").await;
    let (one, two) = (country.office(1, "a").await, country.office(2, "a").await);
    let good = event(1, 1, &[2], b"good");
    let foreign = event(3, 1, &[2], b"not mine");
    let mut forged = event(1, 2, &[2], b"forged").bytes().to_vec();
    *forged.last_mut().expect("bytes") ^= 1;
    let items = [b"garbage".as_slice(), forged.as_slice(), foreign.bytes(), good.bytes()];
    one.publish(&Message::Pack(items.iter().map(|bytes| PackItem::new(0, bytes)).collect())).await;
    two.expect(good.id()).await;
    eventually("the uploader is told", || async { one.pull().await.notices.len() == 3 }).await;
    let entries = admin::quarantine_list(&a.config, 10).await.expect("listed");
    let reasons: Vec<_> = entries.iter().map(|entry| entry.reason.as_str()).collect();
    assert_eq!(reasons, ["malformed", "unproven", "not-own"]);
    assert!(entries.iter().all(|entry| entry.uploader == office(1).to_string()));
    let shown = admin::quarantine_show(&a.config, entries[2].sequence).await.expect("shown");
    assert!(shown.claims.expect("an event").contains(&office(3).to_string()));
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_over_a_third_relay_while_the_direct_line_is_cut_and_directly_again_afterwards() {
    let Some(country) = Country::new() else { return };
    let line = Line::to(country.port("b"), true).await;
    let over = format!("[peer_urls]\nb = 'nats://127.0.0.1:{}'", line.port);
    let a = country.start_with("a", &over).await;
    let (b, c) = (country.start("b").await, country.start("c").await);
    let (sender, far) = (country.office(1, "a").await, country.office(3, "b").await);
    let via = || async { a.status().await.and_then(|status| status.links.get("b")?.via.clone()) };

    let direct = event(1, 1, &[3], b"");
    sender.publish(&pack(&[&direct])).await;
    far.expect(direct.id()).await;
    assert_eq!(via().await, None);

    line.set(false);
    let around = event(1, 2, &[3], b"");
    sender.publish(&pack(&[&around])).await;
    far.expect(around.id()).await;
    assert_eq!(via().await.as_deref(), Some("c"));

    line.set(true);
    eventually("the direct link is up", || async {
        a.status().await.is_some_and(|status| status.links["b"].up)
    })
    .await;
    let again = event(1, 3, &[3], b"");
    sender.publish(&pack(&[&again])).await;
    far.expect(again.id()).await;
    assert_eq!(via().await, None);
    for relay in [a, b, c] {
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attachment_brought_in_one_region_is_fetched_in_another_by_hash() {
    let Some(country) = Country::new() else { return };
    let (a, b) = (country.start("a").await, country.start("b").await);
    let (sender, far) = (country.office(1, "a").await, country.office(3, "b").await);
    let bytes = vec![7; CHUNK_BYTES as usize * 2 + 5];
    let blob = BlobRef { hash: BlobHash::new(Sha256::digest(&bytes).into()), length: bytes.len() as u64 };
    assert_eq!(
        sender.blob(&BlobRequest::Offer { blob, urgency: Urgency::Normal }).await,
        Some(BlobReply::Missing { chunks: vec![0, 1, 2] })
    );
    let absent = far.blob(&BlobRequest::Fetch { blob, index: 0, sender: office(1) }).await;
    assert_eq!(absent, Some(BlobReply::Absent));
    for (index, chunk) in (0..).zip(bytes.chunks(CHUNK_BYTES as usize)) {
        let request = BlobRequest::Store { blob, index, bytes: chunk.to_vec().into() };
        assert_eq!(sender.blob(&request).await, Some(BlobReply::Stored));
    }
    assert_eq!(
        sender.blob(&BlobRequest::Offer { blob, urgency: Urgency::Normal }).await,
        Some(BlobReply::Missing { chunks: vec![] })
    );
    let mut fetched = Vec::new();
    for index in 0..blob.chunks() {
        match far.blob(&BlobRequest::Fetch { blob, index, sender: office(1) }).await {
            Some(BlobReply::Chunk { bytes }) => fetched.extend_from_slice(&bytes),
            other => panic!("chunk {index}: {other:?}"),
        }
    }
    assert_eq!(fetched, bytes);
    // Kept on the way: the other region has it now without asking again.
    a.stop().await;
    let kept = far.blob(&BlobRequest::Fetch { blob, index: 0, sender: office(1) }).await;
    assert!(matches!(kept, Some(BlobReply::Chunk { .. })));
    b.stop().await;
}

/// Bytes that are their own, and how they are named.
fn attachment(fill: u8, length: usize) -> (Vec<u8>, BlobRef) {
    let bytes = vec![fill; length];
    let blob = BlobRef { hash: BlobHash::new(Sha256::digest(&bytes).into()), length: length as u64 };
    (bytes, blob)
}

async fn brings(
    from: &OfficeClient,
    (bytes, blob): (Vec<u8>, BlobRef),
    urgency: Urgency,
) -> Option<BlobReply> {
    let offered = from.blob(&BlobRequest::Offer { blob, urgency }).await;
    if offered != Some(BlobReply::Missing { chunks: vec![0] }) {
        return offered;
    }
    from.blob(&BlobRequest::Store { blob, index: 0, bytes: bytes.into() }).await
}

/// Everything that a relay has is waited for: bulk is refused with words, at both ends, and express, receipts and what peers have go on.
#[tokio::test(flavor = "multi_thread")]
async fn relay_whose_attachments_are_all_waited_for_takes_no_more_bulk_and_still_takes_express_and_events() {
    let Some(country) = Country::new() else { return };
    let limits = "[limits]\ncontent_bytes_max = 1000\ncontent_office_bytes_max = 800\n";
    let (a, b) = (country.start_with("a", limits).await, country.start("b").await);
    let (one, two) = (country.office(1, "a").await, country.office(2, "a").await);
    let far = country.office(3, "b").await;
    let status = || async { a.status().await.expect("a status") };
    let refused = |reply: Option<BlobReply>| match reply {
        Some(BlobReply::Refused { reason }) => reason.split(':').next().unwrap_or_default().to_owned(),
        other => panic!("taken: {other:?}"),
    };

    let takes = BlobLimits {
        blob_bytes_max: 720,
        office_bytes_max: 800,
        office_bytes_used: 0,
        office_fingerprint: 0,
    };
    assert_eq!(one.blob(&BlobRequest::Limits).await, Some(BlobReply::Limits { limits: takes }));
    let large = brings(&one, attachment(1, 721), Urgency::Express).await;
    assert_eq!(refused(large), "attachment-too-large");
    let first = attachment(1, 600);
    assert_eq!(brings(&one, first.clone(), Urgency::Normal).await, Some(BlobReply::Stored));
    let quota = brings(&one, attachment(2, 200), Urgency::Urgent).await;
    assert_eq!(refused(quota), "attachment-quota");
    assert_eq!(brings(&two, attachment(3, 300), Urgency::Normal).await, Some(BlobReply::Stored));
    let full = brings(&two, attachment(4, 50), Urgency::Normal).await;
    assert_eq!(refused(full), "attachments-full");
    let told = status().await;
    assert_eq!((told.content_held_bytes, told.content_full_since_ms.is_some()), (900, true));
    assert!(told.content_offices_full.contains(&office(1).to_string()), "{told:?}");
    let sorts: Vec<_> = told.alarms.iter().map(|alarm| alarm.sort.as_str()).collect();
    assert_eq!(sorts, ["attachment-quota", "attachments-full"]);

    assert_eq!(brings(&two, attachment(5, 100), Urgency::Express).await, Some(BlobReply::Stored));
    let event = event(1, 1, &[2], b"bien nhan");
    one.publish(&pack(&[&event])).await;
    two.expect(event.id()).await;
    // What comes from another region is handed on although there is no room to keep it.
    let (bytes, blob) = attachment(6, 500);
    assert_eq!(brings(&far, (bytes.clone(), blob), Urgency::Normal).await, Some(BlobReply::Stored));
    eventually("the other region is in reach", || async {
        one.blob(&BlobRequest::Fetch { blob, index: 0, sender: office(3) }).await
            == Some(BlobReply::Chunk { bytes: bytes.clone().into() })
    })
    .await;
    assert_eq!(status().await.content_bytes, 1000);

    let kept = one.blob(&BlobRequest::Kept { after: None }).await;
    assert_eq!(kept, Some(BlobReply::Kept { blobs: vec![first.1] }));
    let takes = BlobLimits { office_bytes_used: 600, office_fingerprint: fingerprint(&first.1), ..takes };
    assert_eq!(one.blob(&BlobRequest::Limits).await, Some(BlobReply::Limits { limits: takes }));
    let kept = one.blob(&BlobRequest::Kept { after: Some(first.1) }).await;
    assert_eq!(kept, Some(BlobReply::Kept { blobs: vec![] }));

    // Receipts have come: there is room again, through a restart too.
    assert_eq!(one.blob(&BlobRequest::Release { blobs: vec![first.1] }).await, Some(BlobReply::Released));
    assert_eq!(status().await.content_held_bytes, 400);
    a.stop().await;
    let a = country.start_with("a", limits).await;
    assert_eq!(a.status().await.expect("a status").content_held_bytes, 400);
    let two = country.office(2, "a").await;
    let kept = two.blob(&BlobRequest::Fetch { blob: first.1, index: 0, sender: office(1) }).await;
    assert!(matches!(kept, Some(BlobReply::Chunk { .. })), "a copy, as long as there is room: {kept:?}");
    assert_eq!(brings(&two, attachment(4, 320), Urgency::Normal).await, Some(BlobReply::Stored));
    let gone = two.blob(&BlobRequest::Fetch { blob: first.1, index: 0, sender: office(1) }).await;
    assert_eq!(gone, Some(BlobReply::Absent));
    let status = a.status().await.expect("a status");
    assert_eq!((status.content_held_bytes, status.content_full_since_ms), (720, None));
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn courier_file_carries_a_mailbox_out_and_events_in() {
    let Some(country) = Country::new() else { return };
    let a = country.start("a").await;
    let (one, two) = (country.office(1, "a").await, country.office(2, "a").await);
    let bytes = vec![9; 100];
    let blob = BlobRef { hash: BlobHash::new(Sha256::digest(&bytes).into()), length: 100 };
    one.blob(&BlobRequest::Store { blob, index: 0, bytes: bytes.into() }).await.expect("answered");
    let sent = event_with(1, 1, &[2], b"", vec![blob]);
    one.publish(&pack(&[&sent])).await;
    let mailbox = two.mailbox().await.expect("a mailbox");
    eventually("the event waits", || async {
        mailbox.get_info().await.is_ok_and(|info| info.num_pending > 0)
    })
    .await;
    let (file, exported) = admin::courier_export(&a.config, &office(2), Vec::new()).await.expect("exported");
    assert_eq!((exported.events, exported.attachments, exported.missing_attachments), (1, 1, 0));
    // Nothing was consumed.
    two.expect(sent.id()).await;

    // Into a relay that never saw it: the event is for an office there, the attachment is new.
    let b = country.start("b").await;
    let config = b.config.clone();
    let imported = tokio::task::spawn_blocking(move || admin::courier_import(&config, file.as_slice()));
    let imported = imported.await.expect("no panic").expect("imported");
    assert_eq!((imported.events, imported.chunks, imported.refused, imported.refused_chunks), (1, 1, 0, 0));
    let three = country.office(3, "b").await;
    let got = three.blob(&BlobRequest::Fetch { blob, index: 0, sender: office(1) }).await;
    assert!(matches!(got, Some(BlobReply::Chunk { .. })));
    // And from there to its recipient's region, once more; the recipient absorbs it.
    two.expect(sent.id()).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newly_enrolled_office_is_served_without_a_restart() {
    let Some(mut country) = Country::new() else { return };
    let a = country.start("a").await;
    let pid = a.server_pid();
    let new = country.office(6, "a").await;
    assert!(new.mailbox().await.is_none());
    country.homes.push((6, "a"));
    country.write_directory();
    eventually("the new office has a mailbox", || async { new.mailbox().await.is_some() }).await;
    let one = country.office(1, "a").await;
    let sent = event(6, 1, &[1], b"");
    new.publish(&pack(&[&sent])).await;
    one.expect(sent.id()).await;
    assert_eq!(a.server_pid(), pid);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_mailbox_refuses_with_words_and_blocks_nobody() {
    let Some(country) = Country::new() else { return };
    let a = country.start_with("a", "[limits]\nmailbox_messages_max = 2").await;
    let (one, two) = (country.office(1, "a").await, country.office(2, "a").await);
    let mailbox = two.mailbox().await.expect("a mailbox");
    for seq in 1..=3 {
        one.publish(&pack(&[&event(1, seq, &[2], b"")])).await;
        let waits = seq.min(2);
        eventually("it waits or is refused", || async {
            mailbox.get_info().await.is_ok_and(|info| info.num_pending >= waits)
        })
        .await;
    }
    eventually("the sender is told that there is no room", || async {
        one.pull().await.notices.iter().any(|notice| notice.reason.contains("no room"))
    })
    .await;
    assert!(a.status().await.expect("a status").alarms.iter().any(|alarm| alarm.sort == "no-room"));
    // Read, it takes again what its sender repeats.
    two.expect(event(1, 2, &[2], b"").id()).await;
    let third = event(1, 3, &[2], b"");
    eventually("the repetition arrives", || async {
        one.publish(&pack(&[&third])).await;
        two.pull().await.events.iter().any(|event| event.id == third.id())
    })
    .await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_login_publishes_into_its_own_subject_only() {
    let Some(country) = Country::new() else { return };
    let a = country.start("a").await;
    let client = country.peer("b", "a").await;
    let context = ContextBuilder::new().timeout(Duration::from_secs(2)).build(client.clone());
    for (subject, allowed) in
        [("t.px.b.ev", true), ("t.px.c.ev", false), ("t.dn.x.ev", false), ("t.up.x.ev", false)]
    {
        let stored = match context.publish(subject, "x".into()).await {
            Ok(ack) => ack.await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(stored, allowed, "`{subject}`");
    }
    assert!(context.get_stream("PX").await.is_err());
    let reader: Result<PullConsumer, _> =
        context.create_consumer_on_stream(pull::Config::default(), "PX").await;
    assert!(reader.is_err());
    a.stop().await;
}

/// Asks for everything that is there, piece by piece.
async fn fetch_all(one: &OfficeClient) -> Vec<Item> {
    let mut listed = Vec::new();
    loop {
        let from = u32::try_from(listed.len()).expect("few");
        let answer = one.ask(&RegistryRequest::List { fingerprint: [0; 32], from }).await;
        let Some(RegistryReply::Items { items, more }) = answer else { panic!("{answer:?}") };
        listed.extend(items);
        if !more {
            break;
        }
    }
    let mut found = Vec::new();
    for item in listed {
        let mut bytes = Vec::new();
        while bytes.len() < item.length as usize {
            let from = u32::try_from(bytes.len()).expect("small");
            let answer = one.ask(&RegistryRequest::Fetch { id: item.id, from }).await;
            let Some(RegistryReply::Piece { bytes: piece }) = answer else { panic!("{answer:?}") };
            assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES_MAX);
            bytes.extend_from_slice(&piece);
        }
        let whole = Item::new(item.kind, bytes).expect("small");
        assert_eq!(whole.id(), item.id);
        found.push(whole);
    }
    found
}

fn revoked(serial: u64) -> Revoked {
    Revoked { serial, at: Millis(1_600_000_000_000), why: Why::KeyCompromise }
}

#[tokio::test(flavor = "multi_thread")]
async fn office_lists_and_fetches_the_whole_registry_byte_for_byte() {
    let Some(country) = Country::new() else { return };
    let registrar = Registrar::new();
    let mut items = registrar.items(&country.directory(), &country.keys());
    // Longer than one piece.
    let entries: Vec<_> = (1_000..6_000).map(revoked).collect();
    let long = registrar.list(2, (BEGAN, ENDS), &entries);
    assert!(long.bytes().len() > PIECE_BYTES_MAX);
    let replaced = items.iter_mut().rfind(|item| item.kind() == ItemKind::RevocationList);
    *replaced.expect("the authority's list") = long;
    country.write_items(&items, &["a"]);
    let a = country.start("a").await;
    let one = country.office(1, "a").await;
    let mut found = fetch_all(&one).await;
    found.sort_by_key(Item::id);
    items.retain(|item| item.kind() != ItemKind::Anchor);
    items.sort_by_key(Item::id);
    assert!(found == items, "{found:?} instead of {items:?}");

    // With that one holds the same, and one question says so.
    let mut all = vec![registrar.anchor()];
    all.extend(found);
    let (registry, _) = Registry::open(registrar.roots(), all).expect("complete");
    let question = RegistryRequest::List { fingerprint: registry.fingerprint(), from: 0 };
    assert_eq!(one.ask(&question).await, Some(RegistryReply::Same));
    let end = RegistryRequest::Fetch { id: items[0].id(), from: u32::MAX };
    assert_eq!(one.ask(&end).await, Some(RegistryReply::Absent));
    let nothing = RegistryRequest::Fetch { id: registrar.anchor().id(), from: 0 };
    assert_eq!(one.ask(&nothing).await, Some(RegistryReply::Absent), "roots are pinned, never given");
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_list_that_an_office_brings_reaches_the_peer_and_counts_there() {
    let Some(country) = Country::new() else { return };
    let (a, b) = (country.start("a").await, country.start("b").await);
    let (one, three, four) =
        (country.office(1, "a").await, country.office(3, "b").await, country.office(4, "b").await);
    let before = event(4, 1, &[3], b"");
    four.publish(&pack(&[&before])).await;
    three.expect(before.id()).await;

    // Office 4 has the fourth certificate.
    let list = Registrar::new().list(2, (BEGAN, ENDS), &[revoked(13)]);
    assert!(!three.sees(&list).await);
    assert_eq!(one.bring(&list).await, Some(RegistryReply::Taken));
    assert!(one.sees(&list).await);
    eventually("the peer holds it", || three.sees(&list)).await;
    assert_eq!(one.bring(&list).await, Some(RegistryReply::Taken), "again is no mistake");
    let after = event(4, 2, &[3], b"");
    four.publish(&pack(&[&after])).await;
    eventually("the office whose key is revoked is told", || async {
        four.pull().await.notices.iter().any(|notice| notice.id == Some(after.id()))
    })
    .await;
    let entries = admin::quarantine_list(&b.config, 10).await.expect("listed");
    assert!(entries.iter().any(|entry| entry.detail.contains("revoked")), "{entries:?}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_office_may_not_bring_is_refused_with_words() {
    let Some(country) = Country::new() else { return };
    let a = country.start("a").await;
    let one = country.office(1, "a").await;
    let (registrar, impostor) = (Registrar::new(), Registrar::impostor());
    let held = fetch_all(&one).await;
    let stranger = signing_key(222).verifying_key().to_bytes();
    let garbage = Item::new(ItemKind::Certificate, *b"garbage").expect("small");
    let large = Item::new(ItemKind::RevocationList, vec![0; BROUGHT_BYTES_MAX + 8 * 1024]).expect("small");
    for (item, why) in [
        (registrar.anchor(), "not taken this way"),
        (impostor.anchor(), "not taken this way"),
        // Newer, and signed by the registrar: a directory changes who may log in.
        (registrar.directory(&country.directory()), "not taken this way"),
        (impostor.authority(), "not accepted"),
        (impostor.certificate(office(1), stranger, 90), "does not lead to a trusted root"),
        (impostor.list(5, (BEGAN, ENDS), &[revoked(10)]), "not accepted"),
        (garbage, "not accepted"),
        (large, "cannot be read"),
    ] {
        let answer = one.bring(&item).await;
        let Some(RegistryReply::Refused { reason }) = answer else { panic!("{item:?}: {answer:?}") };
        assert!(reason.contains(why), "{item:?}: {reason}");
    }
    let junk = one.client.request(wire::registry_request(&office(1)), "junk".into()).await.expect("answered");
    let answer: RegistryAnswer = parse_talk(&junk.payload).expect("a relay's answer");
    assert!(matches!(answer.reply, RegistryReply::Refused { .. }), "{answer:?}");
    assert!(fetch_all(&one).await == held, "something was taken in");
    // The roots in particular stayed what the settings pin.
    let kept = relay::registry::load(&a.config).expect("a registry");
    assert_eq!((kept.roots(), kept.directory().version()), (&registrar.roots(), 1));
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_about_the_registry_in_somebody_elses_name() {
    let Some(country) = Country::new() else { return };
    let a = country.start("a").await;
    let one = country.office(1, "a").await;
    let peer = country.peer("b", "a").await;
    let question = RegistryRequest::List { fingerprint: [0; 32], from: 0 };
    let [own, other] = [1, 2].map(|n| wire::registry_request(&office(n)));
    let [as_b, as_c, as_a] =
        ["b", "c", "a"].map(|name| wire::peer_registry_request(&name.parse().expect("a region")));
    assert!(ask(&one.client, own.clone(), &question).await.is_some());
    assert!(ask(&peer, as_b.clone(), &question).await.is_some());
    let foreign = [
        (&one.client, &other),
        (&one.client, &as_b),
        (&one.client, &as_a),
        (&peer, &as_c),
        (&peer, &as_a),
        (&peer, &own),
    ];
    let asked = foreign.map(|(client, subject)| ask(client, subject.clone(), &question));
    for ((_, subject), answer) in foreign.iter().zip(join_all(asked).await) {
        assert_eq!(answer, None, "`{subject}` was answered");
    }
    // Refused by the server, not merely unanswered.
    eventually("each is a violation", || async {
        let errors = one.errors.lock().expect("no panic").clone();
        errors.iter().filter(|error| error.contains("Permissions Violation for Publish")).count() == 3
    })
    .await;
    // Nor do they hear what others ask.
    for subject in [&own, &other, &as_b, &"t.rq.*.reg".to_owned()] {
        let _ = one.client.subscribe(subject.clone()).await;
    }
    eventually("every subscription is refused", || async {
        let errors = one.errors.lock().expect("no panic").clone();
        errors.iter().filter(|error| error.contains("Permissions Violation for Subscription")).count() == 4
    })
    .await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wiped_relay_has_the_registry_again_from_its_file_and_its_peers() {
    let Some(country) = Country::new() else { return };
    let (a, b) = (country.start("a").await, country.start("b").await);
    let (one, three) = (country.office(1, "a").await, country.office(3, "b").await);
    let list = Registrar::new().list(2, (BEGAN, ENDS), &[revoked(13)]);
    assert_eq!(one.bring(&list).await, Some(RegistryReply::Taken));
    eventually("the peer holds it", || three.sees(&list)).await;
    a.stop().await;
    std::fs::remove_dir_all(country.data_dir("a")).expect("wiped");

    // From the registrar's file it starts, and it knows everybody at once.
    let a = country.start("a").await;
    let question = RegistryRequest::List { fingerprint: [0; 32], from: 0 };
    eventually("the office is connected again", || async { one.ask(&question).await.is_some() }).await;
    let certificates =
        |items: Vec<Item>| items.into_iter().filter(|item| item.kind() == ItemKind::Certificate).count();
    assert_eq!(certificates(fetch_all(&one).await), 1 + country.homes.len());
    eventually("what the peers hold is back", || one.sees(&list)).await;
    // And it stays, whoever is in reach: also when the registrar's file still has the older one.
    b.stop().await;
    a.stop().await;
    let a = country.start("a").await;
    eventually("the office is connected again", || async { one.ask(&question).await.is_some() }).await;
    assert!(one.sees(&list).await);
    let held = relay::registry::read_items(&a.config.held_registry_path()).expect("kept");
    assert!(held.contains(&list));
    let from_registrar = relay::registry::read_items(&a.config.registry_path()).expect("the file");
    assert!(!from_registrar.contains(&list), "the registrar's file is not the relay's to write");
    a.stop().await;
}
