//! Clients, servers and test suites that nobody here wrote. `tests/gear/install` gets them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use http::Response;
use http_body_util::Full;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::gateway::{Gateway, Plan, free_port, until};
use crate::peers;

fn gear(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/gear").join(name)
}

/// Installs the gear, once for all tests.
async fn install() {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED
        .get_or_init(async || {
            let status = Command::new(gear("install")).status().await.unwrap();
            assert!(status.success(), "tests/gear/install failed");
        })
        .await;
}

/// Whether the Autobahn suite could be installed.
fn has_autobahn() -> bool {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    cache.is_some_and(|cache| cache.join("tidegate-gear/autobahn/bin/python").exists())
}

/// Runs a piece of gear to its end, and shows what it said if it failed.
async fn run(mut command: Command) -> String {
    install().await;
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{command:?}: {status}\n{said}\n{}",
        String::from_utf8_lossy(&stderr)
    );
    said
}

fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(gear(name));
    command.args(arguments).kill_on_drop(true);
    command
}

/// Starts a foreign server on a free port, and waits until it says that it listens.
async fn server(name: &str) -> (Child, SocketAddr) {
    server_with(name, &[]).await
}

/// The same with more arguments.
async fn server_with(name: &str, arguments: &[&str]) -> (Child, SocketAddr) {
    install().await;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let port = address.port().to_string();
    let mut server = command(name, &[&port]);
    let mut child = server.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap().unwrap_or_else(|| panic!("{name} did not start"));
    (child, address)
}

#[tokio::test]
async fn ws_and_websockets_talk_to_each_other_through_http_and_https() {
    for name in ["clients/server-node.mjs", "clients/server-python.py"] {
        let (_server, address) = server(name).await;
        let gateway = Gateway::start(Plan::to(address)).await;
        for client in ["clients/ws-node.mjs", "clients/ws-python.py"] {
            run(command(client, &[&format!("ws://{}", gateway.http())])).await;
            let secure = format!("wss://{}", gateway.https());
            run(command(client, &[&secure, "--insecure"])).await;
        }
    }
}

#[tokio::test]
async fn aioquic_talks_over_http3_to_members_that_know_nothing_of_it() {
    // The Python server takes no body.
    for (name, more) in
        [("clients/server-node.mjs", &["--post"][..]), ("clients/server-python.py", &[])]
    {
        let (_server, address) = server(name).await;
        let gateway = Gateway::start(Plan::to(address)).await;
        let https = gateway.https().to_string();
        run(command("clients/http3.py", &[&[&*https], more].concat())).await;
    }
}

#[tokio::test]
async fn node_talks_over_http2_to_a_member_that_speaks_nothing_else() {
    install().await;
    let certificate = peers::certificate(&["member.example"]);
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&cert, &certificate.0).unwrap();
    std::fs::write(&key, &certificate.1).unwrap();
    let files = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let (_server, address) = server_with("clients/server-http2.mjs", &files).await;
    let plan = Plan::to(address).with(|plan| {
        // Alone: a member that declined would be spoken to in HTTP/1.1, and nothing shown.
        plan.settings = ", webSocket: {memberVersion: Http2}".into();
    });
    let gateway = Gateway::start(plan.with_tls_members(&certificate.0)).await;
    let (plain, secure) =
        (format!("ws://{}", gateway.http()), format!("wss://{}", gateway.https()));
    for arguments in
        [&[&*plain][..], &[&*secure, "--insecure"], &[&*secure, "--insecure", "--http2"]]
    {
        run(command("clients/ws-node.mjs", arguments)).await;
    }
}

/// Starts nghttp2's proxy on a free port, with a back end as nghttpx writes them.
async fn nghttpx(frontend: &str, backend: &str, options: &[&str]) -> (Child, SocketAddr) {
    install().await;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new("/usr/sbin/nghttpx");
    command.arg(format!("--frontend=127.0.0.1,{}{frontend}", address.port()));
    command.arg(format!("--backend=127.0.0.1,{backend}"));
    command.args(["--workers=1", "--no-ocsp", "--log-level=ERROR", "--conf=/dev/null"]);
    let child = command.args(options).kill_on_drop(true).spawn().unwrap();
    until("nghttpx listens", async || TcpStream::connect(address).await.is_ok()).await;
    (child, address)
}

