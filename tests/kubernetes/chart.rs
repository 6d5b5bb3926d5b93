//! The chart in a cluster of its own, from nothing to nothing.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::clients::{echoes, shows, speaks_http3};
use crate::cluster::{PEACE, script};
use crate::empty::{EmptyCluster, HOST};
use crate::gateway::until;
use crate::peers::{self, Answer};

const SYSTEM: &str = "tidegate-system";
const OUR_PODS: &str = "app.kubernetes.io/name=tidegate";
const ADMIN: u16 = 9440;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// The commands of README's "Install", a line each, as far as they are for a cluster.
fn install_commands() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with("Install")).unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    let text = lines.collect::<Vec<_>>().join("\n").replace("\\\n", "");
    let commands = text.lines().map(|line| line.replace("REGISTRY", "localhost"));
    let (images, commands): (Vec<_>, Vec<_>) =
        commands.partition(|command| command.starts_with("docker "));
    assert_eq!((images.len(), commands.len()), (1, 3), "{commands:?}");
    commands
}

/// Asks on a new connection; `None` if nobody answers in time. A connection that is begun before the
/// node knows the address stays without an answer for good.
async fn ask(address: SocketAddr, host: &str) -> Option<Answer> {
    let request = Request::get("/").header("host", host).body(Full::<Bytes>::default()).unwrap();
    tokio::time::timeout(ANSWER, peers::send(address, request)).await.ok().flatten()
}

