//! Real relays with real NATS servers, and real stations, in this process: what the benches with a network
//! run on.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use node::Node;
use node::content::Contents;
use node::keyring::Login;
use node::link::LinkState;
use node::runtime::{Core, Inputs, Keeper, Links, start_core};
use node::sealing::{Sealing, SealingKeys, founding_announcement};
use node::step::{Answer, Input, Opening, Ticket};
use node::store::{Reader, StatusView, Store};
use relay::RunError;
use relay::config::Config;
use schema::blob::FileRef;
use schema::directory::{DirectoryBuilder, Name, Office, Region, Validity};
use schema::id::{OfficeId, RegionId, hex};
use schema::registry::{Registry, encode_items};
use schema::time::Millis;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::workload::{attached, certified, key, office, send};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running relay.
struct House {
    region: RegionId,
    url: String,
    config: Config,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), RunError>>>,
}

/// A running station.
pub(super) struct Station {
    pub(super) n: u8,
    reader: Reader,
    inputs: Inputs,
    links: Links,
    contents: Arc<Contents>,
    ended: oneshot::Receiver<Result<()>>,
    written: u64,
}

/// Relays and stations.
pub(super) struct Town {
    runtime: Runtime,
    registry: Arc<Registry>,
    /// As every station does, these seal what they send.
    sealing: BTreeMap<u8, Arc<SealingKeys>>,
    homes: Vec<(u8, RegionId, Login)>,
    relays: Vec<House>,
}

/// A loopback port that nobody listens on now.
pub(super) fn free_port() -> Result<u16> {
    let socket = TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
    Ok(socket.local_addr().context("failed to find a free port")?.port())
}

/// The NATS server that `ops/install.sh` has put beside the sources, wherever the bench is started from.
pub(super) fn nats_server() -> Result<PathBuf> {
    let me = std::env::current_exe().context("failed to find the running program")?;
    let beside =
        me.ancestors().map(|folder| folder.join(".tram/bin/nats-server")).find(|path| path.is_file());
    relay::server::find_program(beside.as_deref()).context("the bench needs a NATS server: ops/install.sh")
}

