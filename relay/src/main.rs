//! `tram-relay`: runs a relay, and shows an operator what it holds.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use relay::config::Config;
use relay::status::Status;
use relay::{admin, keyring};
use schema::id::{BlobHash, OfficeId, RegionId};

#[derive(Parser)]
#[command(name = "tram-relay", version, about = "One region's relay: verifies, keeps mailboxes, forwards")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Configured {
    /// The configuration file.
    #[arg(long, short, env = "TRAM_RELAY_CONFIG", default_value = "relay.toml")]
    config: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the relay until it is interrupted.
    Run(Configured),
    /// Writes a configuration and makes the relay's keys; prints the public halves, for the directory.
    Init(Init),
    /// Shows what the running relay does: links, queues, quarantine, alarms.
    Status {
        #[command(flatten)]
        configured: Configured,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows refused messages and why they were refused.
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Carries mail by courier file.
    #[command(subcommand)]
    Courier(Courier),
}

#[derive(Args)]
struct Init {
    /// The region to serve, as the directory names it.
    #[arg(long)]
    region: RegionId,
    /// The folder of the configuration and of everything the relay keeps.
    #[arg(long)]
    data: PathBuf,
    /// The directory's root key, 64 hexadecimal digits.
    #[arg(long)]
    root_key: String,
    /// SHA-256 of a root certificate to believe, 64 hexadecimal digits; may be given up to four times.
    #[arg(long, required = true)]
    trust_anchor: Vec<String>,
    /// Where the NATS server listens for offices and peers.
    #[arg(long, default_value = "0.0.0.0:4222")]
    listen: SocketAddr,
}