/// What the test's back end says of a request.
async fn told(address: SocketAddr, host: &str) -> Value {
    let answer = ask(address, host).await.unwrap();
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

/// A new connection. One that the node took to a pod which was being removed gets no answer from
/// anybody, whatever listens there: it is begun anew, as browsers do.
async fn connected(address: SocketAddr) -> Result<TcpStream, String> {
    for _ in 0..3 {
        match tokio::time::timeout(Duration::from_secs(4), TcpStream::connect(address)).await {
            Ok(connected) => return connected.map_err(|error| format!("connect: {error}")),
            Err(_) => println!("the node lost a connection"),
        }
    }
    Err("nobody answers".to_owned())
}

/// Asks on a new connection; what went wrong, if anything did.
async fn outcome(address: SocketAddr) -> Result<(), String> {
    let mut tcp = connected(address).await?;
    let asked = async {
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        tcp.write_all(request).await.map_err(|e| format!("write: {e}"))?;
        let mut response = Vec::new();
        tcp.read_to_end(&mut response).await.map_err(|e| format!("read: {e}"))?;
        match response.starts_with(b"HTTP/1.1 200 ") && response.ends_with(b"}\n") {
            true => Ok(()),
            false => Err(format!("answer: {:?}", String::from_utf8_lossy(&response))),
        }
    };
    tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

/// Requests that never pause, each on a connection of its own.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    /// What was not answered as it should.
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(address: SocketAddr) -> Self {
        let (stop, answered) = Default::default();
        let mut load = Self { stop, answered, tasks: Vec::new() };
        for _ in 0..4 {
            let (stop, answered) = (load.stop.clone(), load.answered.clone());
            load.tasks.push(tokio::spawn(async move {
                let mut lost = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let started = std::time::Instant::now();
                    match outcome(address).await {
                        Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(why) => lost.push(format!(
                            "{why}, after {:?}, at {}",
                            started.elapsed(),
                            k8s_openapi::jiff::Timestamp::now()
                        )),
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                lost
            }));
        }
        load
    }

    /// Ends it; how many were answered, and not one was lost.
    async fn end(self, during: &str) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut lost = Vec::new();
        for task in self.tasks {
            lost.extend(task.await.unwrap());
        }
        assert!(lost.is_empty(), "{} requests were lost during {during}: {lost:?}", lost.len());
        let answered = self.answered.load(Ordering::Relaxed);
        assert!(answered > 0);
        println!("{answered} requests during {during}, none lost");
        answered
    }
}

/// WebSockets that say something all the time, for as long as they are open.
struct Sockets(Vec<tokio::task::JoinHandle<Option<u16>>>);

impl Sockets {
    async fn open(address: SocketAddr, count: usize) -> Self {
        let mut tasks = Vec::new();
        for _ in 0..count {
            let mut socket = peers::open(address).await;
            tasks.push(tokio::spawn(async move {
                for number in 0.. {
                    let text = Message::text(format!("message {number}"));
                    if futures_util::SinkExt::send(&mut socket, text.clone()).await.is_err() {
                        return None;
                    }
                    match socket.next().await {
                        Some(Ok(echo)) if echo == text => {}
                        Some(Ok(Message::Close(Some(close)))) => {
                            while socket.next().await.is_some_and(|message| message.is_ok()) {}
                            return Some(close.code.into());
                        }
                        _ => return None,
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                None
            }));
        }
        Self(tasks)
    }

    /// The codes that those were closed with which are not open; `None` for one that just ended.
    async fn codes(&mut self) -> Vec<Option<u16>> {
        let (ended, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|task| task.is_finished());
        self.0 = open;
        let mut codes = Vec::new();
        for task in ended {
            codes.push(task.await.unwrap());
        }
        codes
    }

    fn alive(&self) -> usize {
        self.0.iter().filter(|task| !task.is_finished()).count()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// What a replica says of its members: their states by address.
async fn members(replica: IpAddr, gateway: &str) -> Vec<(String, String)> {
    let answer = peers::get((replica, ADMIN).into(), "/status.json").await;
    let status: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    let targets = status["targets"].as_array().unwrap().iter();
    targets
        .filter(|target| target["gateway"]["name"] == gateway)
        .flat_map(|target| target["members"].as_array().unwrap())
        .map(|member| (member["address"].to_string(), member["state"].to_string()))
        .collect()
}

/// The one address of a gateway once it serves with all its members.
async fn address_of(cluster: &EmptyCluster, gateway: &str, healthy: &str) -> IpAddr {
    let gateway = cluster
        .until(&format!("applicationgateway {gateway}"), |gateway| {
            let status = &gateway["status"];
            let programmed = status["conditions"].as_array().is_some_and(|all| {
                all.iter().any(|its| its["type"] == "Programmed" && its["status"] == "True")
            });
            programmed && status["healthy"] == healthy && status["addresses"].is_array()
        })
        .await;
    gateway["status"]["addresses"][0].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_empty_cluster_to_an_empty_cluster() {
    let _alone = PEACE.write().await;
    let cluster = EmptyCluster::new();
    assert_eq!(cluster.traces(), BTreeSet::new());
    cluster.script("image", &[env!("CARGO_BIN_EXE_tidegate"), env!("CARGO_PKG_VERSION")]);
    // No registry can be had here: the example's back end is another one of the same name.
    let folder = script("").join("../..");
    let example = std::fs::read_to_string(folder.join("deploy/example.yaml")).unwrap();
    let image = example.lines().find_map(|line| line.trim().strip_prefix("image: ")).unwrap();
    let back_end = cluster.shell("command -v tidegate-backend");
    cluster.script("load-image", &[back_end.trim(), image]);

    let commands = install_commands();
    cluster.shell(&commands[0]);
    cluster.shell(&format!("kubectl rollout status deployment tidegate -n {SYSTEM} --timeout 60s"));
    cluster.shell(&commands[1]);
    let address = address_of(&cluster, "chat", "2/2").await;
    let table = cluster.shell(&commands[2]);
    let words: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(words[..6], ["NAME", "CLASS", "ADDRESS", "PROGRAMMED", "HEALTHY", "AGE"]);
    assert_eq!(words[6..11], ["chat", "tidegate", &address.to_string(), "True", "2/2"], "{table}");
    cluster.shell(&format!("helm test tidegate -n {SYSTEM} --timeout 60s"));

    let web = SocketAddr::new(address, 80);
    let seen = told(web, "chat.example").await;
    let client = seen["headers"]["X-Forwarded-For"][0].as_str().unwrap();
    assert!(client.starts_with(&format!("{HOST}:")), "{client}");
    assert_eq!(seen["headers"]["X-Forwarded-Port"][0], "80");
    assert_eq!(seen["host"], "chat.example");
    let mut socket = peers::open(web).await;
    echoes(&mut socket, "hello").await;
    drop(socket);

    a_member_is_terminating(&cluster, web).await;
    replicas_share_keys(&cluster).await;
    an_ingress(&cluster).await;
    an_upgrade(&cluster, web).await;
    http3_through_a_service(&cluster).await;
    on_the_nodes_network(&cluster).await;

    // The chart's rights are enough.
    let log = cluster.shell(&format!("kubectl logs -n {SYSTEM} -l {OUR_PODS} --tail=-1"));
    assert!(log.contains("serving") && !log.contains("orbidden"), "{log}");

    for line in [
        "kubectl delete -f deploy/example.yaml --wait=true --timeout 60s",
        "kubectl delete applicationgateways --all",
        &format!("helm uninstall tidegate -n {SYSTEM} --wait --timeout 60s"),
    ] {
        cluster.shell(line);
    }
    let left = BTreeSet::from([
        "CustomResourceDefinition <none> applicationgateways.tidegate.dev".to_owned(),
        // What the API server makes of the definition.
        "APIService <none> v1alpha1.tidegate.dev".to_owned(),
        // Of whoever made the namespace; with it goes what every namespace has.
        format!("Namespace <none> {SYSTEM}"),
        format!("ConfigMap {SYSTEM} kube-root-ca.crt"),
        format!("ServiceAccount {SYSTEM} default"),
    ]);
    until("nothing is left but definitions", async || cluster.traces() == left).await;
}

/// A pod that is to end gets no new request, its tunnels are told to close, and it costs nobody else
/// anything.
async fn a_member_is_terminating(cluster: &EmptyCluster, web: SocketAddr) {
    // It goes on serving for a while, and would still take what comes.
    cluster.shell("kubectl set env deployment chat DRAIN=15");
    cluster.shell("kubectl rollout status deployment chat --timeout 60s");
    until("the old pods are gone", async || cluster.items("pods -l app=chat").len() == 2).await;
    address_of(cluster, "chat", "2/2").await;
    let pods = cluster.pods("default", "app=chat");
    assert_eq!(pods.len(), 2);
    let (leaving, leaving_ip) = &pods[0];
    let mut sockets = Sockets::open(web, 8).await;
    let load = Load::on(web);
    cluster.shell(&format!("kubectl delete pod {leaving} --wait=false"));
    for (_, replica) in cluster.pods(SYSTEM, OUR_PODS) {
        until("the replica knows that it ends", async || {
            members(replica, "chat").await.iter().any(|(address, state)| {
                address.contains(&leaving_ip.to_string()) && state.contains("erminating")
            })
        })
        .await;
    }
    for _ in 0..100 {
        assert_ne!(told(web, "chat.example").await["pod"], leaving.as_str());
    }
    until("its tunnels are told to close", async || sockets.alive() < 8).await;
    until("the pod has ended", async || {
        !cluster.try_shell(&format!("kubectl get pod {leaving}")).status.success()
    })
    .await;
    assert!(sockets.alive() > 0, "tunnels to other members ended");
    let codes = sockets.codes().await;
    assert!(codes.iter().all(|code| *code == Some(1001)), "{codes:?}");
    load.end("the end of a member").await;
}

/// A gateway with TLS and affinity; its certificate, and where it is.
async fn a_shop(cluster: &EmptyCluster) -> ((String, String), SocketAddr) {
    let certificate = peers::certificate(&["shop.example"]);
    cluster.apply(&crate::fixture::secret("shop", &certificate));
    let mut gateway = crate::fixture::gateway("tidegate", "shop", "chat");
    gateway["spec"]["frontendPorts"][0]["port"] = json!(443);
    gateway["spec"]["sslCertificates"] = json!([{"name": "c", "secretName": "shop"}]);
    let listener = &mut gateway["spec"]["httpListeners"][0];
    listener["protocol"] = json!("Https");
    listener["sslCertificate"] = json!("c");
    let pool = &mut gateway["spec"]["backendAddressPools"][0];
    pool["backendAddresses"][0]["service"]["port"] = json!(8080);
    gateway["spec"]["backendHttpSettingsCollection"][0]["cookieBasedAffinity"] = json!("Enabled");
    cluster.apply(&gateway);
    let address = address_of(cluster, "shop", "2/2").await;
    (certificate, SocketAddr::new(address, 443))
}

/// A client of one replica is known to the other: by its TLS session, and by its cookie.
async fn replicas_share_keys(cluster: &EmptyCluster) {
    let (certificate, _) = a_shop(cluster).await;
    cluster.until(&format!("secret tidegate-shared-keys -n {SYSTEM}"), |_| true).await;

    let services = cluster.items(&format!("services -n {SYSTEM} -l tidegate.dev/class=tidegate"));
    let service = services
        .iter()
        .find(|its| its["metadata"]["annotations"]["tidegate.dev/gateway"] == "default/shop")
        .unwrap();
    let port = service["spec"]["ports"][0]["targetPort"].as_u64().unwrap() as u16;
    let replicas = cluster.pods(SYSTEM, OUR_PODS);
    assert_eq!(replicas.len(), 2);
    let at = |index: usize| SocketAddr::new(replicas[index].1, port);
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session").display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        // The Secret may be newer than the last look of a replica at it.
        until(&format!("a session of {version} is resumed at the other replica"), async || {
            let first = openssl(at(0), &[version, "-sess_out", &session]);
            assert!(first.contains("\nNew, "), "{first}");
            openssl(at(1), &[version, "-sess_in", &session]).contains("\nReused, ")
        })
        .await;
    }

    let get = async |index: usize, cookie: &str| {
        let mut io = peers::tls(at(index), &certificate.0, "shop.example").await;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        );
        io.write_all(request.as_bytes()).await.unwrap();
        let response = peers::read_response(&mut io).await;
        let cookie = peers::header(&response, "set-cookie")
            .map(|line| line.split(';').next().unwrap().to_owned());
        let pod = response.split("\"pod\":\"").nth(1).unwrap().split('"').next().unwrap();
        (cookie, pod.to_owned())
    };
    let (cookie, pod) = get(0, "a=b").await;
    let cookie = cookie.unwrap();
    for turn in 0..10 {
        assert_eq!(get(turn % 2, &cookie).await, (None, pod.clone()));
    }
    cluster.shell("kubectl delete applicationgateway shop");
}

/// What OpenSSL says of a connection, after a request and its response.
fn openssl(address: SocketAddr, words: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-servername", "shop.example"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let request = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    stdin.write_all(request.as_bytes()).unwrap();
    // With its input open it reads until the gateway closes.
    let said = child.wait_with_output().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&said.stdout).into_owned()
}

/// An Ingress is served, by TLS too, shows its address, and says what it does not understand.
async fn an_ingress(cluster: &EmptyCluster) {
    let certificate = peers::certificate(&["ingress.example"]);
    cluster.apply(&crate::fixture::secret("ingress", &certificate));
    let path = |port: Value| {
        json!({
            "path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "chat", "port": port}},
        })
    };
    let ingress = |name: &str, annotation: &str, spec: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "annotations": {(annotation): "true"}},
            "spec": spec,
        })
    };
    cluster.apply(&ingress(
        "ours",
        "appgw.ingress.kubernetes.io/no-such-thing",
        json!({
            "ingressClassName": "tidegate",
            "tls": [{"hosts": ["ingress.example"], "secretName": "ingress"}],
            "rules": [
                {"host": "ingress.example", "http": {"paths": [path(json!({"name": "http"}))]}},
                {"host": "plain.example", "http": {"paths": [path(json!({"number": 8080}))]}},
            ],
        }),
    ));
    let spec = |class: Value| {
        let rule =
            json!({"host": "other.example", "http": {"paths": [path(json!({"number": 8080}))]}});
        json!({"ingressClassName": class, "rules": [rule]})
    };
    cluster.apply(&ingress("of-another-class", "a/b", spec(json!("somebody-elses"))));
    cluster.apply(&ingress("without-a-class", "a/b", spec(Value::Null)));
    let private = "tidegate.dev/use-private-ip";
    let mut guarded = ingress("guarded", private, spec(json!("tidegate")));
    guarded["spec"]["rules"][0]["host"] = json!("guarded.example");
    cluster.apply(&guarded);

    let shown = cluster
        .until("ingress ours", |its| its["status"]["loadBalancer"]["ingress"][0]["ip"].is_string())
        .await;
    let ip = shown["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().unwrap();
    let ip: IpAddr = ip.parse().unwrap();
    let plain = SocketAddr::new(ip, 80);
    until("the Ingress serves", async || {
        ask(plain, "plain.example").await.is_some_and(|answer| answer.status == 200)
    })
    .await;
    assert!(shows(SocketAddr::new(ip, 443), &certificate.0, "ingress.example").await);
    for host in ["other.example", "guarded.example"] {
        assert_eq!(ask(plain, host).await.unwrap().status, 404, "{host}");
    }
    for (name, text) in [
        ("ours", "appgw.ingress.kubernetes.io/no-such-thing]: there is no such annotation"),
        ("guarded", "use-private-ip]: not supported yet: the whole Ingress is left out"),
    ] {
        cluster
            .until(&format!("events --field-selector involvedObject.name={name}"), |events| {
                events["items"].as_array().unwrap().iter().any(|event| {
                    event["type"] == "Warning" && event["message"].as_str().unwrap().contains(text)
                })
            })
            .await;
    }
    for name in ["of-another-class", "without-a-class", "guarded"] {
        assert_eq!(cluster.get(&format!("ingress {name}"))["status"]["loadBalancer"], json!({}));
    }
    // One that names no class is ours as soon as ours is the default.
    cluster.shell(
        "kubectl annotate ingressclass tidegate ingressclass.kubernetes.io/is-default-class=true",
    );
    until("it is served by default", async || {
        ask(plain, "other.example").await.is_some_and(|answer| answer.status == 200)
    })
    .await;
    cluster.shell("kubectl delete ingresses --all");
}

