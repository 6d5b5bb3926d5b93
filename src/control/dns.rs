//! Host names of pools, looked up again when their time to live is over.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::resources::Resolution;

/// Answers are asked for again no sooner and no later than this, whatever their time to live.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(3600);
/// After a failure; doubled up to the second with each one that follows.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

type Answers = Arc<HashMap<String, Resolution>>;

/// Looks names up for as long as they are wanted.
#[derive(Debug)]
pub(crate) struct Dns {
    resolver: Result<TokioResolver, String>,
    answers: watch::Sender<Answers>,
    tasks: Mutex<HashMap<String, Task>>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Dns {
    /// Asks these servers, or the system's if there are none.
    pub(crate) fn new(nameservers: &[SocketAddr]) -> Arc<Self> {
        let resolver = resolver(nameservers).map_err(|error| {
            warn!(%error, "host names cannot be looked up");
            error
        });
        let answers = watch::Sender::new(Answers::default());
        Arc::new(Self { resolver, answers, tasks: Mutex::default() })
    }

    /// What is known now.
    pub(crate) fn answers(&self) -> Answers {
        self.answers.borrow().clone()
    }

    /// Told when an answer is another one than before.
    pub(crate) fn changes(&self) -> watch::Receiver<Answers> {
        self.answers.subscribe()
    }

    /// Looks up exactly these from now on.
    pub(crate) fn want(self: &Arc<Self>, names: BTreeSet<String>) {
        let mut tasks = self.tasks.lock();
        tasks.retain(|name, _| names.contains(name));
        for name in &names {
            tasks.entry(name.clone()).or_insert_with(|| {
                let (dns, name) = (Arc::downgrade(self), name.clone());
                Task(tokio::spawn(async move {
                    let mut failures = 0;
                    // Nobody asks any more once it is gone.
                    while let Some(dns) = dns.upgrade() {
                        let again = dns.look_up(&name, &mut failures).await;
                        drop(dns);
                        tokio::time::sleep(again).await;
                    }
                }))
            });
        }
        drop(tasks);
        self.answers.send_if_modified(|answers| {
            let stale = answers.keys().any(|name| !names.contains(name));
            if stale {
                Arc::make_mut(answers).retain(|name, _| names.contains(name));
            }
            stale
        });
    }

    /// Waits until every wanted name has an answer, or has failed, for `limit` at most.
    pub(crate) async fn wait_for_all(&self, limit: Duration) {
        let wanted: Vec<String> = self.tasks.lock().keys().cloned().collect();
        let mut answers = self.changes();
        let all = answers.wait_for(|answers| wanted.iter().all(|name| answers.contains_key(name)));
        // Those that are late come with an update of their own.
        let _ = tokio::time::timeout(limit, all).await;
    }

    /// Asks once; how long to wait for the next time.
    async fn look_up(&self, name: &str, failures: &mut u32) -> Duration {
        let found = match &self.resolver {
            Ok(resolver) => match resolver.lookup_ip(name).await {
                Ok(found) => {
                    let mut addresses: Vec<IpAddr> = found.iter().collect();
                    // The order of an answer is no news.
                    addresses.sort_unstable();
                    addresses.dedup();
                    let left =
                        found.valid_until().saturating_duration_since(std::time::Instant::now());
                    Ok((addresses, left.clamp(SOONEST, LATEST)))
                }
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.clone()),
        };
        let (addresses, error, again) = match found {
            Ok((addresses, again)) => {
                *failures = 0;
                (Some(addresses), None, again)
            }
            Err(error) => {
                let again = RETRY.0.saturating_mul(1 << (*failures).min(5)).min(RETRY.1);
                *failures += 1;
                (None, Some(error), again)
            }
        };
        self.answers.send_if_modified(|answers| {
            let last = answers.get(name).cloned().unwrap_or_default();
            // The last good addresses stay while looking up fails.
            let addresses = addresses.unwrap_or_else(|| last.addresses.clone());
            let next = Resolution { addresses, error };
            let changed = answers.get(name) != Some(&next);
            if changed {
                match &next.error {
                    Some(error) => warn!(name, error, "a host name cannot be looked up"),
                    None => info!(name, addresses = ?next.addresses, "host name looked up"),
                }
                Arc::make_mut(answers).insert(name.to_owned(), next);
            }
            changed
        });
        again
    }
}

fn resolver(nameservers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let mut builder = if nameservers.is_empty() {
        TokioResolver::builder_tokio().map_err(|error| error.to_string())?
    } else {
        let server = |address: &SocketAddr| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = address.port());
            NameServerConfig::new(address.ip(), true, connections)
        };
        let servers = nameservers.iter().map(server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // Every question is one that is due: an answer from a cache would be the one that ran out.
    options.cache_size = 0;
    builder.build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use tokio::net::UdpSocket;

    use super::*;

    /// A DNS server that answers every A question with 10.0.0.N and a time to live of one second,
    /// and with "server failure" while N is 0. AAAA questions have no answers.
    async fn server(last: Arc<AtomicU8>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let question_end = 12 + buffer[12..].iter().position(|b| *b == 0).unwrap() + 5;
                let is_a = buffer[question_end - 3] == 1;
                let value = last.load(Ordering::SeqCst);
                let mut reply = buffer[..question_end.min(length)].to_vec();
                reply[2..4].copy_from_slice(&[0x81, if value == 0 { 0x82 } else { 0x80 }]);
                let answers = u8::from(is_a && value != 0);
                reply[6..12].copy_from_slice(&[0, answers, 0, 0, 0, 0]);
                if answers == 1 {
                    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 0, 0, value]);
                }
                socket.send_to(&reply, peer).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_name_is_asked_for_again_and_keeps_its_addresses_while_that_fails() {
        let last = Arc::new(AtomicU8::new(1));
        let dns = Dns::new(&[server(last.clone()).await]);
        dns.want(["chat.test.".to_owned()].into());
        let mut answers = dns.changes();
        let mut until = async |addresses: &[[u8; 4]], failed: bool| {
            let expected: Vec<IpAddr> =
                addresses.iter().map(|bytes| IpAddr::from(*bytes)).collect();
            let right = |answers: &Answers| {
                answers.get("chat.test.").is_some_and(|answer| {
                    answer.addresses == expected && answer.error.is_some() == failed
                })
            };
            let waited =
                tokio::time::timeout(Duration::from_secs(30), answers.wait_for(right)).await;
            assert!(waited.is_ok(), "not {expected:?}: {:?}", dns.answers());
        };
        until(&[[10, 0, 0, 1]], false).await;
        last.store(2, Ordering::SeqCst);
        until(&[[10, 0, 0, 2]], false).await;
        last.store(0, Ordering::SeqCst);
        until(&[[10, 0, 0, 2]], true).await;
        last.store(3, Ordering::SeqCst);
        until(&[[10, 0, 0, 3]], false).await;
        dns.want(BTreeSet::new());
        assert!(dns.answers().is_empty());
    }
}