/// Looks until it is so.
pub(super) fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() > deadline {
            bail!("waited {} s for {what}", PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

impl Town {
    /// Starts one relay per region; `homes` says which office lives where.
    pub(super) fn start(folder: &Path, homes: &[(u8, &str)]) -> Result<Self> {
        let runtime = Runtime::new().context("failed to start the threads of the bench")?;
        let mut regions: Vec<&str> = homes.iter().map(|(_, region)| *region).collect();
        regions.sort_unstable();
        regions.dedup();
        let mut builder = DirectoryBuilder::new();
        let mut houses = Vec::new();
        let program = nats_server()?;
        for region in regions {
            let login = Login::generate()?;
            let (listen, monitor, status) = (free_port()?, free_port()?, free_port()?);
            let url = format!("nats://127.0.0.1:{listen}");
            let id: RegionId = region.parse()?;
            let data = folder.join(region);
            let stamp_key = relay::keyring::stamp_key(&data.join("stamp.key"))?;
            builder.region(Region {
                id: id.clone(),
                name: format!("Khu vực {region}"),
                url: url.clone(),
                login: Some(login.public().to_owned()),
                stamp_key: Some(stamp_key.verifying_key().to_bytes()),
            });
            login.write(&data.join("relay.nk"))?;
            let text = format!(
                "region = '{region}'\ndata_dir = '{region}'\nregistry = 'registry.cbor'\n\
                 listen = '127.0.0.1:{listen}'\nmonitor_port = {monitor}\n\
                 status = '127.0.0.1:{status}'\nnats_server = {program:?}\n"
            );
            houses.push((id, url, text));
        }
        let mut all = Vec::new();
        for (n, region) in homes {
            let login = Login::generate()?;
            let region: RegionId = region.parse()?;
            let mut entry = Office::new(office(*n));
            entry.names.push(Name { text: format!("Xã số {n}"), validity: Validity::ALWAYS });
            entry.login = Some(login.public().to_owned());
            entry.relays = vec![region.clone()];
            builder.office(entry);
            all.push((*n, region, login));
        }
        let numbers: Vec<u8> = homes.iter().map(|(n, _)| *n).collect();
        let (roots, mut items) = certified(&builder.build(1, Millis(0))?, &numbers)?;
        let mut sealing = BTreeMap::new();
        for n in numbers {
            let keys = SealingKeys::generate()?;
            items.push(founding_announcement(&key(n), office(n), keys.key(), node::runtime::now())?);
            sealing.insert(n, Arc::new(keys));
        }
        std::fs::write(folder.join("registry.cbor"), encode_items(&items))
            .context("failed to write the registry")?;
        let (root_key, anchor) = (hex(&roots.directory_key), roots.anchors[0]);
        let mut relays = Vec::new();
        for (region, url, text) in houses {
            let text = format!("root_key = '{root_key}'\ntrust_anchors = ['{anchor}']\n{text}");
            let config = Config::parse(&text, &folder.join(format!("{region}.toml")))?;
            relays.push(House { region, url, config, stop: None, running: None });
        }
        let registry = Arc::new(Registry::open(roots, items)?.0);
        let mut town = Self { runtime, registry, sealing, homes: all, relays };
        for house in &mut town.relays {
            let (stop, stopped) = oneshot::channel::<()>();
            let run = relay::run(house.config.clone(), async {
                let _ = stopped.await;
            });
            house.running = Some(town.runtime.spawn(run));
            house.stop = Some(stop);
        }
        wait_for("the relays to take messages", || town.all_relays(|status| status.ready))?;
        Ok(town)
    }

    fn all_relays(&self, is_so: impl Fn(&relay::status::Status) -> bool) -> Result<bool> {
        for house in &self.relays {
            ensure!(
                house.running.as_ref().is_some_and(|running| !running.is_finished()),
                "the relay of `{}` has ended",
                house.region
            );
        }
        Ok(self.relays.iter().all(|house| relay::admin::status(&house.config).is_ok_and(|now| is_so(&now))))
    }

    /// Runs asynchronous work of a bench.
    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Where the relay of an office listens.
    pub(super) fn address_of(&self, n: u8) -> Result<String> {
        let home = self.homes.iter().find(|(office, ..)| *office == n).context("an office of the town")?;
        let house = self.relays.iter().find(|house| house.region == home.1).context("its relay")?;
        Ok(house.url.trim_start_matches("nats://").to_owned())
    }

    /// Opens an office's station; it reaches its relay at `url`, or directly.
    pub(super) fn station(&self, folder: &Path, n: u8, url: Option<String>) -> Result<Station> {
        let database = folder.join(format!("station-{n}.db"));
        let store = Store::open(&database)?;
        let (me, now) = (office(n), node::runtime::now());
        let seed = node::keyring::random_bytes()?;
        let node = Node::open(store, key(n), Arc::clone(&self.registry), me, seed, now)?;
        let sealing: Arc<dyn Sealing> =
            Arc::clone(self.sealing.get(&n).context("an office of the town")?) as _;
        let node = node.with_sealing(Arc::clone(&sealing), true);
        let (_, region, login) =
            self.homes.iter().find(|(office, ..)| *office == n).context("an office of the town")?;
        let url = match url {
            Some(url) => url,
            None => format!("nats://{}", self.address_of(n)?),
        };
        let file = folder.join(format!("station-{n}.registry.cbor"));
        let keeper = Keeper::new(me, file, Arc::clone(&self.registry)).with_sealing(sealing);
        let contents = Arc::new(Contents::open(&folder.join(format!("station-{n}.content")))?);
        let mut links = Links::new(me, login.clone(), keeper.clone(), Arc::clone(&contents));
        let _inside = self.runtime.enter();
        let Core { inputs, ended } = start_core(node, &links).context("failed to start a core")?;
        keeper.tell(inputs.clone());
        links.serve(vec![(region.clone(), url)], &inputs);
        let reader = Reader::open(&database)?;
        let station = Station { n, reader, inputs, links, contents, ended, written: 0 };
        wait_for("a station's line", || Ok(station.is_connected()))?;
        Ok(station)
    }

    /// Puts letters into a station: the `n`-th goes to `to(n)`. They are durable when it has answered, not
    /// when this returns.
    pub(super) fn write(
        &self,
        station: &mut Station,
        letters: u64,
        to: impl Fn(u64) -> Vec<OfficeId>,
    ) -> Result<()> {
        let first = station.written;
        station.written += letters;
        self.runtime.block_on(async {
            for n in first..first + letters {
                let command = send(office(station.n), n, to(n));
                station.inputs.put(Input::Command { ticket: Ticket(n), command }).await?;
            }
            Ok(())
        })
    }

    /// Seals a file at a station, as its clerk does before it is attached.
    pub(super) fn enclose(&self, station: &Station, from: &mut dyn Read, file: FileRef) -> Result<()> {
        let opening = Opening { enclosure: station.contents.seal(from, &file)?, file };
        let asked = station.inputs.ask(PATIENCE, |ticket| Input::Enclosed { ticket, opening });
        ensure!(self.runtime.block_on(asked)? == Answer::Kept, "the station did not keep the file");
        Ok(())
    }

    /// Sends one letter with an attachment; it is durable when the station has answered, not when this returns.
    pub(super) fn attach(&self, station: &mut Station, to: Vec<OfficeId>, file: FileRef) -> Result<()> {
        let command = attached(office(station.n), station.written, to, file);
        let ticket = Ticket(station.written);
        station.written += 1;
        Ok(self.runtime.block_on(station.inputs.put(Input::Command { ticket, command }))?)
    }

    /// Stops a station in order.
    pub(super) fn stop_station(&self, station: Station) -> Result<()> {
        let Station { inputs, mut links, ended, .. } = station;
        self.runtime.block_on(async {
            links.end(Duration::from_secs(3)).await;
            drop((inputs, links));
            tokio::time::timeout(PATIENCE, ended)
                .await
                .context("a core did not stop")?
                .context("a core panicked")?
        })
    }

    /// Stops the relays in order.
    pub(super) fn stop(mut self) -> Result<()> {
        for house in &mut self.relays {
            drop(house.stop.take());
        }
        for house in &mut self.relays {
            if let Some(running) = house.running.take() {
                self.runtime.block_on(running).context("a relay panicked")??;
            }
        }
        Ok(())
    }
}

impl Station {
    /// How it stands.
    pub(super) fn status(&self) -> Result<StatusView> {
        Ok(self.reader.status(node::runtime::now())?)
    }

    /// Whether its line is up.
    pub(super) fn is_connected(&self) -> bool {
        self.connected_since().is_some()
    }

    /// Since when its line is up, in milliseconds since 1970.
    pub(super) fn connected_since(&self) -> Option<u64> {
        let reports = self.links.board().reports();
        reports.iter().find(|report| report.state == LinkState::Connected).map(|report| report.since)
    }

    /// Waits until every letter written is receipted.
    pub(super) fn all_receipted(&self) -> Result<()> {
        wait_for("the receipts", || {
            let status = self.status()?;
            Ok(status.outgoing == self.written && status.open == 0)
        })
    }
}