#[derive(Subcommand)]
enum Quarantine {
    /// Lists the newest refused messages.
    List {
        #[command(flatten)]
        configured: Configured,
        /// How many.
        #[arg(long, default_value_t = 100)]
        newest: usize,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one refused message with its bytes.
    Show {
        #[command(flatten)]
        configured: Configured,
        /// Its number in the list.
        sequence: u64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum Courier {
    /// Hands a courier file to the running relay; may be repeated.
    Import {
        #[command(flatten)]
        configured: Configured,
        /// The courier file.
        file: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Writes what waits in an office's mailbox to a courier file; consumes nothing.
    Export {
        #[command(flatten)]
        configured: Configured,
        /// The office.
        #[arg(long)]
        office: OfficeId,
        /// The courier file to write; must not exist.
        #[arg(long)]
        out: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,async_nats=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tram-relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    match command {
        Command::Run(configured) => {
            let config = Config::load(&configured.config)?;
            runtime.block_on(async { relay::run(config, interrupted()).await })?;
        }
        Command::Init(init) => print(&self::init(&init)?)?,
        Command::Status { configured, json } => {
            let status = admin::status(&Config::load(&configured.config)?)?;
            print(&if json { serde_json::to_string_pretty(&status)? } else { describe(&status) })?;
        }
        Command::Quarantine(Quarantine::List { configured, newest, json }) => {
            let config = Config::load(&configured.config)?;
            let entries = runtime.block_on(admin::quarantine_list(&config, newest))?;
            if json {
                return print(&serde_json::to_string_pretty(&entries)?);
            }
            for entry in entries {
                let admin::QuarantineEntry { sequence, at, uploader, reason, detail } = entry;
                print(&format!("{sequence:>8}  {}  {reason:<12}  {uploader}  {detail}", time(at)))?;
            }
        }
        Command::Quarantine(Quarantine::Show { configured, sequence, json }) => {
            let config = Config::load(&configured.config)?;
            let message = runtime.block_on(admin::quarantine_show(&config, sequence))?;
            if json {
                return print(&serde_json::to_string_pretty(&message)?);
            }
            let admin::QuarantinedMessage { entry, bytes, claims, hex } = message;
            print(&format!(
                "message   {}\nrefused   {}\nuploader  {}\nreason    {}: {}\nbytes     {bytes}\n\
                 claims    {}\n{hex}",
                entry.sequence,
                time(entry.at),
                entry.uploader,
                entry.reason,
                entry.detail,
                claims.as_deref().unwrap_or("not an event"),
            ))?;
        }
        Command::Courier(Courier::Import { configured, file, json }) => {
            let config = Config::load(&configured.config)?;
            let open = File::open(&file).with_context(|| format!("cannot open `{}`", file.display()))?;
            let imported = admin::courier_import(&config, BufReader::new(open))?;
            let admin::Imported { events, refused, chunks, refused_chunks } = imported;
            print(&if json {
                serde_json::to_string_pretty(&imported)?
            } else {
                format!(
                    "taken over: {events} events and {chunks} chunks; \
                     refused: {refused} events (see quarantine) and {refused_chunks} chunks"
                )
            })?;
        }
        Command::Courier(Courier::Export { configured, office, out, json }) => {
            let config = Config::load(&configured.config)?;
            let exported = runtime.block_on(export(&config, &office, &out))?;
            let admin::Exported { events, attachments, missing_attachments } = exported;
            print(&if json {
                serde_json::to_string_pretty(&exported)?
            } else {
                format!(
                    "{}: {events} events, {attachments} attachments; {missing_attachments} more are not here",
                    out.display()
                )
            })?;
        }
    }
    Ok(())
}

async fn export(config: &Config, office: &OfficeId, out: &Path) -> anyhow::Result<admin::Exported> {
    let context = || format!("cannot write `{}`", out.display());
    let file = File::create_new(out).with_context(context)?;
    let written = admin::courier_export(config, office, BufWriter::new(file)).await;
    let (writer, exported) = match written {
        Ok(written) => written,
        Err(error) => {
            // Half a courier file must not be carried anywhere.
            fs::remove_file(out).with_context(context)?;
            return Err(error.into());
        }
    };
    // The stick is pulled out right after this.
    writer.into_inner().context("the courier file was not written")?.sync_all().with_context(context)?;
    Ok(exported)
}

fn init(init: &Init) -> anyhow::Result<String> {
    for pin in init.trust_anchor.iter().chain([&init.root_key]) {
        let _: BlobHash = pin
            .parse()
            .ok()
            .context("`--root-key` and `--trust-anchor` must be 64 lower-case hexadecimal digits each")?;
    }
    let path = init.data.join("relay.toml");
    let Init { region, root_key, trust_anchor, listen, .. } = init;
    let anchors: Vec<_> = trust_anchor.iter().map(|anchor| format!("\"{anchor}\"")).collect();
    let text = format!(
        "region = \"{region}\"\ndata_dir = \".\"\nroot_key = \"{root_key}\"\ntrust_anchors = [{}]\nlisten = \"{listen}\"\n",
        anchors.join(", ")
    );
    if !path.exists() {
        // What would not be read must not stand there the next time.
        Config::parse(&text, &path)?;
        fs::create_dir_all(&init.data).with_context(|| format!("cannot make `{}`", init.data.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    let config = Config::load(&path)?;
    let login = keyring::login(&config.key_path())?.public_key();
    let stamp_key = keyring::stamp_key(&config.stamp_key_path())?;
    Ok(format!("login      {login}\nstamp key  {}", schema::id::hex(stamp_key.verifying_key().as_bytes())))
}

/// Stdout is data: a pipe that was closed is no error of ours.
fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the answer"),
    }
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

fn describe(status: &Status) -> String {
    use std::fmt::Write as _;
    let mut text = format!(
        "relay {} {}: directory version {}, synced before acknowledged: {}\n",
        status.region,
        if status.ready { "takes messages" } else { "is NOT ready" },
        status.directory_version,
        match status.sync_always {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "cannot be told",
        }
    );
    for (region, link) in &status.links {
        let via = link.via.as_ref().map_or_else(String::new, |via| format!(", last over {via}"));
        let since = time(i64::try_from(link.since_ms / 1000).unwrap_or_default());
        let _ = writeln!(text, "link {region}: {} since {since}{via}", if link.up { "up" } else { "DOWN" });
    }
    for stream in &status.streams {
        let oldest =
            stream.oldest_waiting_at.map_or_else(String::new, |at| format!(", oldest of {}", time(at)));
        let _ = writeln!(
            text,
            "stream {}: {} waiting{oldest}; {} messages, {} of {} bytes",
            stream.name, stream.waiting, stream.messages, stream.bytes, stream.bytes_max
        );
    }
    let _ = writeln!(
        text,
        "events: {} admitted ({} repeated), {} into mailboxes, {} forwarded, {} over quota, {} without relay",
        status.admitted,
        status.repeated,
        status.delivered,
        status.forwarded,
        status.over_quota,
        status.unreachable
    );
    for (reason, count) in &status.quarantined {
        let _ = writeln!(text, "quarantine {reason}: {count}");
    }
    let _ = writeln!(
        text,
        "attachments: {} ({} bytes, {} wait for receipts), {} bytes set aside for what is coming; guard resets: {}; \
         server restarts: {}; alarms: {}",
        status.content_blobs,
        status.content_bytes,
        status.content_held_bytes,
        status.content_partial_bytes,
        status.guard_resets,
        status.server_restarts,
        status.alarms_total
    );
    if let Some(since) = status.content_full_since_ms {
        let since = time(i64::try_from(since / 1000).unwrap_or_default());
        let _ = writeln!(
            text,
            "attachments are refused since {since}: everything here waits for receipts, or the disk is full; see the alarm"
        );
    }
    for office in &status.content_offices_full {
        let _ = writeln!(
            text,
            "attachments of office {office} are refused: it has used `content_office_bytes_max`"
        );
    }
    for alarm in status.alarms.iter().rev().take(10) {
        let at = time(i64::try_from(alarm.at_ms / 1000).unwrap_or_default());
        let _ = writeln!(text, "alarm {at} {}: {}", alarm.sort, alarm.text);
    }
    text.trim_end().to_owned()
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without a way to be told, run until killed.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