/// An upgrade replaces every pod. No request is lost; sockets are told to come back, and none just
/// ends.
async fn an_upgrade(cluster: &EmptyCluster, web: SocketAddr) {
    let upgrade = |value: &str| {
        cluster.shell(&format!(
            "helm upgrade tidegate charts/tidegate -n {SYSTEM} --reuse-values --force-conflicts --set {value}"
        ));
        cluster.shell(&format!(
            "kubectl rollout status deployment tidegate -n {SYSTEM} --timeout 90s"
        ));
    };
    let old_pods_are_gone = async || {
        until("the old pods are gone", async || {
            cluster.items(&format!("pods -n {SYSTEM} -l {OUR_PODS}")).len() == 2
        })
        .await;
    };
    upgrade("shutdownDelay=4,drainTimeout=10");
    // They take new sockets until nobody knows them any more.
    old_pods_are_gone().await;
    let load = Load::on(web);
    let mut sockets = Sockets::open(web, 50).await;
    let before = cluster.pods(SYSTEM, OUR_PODS);
    upgrade("log.level=debug,http3=enabled");
    let after = cluster.pods(SYSTEM, OUR_PODS);
    assert!(after.iter().all(|pod| !before.contains(pod)), "{before:?} {after:?}");
    until("the sockets of the old pods are told", async || sockets.alive() == 0).await;
    let codes = sockets.codes().await;
    assert!(codes.len() == 50 && codes.iter().all(|code| *code == Some(1012)), "{codes:?}");
    old_pods_are_gone().await;
    load.end("an upgrade").await;
}