#[tokio::test]
async fn nghttp2_carries_websockets_over_http2_to_the_gateway_and_from_it() {
    let (_server, behind) = server("clients/server-node.mjs").await;
    let certificate = peers::certificate(&["member.example"]);
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&cert, &certificate.0).unwrap();
    std::fs::write(&key, &certificate.1).unwrap();
    // It takes the private key and the certificate by place.
    let files = [key.to_str().unwrap(), cert.to_str().unwrap()];
    let (_member, member) = nghttpx("", &behind.port().to_string(), &files).await;
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "members"},
        "stringData": {"ca.crt": certificate.0},
    });
    let plan = Plan::to(member).with(|plan| {
        plan.settings = ", protocol: Https, hostName: member.example, \
            trustedRootCertificates: [members], webSocket: {memberVersion: Http2}"
            .into();
        plan.documents = secret.to_string();
    });
    let gateway = Gateway::start(plan).await;
    run(command("clients/ws-node.mjs", &[&format!("ws://{}", gateway.http())])).await;

    // And as the gateway's client: what comes over HTTP/1.1 goes on by extended CONNECT.
    let backend = format!("{};;proto=h2;tls;sni=localhost", gateway.https().port());
    let (_client, client) = nghttpx(";no-tls", &backend, &["--insecure"]).await;
    for name in ["clients/ws-node.mjs", "clients/ws-python.py"] {
        run(command(name, &[&format!("ws://{client}")])).await;
    }
}

#[tokio::test]
async fn node_talks_over_http2_to_members_that_speak_http1() {
    for name in ["clients/server-node.mjs", "clients/server-python.py"] {
        let (_server, address) = server(name).await;
        let gateway = Gateway::start(Plan::to(address)).await;
        let secure = format!("wss://{}", gateway.https());
        run(command("clients/ws-node.mjs", &[&secure, "--insecure", "--http2"])).await;
    }
}

#[tokio::test]
async fn curl_gets_pages_over_http_https_and_http2() {
    install().await;
    let body = "a page".repeat(10_000);
    let page = body.clone();
    let gateway = Gateway::start(Plan::to(
        peers::serve(move |_, _| Response::new(Full::from(page.clone()))).await,
    ))
    .await;
    for (url, arguments, version) in [
        (format!("http://{}/", gateway.http()), &["--http1.1"][..], "1.1"),
        (format!("http://{}/", gateway.http()), &["--http1.0"], "1"),
        (format!("https://{}/", gateway.https()), &["--insecure", "--http1.1"], "1.1"),
        (format!("https://{}/", gateway.https()), &["--insecure", "--http2"], "2"),
    ] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--write-out", "\n%{http_version}"])
            .args(arguments)
            .arg(&url);
        let said = run(curl).await;
        let (got, its) = said.rsplit_once('\n').unwrap();
        assert_eq!((got.len(), its), (body.len(), version), "{url} {arguments:?}");
        assert!(got == body, "{url} {arguments:?}: the page was changed");
    }
}

#[tokio::test]
async fn openssl_agrees_on_tls_and_the_application_protocol() {
    install().await;
    let gateway = Gateway::start(Plan::to(peers::echo().await)).await;
    for (arguments, expected) in [
        (&["-tls1_3", "-alpn", "h2"][..], &["TLSv1.3", "ALPN protocol: h2"][..]),
        (&["-tls1_2", "-alpn", "http/1.1"], &["TLSv1.2", "ALPN protocol: http/1.1"]),
    ] {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["s_client", "-connect", &gateway.https().to_string()])
            .args(arguments)
            .stdin(Stdio::null());
        let said = run(openssl).await;
        for expected in expected {
            assert!(said.contains(expected), "{arguments:?}: no {expected} in\n{said}");
        }
    }
}

#[tokio::test]
async fn h2spec_passes_in_strict_mode() {
    let gateway = Gateway::start(Plan::to(peers::health_page().await)).await;
    let port = gateway.plan.https.to_string();
    let said = run(command("h2spec", &["127.0.0.1", &port])).await;
    assert!(said.contains("146 passed"), "{said}");
}

#[tokio::test]
async fn autobahn_gives_the_same_verdicts_with_the_gateway_as_without() {
    install().await;
    if !has_autobahn() {
        // Only a machine that nobody judges by may do without.
        assert!(std::env::var_os("CI").is_none(), "no Autobahn suite: it needs Python 2.7");
        eprintln!("NOT TESTED: the Autobahn suite needs Python 2.7, see tests/gear/install");
        return;
    }
    // The member answers no probes: it is probed at another port.
    let health = peers::health().await;
    let in_front_of = |port: u16| {
        Plan::to(SocketAddr::from(([127, 0, 0, 1], port))).with(|plan| plan.health = Some(health))
    };
    let direct = free_port();
    let gateway = Gateway::start(in_front_of(direct)).await;
    // What comes over HTTP/2, and goes over HTTP/2 to a gateway that takes it to the member.
    let certificate = gateway.plan.certificate.0.clone();
    let outer = Gateway::start(over_http2(&gateway, &certificate)).await;
    let plain = ["client", "--direct-port", &direct.to_string(), "--through"];
    let through = format!("ws://{}", gateway.http());
    println!("{}", run(command("autobahn", &[&plain[..], &[&through]].concat())).await);
    // What is left out moves gigabytes: the same frames, only more and larger.
    let cases = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,10.*";
    for through in [format!("wss://{}", gateway.https()), format!("ws://{}", outer.http())] {
        let arguments = [&plain[..], &[&through, "--cases", cases]].concat();
        println!("{through}: {}", run(command("autobahn", &arguments)).await);
    }

    let listen = free_port();
    let gateway = Gateway::start(in_front_of(listen)).await;
    let arguments = [
        "server",
        "--listen-port",
        &listen.to_string(),
        "--through-port",
        &gateway.plan.http.to_string(),
    ];
    println!("{}", run(command("autobahn", &arguments)).await);
}

/// A gateway whose only member is the HTTPS listener of another, spoken to in HTTP/2 alone.
fn over_http2(inner: &Gateway, certificate: &str) -> Plan {
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "members"},
        "stringData": {"ca.crt": certificate},
    });
    Plan::to(inner.https()).with(|plan| {
        plan.settings = ", protocol: Https, hostName: server.example.com, \
            trustedRootCertificates: [members], webSocket: {memberVersion: Http2}"
            .into();
        // The inner one's member answers no probes: any answer of the inner one will do.
        plan.probe = ", match: {statusCodes: ['200-599']}".into();
        plan.documents = secret.to_string();
    })
}

#[tokio::test]
async fn the_chart_renders_what_it_should() {
    let arguments = ["--tidegate", env!("CARGO_BIN_EXE_tidegate")];
    println!("{}", run(command("chart.mjs", &arguments)).await);
}

#[tokio::test]
async fn chromium_chats_on_the_demo_page_over_http_and_https() {
    install().await;
    let folder = tempfile::tempdir().unwrap();
    let (http, https) = (free_port(), free_port());
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut demo = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["demo", "--http-port", &http.to_string(), "--https-port", &https.to_string()])
        .args(["--admin", &admin.to_string(), "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("the demo is ready", async || {
        peers::get(admin, "/readyz").await.is_some_and(|a| a.status == 200)
    })
    .await;
    let picture = folder.path().join("page.png");
    for url in [format!("http://127.0.0.1:{http}/"), format!("https://127.0.0.1:{https}/")] {
        run(command("clients/page.mjs", &[&url, picture.to_str().unwrap()])).await;
        assert!(picture.exists());
    }
    // Chromium takes HTTP/2 for the socket of a page that came over it (RFC 8441).
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    let versions: Vec<String> = (log.lines())
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["properties"].clone())
        .filter(|properties| properties.get("tunnelEnd").is_some())
        .map(|properties| format!("{} {}", properties["httpVersion"], properties["httpStatus"]))
        .collect();
    for version in ["\"HTTP/1.1\" 101", "\"HTTP/2.0\" 200"] {
        assert!(versions.iter().any(|its| its == version), "no {version} in {versions:?}");
    }
    // An edit shows at once.
    let yaml = std::fs::read_to_string(folder.path().join("gateway.yaml")).unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), yaml.replace("name: r1", "name: renamed"))
        .unwrap();
    until("the edit shows", async || {
        let status = peers::get(admin, "/status.json").await.unwrap();
        String::from_utf8_lossy(&status.body).contains("\"renamed\"")
    })
    .await;
    let pid = demo.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    assert_eq!(demo.wait().await.unwrap().code(), Some(0));
}

/// What a gateway in front of a gRPC server is told of it.
fn grpc_plan(member: SocketAddr, tls: Option<&str>) -> Plan {
    let plan = Plan::to(member).with(|plan| {
        plan.probe = ", grpc: {service: tidegate.Echo}".into();
        plan.settings = ", backendHttpVersion: Http2".into();
    });
    match tls {
        Some(certificate) => plan.with_tls_members(certificate),
        None => plan,
    }
}