/// What an upgrade has allowed: Services have HTTPS ports over UDP as well, and clients are told.
async fn http3_through_a_service(cluster: &EmptyCluster) {
    let (certificate, shop) = a_shop(cluster).await;
    until("HTTP/3 is spoken", async || speaks_http3(shop, &certificate.0, "shop.example").await)
        .await;
    let mut io = peers::tls(shop, &certificate.0, "shop.example").await;
    io.write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").await.unwrap();
    let response = peers::read_response(&mut io).await;
    assert_eq!(peers::header(&response, "alt-svc"), Some("h3=\":443\"; ma=86400"));
    cluster.shell("kubectl delete applicationgateway shop");
}

/// On the nodes' network there are no Services: gateways have the nodes' ports and addresses.
async fn on_the_nodes_network(cluster: &EmptyCluster) {
    cluster.shell(&format!(
        "helm upgrade tidegate charts/tidegate -n {SYSTEM} --reuse-values --force-conflicts --set kind=DaemonSet,hostNetwork=true"
    ));
    cluster.shell(&format!("kubectl rollout status daemonset tidegate -n {SYSTEM} --timeout 90s"));
    let node = cluster.items("nodes")[0]["status"]["addresses"].clone();
    let ips: Vec<IpAddr> = node
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|address| address["address"].as_str()?.parse().ok())
        .collect();
    cluster
        .until("applicationgateway chat", |gateway| {
            let address = gateway["status"]["addresses"][0].as_str();
            address.is_some_and(|address| ips.contains(&address.parse().unwrap()))
        })
        .await;
    let web = SocketAddr::new(ips[0], 80);
    until("the node answers", async || {
        ask(web, "chat.example").await.is_some_and(|answer| answer.status == 200)
    })
    .await;
    let mut socket = peers::open(web).await;
    echoes(&mut socket, "hello").await;
    until("the Services are gone", async || {
        cluster.items(&format!("services -n {SYSTEM} -l tidegate.dev/class=tidegate")).is_empty()
    })
    .await;
}