#[tokio::test]
async fn grpc_works_end_to_end_over_plain_and_tls() {
    install().await;
    let certificate = peers::certificate(&["member.example"]);
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&cert, &certificate.0).unwrap();
    std::fs::write(&key, &certificate.1).unwrap();
    let files = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()];
    for (arguments, tls) in [(&[][..], None), (&files, Some(&*certificate.0))] {
        let (_server, address) = server_with("clients/grpc-server.py", arguments).await;
        let gateway = Gateway::start(grpc_plan(address, tls)).await;
        let shown = folder.path().join("gateway");
        std::fs::write(&shown, &gateway.plan.certificate.0).unwrap();
        let https = gateway.https().to_string();
        run(command("clients/grpc-client.py", &[&https, "--cert", shown.to_str().unwrap()])).await;
    }
}

#[tokio::test]
async fn no_call_is_lost_when_a_grpc_server_tells_its_connections_to_go() {
    let (_server, address) = server_with("clients/grpc-server.py", &["--max-age", "300"]).await;
    let gateway = Gateway::start(grpc_plan(address, None)).await;
    let shown = gateway.path("certificate");
    std::fs::write(&shown, &gateway.plan.certificate.0).unwrap();
    let https = gateway.https().to_string();
    let arguments = [&*https, "--cert", shown.to_str().unwrap(), "--check", "goaway"];
    run(command("clients/grpc-client.py", &arguments)).await;
}

#[tokio::test]
async fn a_grpc_server_says_by_itself_whether_it_is_well() {
    let (_server, address) = server("clients/grpc-server.py").await;
    for (service, state, detail) in [
        ("{}", "Up", "SERVING in "),
        ("{service: tidegate.Echo}", "Up", "SERVING in "),
        ("{service: down}", "Down", "NOT_SERVING"),
        ("{service: nobody}", "Down", "grpc-status 5 unknown service"),
    ] {
        let plan = grpc_plan(address, None).with(|plan| plan.probe = format!(", grpc: {service}"));
        let gateway = Gateway::start_with(plan, &[]).await;
        until(&format!("{service} is {state}"), async || gateway.members().await == [state]).await;
        let status = gateway.status().await;
        let said = status["targets"][0]["members"][0]["health"]["detail"].as_str().unwrap();
        assert!(said.starts_with(detail), "{service}: {said}");
    }
}

#[tokio::test]
async fn chromium_stays_with_the_member_that_its_cookie_names() {
    install().await;
    const PAGE: &str = "<!doctype html><body><script>(async () => {
        const who = [];
        for (let n = 0; n < 20; n++) who.push(await (await fetch('/who', {cache: 'no-store'})).text());
        document.body.textContent = `who: ${who.join('')}.`;
    })()</script>";
    let member = async |name: &'static str| {
        let answer = move |head: http::request::Parts, _| {
            let is_page = head.uri == "/";
            let mut response = Response::new(Full::from(if is_page { PAGE } else { name }));
            let kind = if is_page { "text/html" } else { "text/plain" };
            response.headers_mut().insert("content-type", kind.parse().unwrap());
            response
        };
        peers::serve(answer).await
    };
    let members = vec![member("a").await, member("b").await];
    let plan = Plan::to(members[0]).with(|plan| plan.members = members);
    for (settings, stays) in [(", cookieBasedAffinity: Enabled", true), ("", false)] {
        let gateway = Gateway::start(plan.clone().with(|p| p.settings = settings.into())).await;
        for url in [format!("http://{}/", gateway.http()), format!("https://{}/", gateway.https())]
        {
            let profile = tempfile::tempdir().unwrap();
            let mut chromium = Command::new("chromium");
            chromium.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]);
            chromium.args(["--ignore-certificate-errors", "--virtual-time-budget=20000"]);
            chromium.arg(format!("--user-data-dir={}", profile.path().display()));
            let page = run({
                chromium.arg(&url);
                chromium
            })
            .await;
            let who = page.split("who: ").nth(1).and_then(|rest| rest.split('.').next());
            let who = who.unwrap_or_else(|| panic!("{url}: {page}"));
            let same = who == "a".repeat(20) || who == "b".repeat(20);
            assert_eq!(same, stays, "{url} {settings}: {who}");
        }
    }
}
