//! `tidegate convert`: templates of the shape that people have, what becomes of them, and that it serves.
//!
//! Beside each template stand the YAML that is made of it and what is told. `UPDATE_CONVERTED=1` writes
//! both anew: read the difference.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use http::Response;
use http_body_util::Full;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::gateway::{Gateway, Plan};
use crate::peers;

/// Every template, and what `check` may still refuse in what it becomes, besides Secrets that are to be
/// made.
const TEMPLATES: [(&str, &[&str]); 17] = [
    ("document-listeners", &[]),
    ("document-rules", &["there is no \"appGatewayHttp"]),
    ("document", &[]),
    ("multi-site", &[]),
    ("paths", &[]),
    ("redirect", &[]),
    ("rewrite", &[]),
    ("end-to-end-tls", &[]),
    ("mutual-tls", &[]),
    ("key-vault", &[]),
    ("waf", &[]),
    ("exported", &[]),
    ("az-show", &[]),
    ("powershell", &[]),
    ("copies", &[]),
    ("public-private", &[]),
    ("internal", &[]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/product/convert")
}

fn tidegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(arguments)
        .current_dir(folder())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Converts a template of the folder, with its parameter file if there is one.
fn converted(name: &str) -> Output {
    let template = format!("{name}.json");
    let parameters = format!("{name}.parameters.json");
    let mut arguments = vec!["convert", &template];
    if folder().join(&parameters).exists() {
        arguments.extend(["--parameters", &parameters]);
    }
    tidegate(&arguments)
}

#[test]
fn templates_become_what_stands_beside_them() {
    let mut differ = Vec::new();
    for (name, _) in TEMPLATES {
        let output = converted(name);
        let code = output.status.code().unwrap();
        let notes = format!("{}exit code {code}\n", text(&output.stderr));
        for (kind, made) in [("yaml", text(&output.stdout)), ("notes", notes)] {
            let file = folder().join(format!("{name}.{kind}"));
            if std::env::var_os("UPDATE_CONVERTED").is_some() {
                fs::write(&file, &made).unwrap();
            }
            if fs::read_to_string(&file).unwrap_or_default() != made {
                differ.push(format!("{name}.{kind}:\n{made}"));
            }
        }
    }
    assert!(differ.is_empty(), "other than what is kept: {}", differ.join("\n"));
}

#[test]
fn every_template_of_the_folder_is_tested() {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|file| file.unwrap().file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
        .filter(|name| !name.ends_with(".parameters"))
        .collect();
    names.sort();
    let mut tested: Vec<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
    tested.sort_unstable();
    assert_eq!(names, tested);
}

#[test]
fn check_takes_what_was_made_but_for_what_was_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (name, left) in TEMPLATES {
        let output = converted(name);
        let notes = text(&output.stderr);
        let file = folder.path().join(format!("{name}.yaml"));
        fs::write(&file, &output.stdout).unwrap();
        let told = text(&tidegate(&["check", file.to_str().unwrap()]).stdout);
        for line in told.lines().filter(|line| !line.contains(": warning: ")) {
            let secret = line.split("there is no Secret default/").nth(1);
            let was_told = secret.is_some_and(|secret| notes.contains(&format!(" {secret} --")));
            if !was_told && !left.iter().any(|left| line.contains(left)) {
                wrong.push(format!("{name}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_example_of_the_page_becomes_what_the_page_says() {
    let root = env!("CARGO_MANIFEST_DIR");
    let page = fs::read_to_string(format!("{root}/docs/convert.md")).unwrap();
    let block = |kind: &str| {
        let (_, rest) = page.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.json");
    fs::write(&file, block("json")).unwrap();
    let output = tidegate(&["convert", file.to_str().unwrap()]);
    assert_eq!(text(&output.stdout), block("yaml"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn what_cannot_be_read_exits_2_and_says_where() {
    let broken = tempfile::tempdir().unwrap();
    let file = broken.path().join("broken.json");
    fs::write(&file, "{\n\"resources\": [\n").unwrap();
    let broken = file.to_str().unwrap();
    for (arguments, why) in [
        (vec!["convert", "nowhere.json"], "tidegate: nowhere.json: No such file"),
        (vec!["convert", broken], "broken.json:3: not JSON: the list that begins on line 2"),
        (vec!["convert", "root.pem"], "convert: root.pem:1: not JSON"),
        (
            vec!["convert", "multi-site.parameters.json"],
            "convert: multi-site.parameters.json:1: there is no application gateway in it",
        ),
        (vec!["convert", "paths.json", "--parameters", broken], "broken.json:3: not JSON"),
        (vec!["convert", "paths.json", "--name", "Not_A_Name"], "lower case"),
    ] {
        let output = tidegate(&arguments);
        let told = text(&output.stderr);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(2), String::new()),
            "{told}"
        );
        assert!(told.contains(why), "{arguments:?}: {told}");
    }
}

#[test]
fn standard_input_and_the_encoding_of_powershell_are_read() {
    let powershell = fs::read_to_string(folder().join("powershell.json")).unwrap();
    let units: Vec<u8> = std::iter::once(0xfeff)
        .chain(powershell.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let input = tempfile::NamedTempFile::new().unwrap();
    fs::write(input.path(), units).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["convert", "-", "--name", "other", "--namespace", "shop"])
        .stdin(fs::File::open(input.path()).unwrap())
        .output()
        .unwrap();
    let yaml = text(&output.stdout);
    let plain = text(&converted("powershell").stdout);
    let expected = plain.replace("  name: agw-prod\n", "  name: other\n  namespace: shop\n");
    assert_eq!(yaml, expected.replace("secretName: agw-prod-", "secretName: other-"));
}

/// A gateway of a template with other values of its parameters.
struct Served {
    gateway: Gateway,
    yaml: String,
}

impl Served {
    async fn of(name: &str, plan: Plan, values: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("parameters.json");
        let values = values.as_object().unwrap().iter();
        let parameters: Map<String, Value> =
            values.map(|(name, value)| (name.clone(), json!({"value": value}))).collect();
        fs::write(&file, json!({"parameters": parameters}).to_string()).unwrap();
        let template = format!("{name}.json");
        let output = tidegate(&["convert", &template, "--parameters", file.to_str().unwrap()]);
        let yaml = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let gateway = Gateway::start_ingresses(plan, &yaml).await;
        Self { gateway, yaml }
    }

    /// What curl gets, which trusts the authority of the templates alone: status, a header, and body.
    async fn get(&self, scheme: &str, host: &str, path: &str) -> Got {
        let gateway = &self.gateway;
        let port = if scheme == "https" { gateway.https() } else { gateway.http() }.port();
        let output = tokio::process::Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--include", "--cacert"])
            .arg(folder().join("root.pem"))
            .args(["--http1.1", "--resolve", &format!("{host}:{port}:127.0.0.1")])
            .arg(format!("{scheme}://{host}:{port}{path}"))
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}\n{}", text(&output.stderr), self.yaml);
        Got(text(&output.stdout))
    }
}

/// A response as text.
struct Got(String);

impl Got {
    fn status(&self) -> u16 {
        peers::status(&self.0)
    }

    fn header(&self, name: &str) -> &str {
        peers::header(&self.0, name).unwrap_or_default()
    }

    fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }
}

/// A back end that answers with its name, and the path and query that it was asked for.
async fn member(name: &'static str) -> SocketAddr {
    peers::serve(move |head, _| {
        let told = format!("{name} {}", head.uri);
        Response::builder().header("server", "secret/1.0").body(Full::from(told)).unwrap()
    })
    .await
}

#[tokio::test]
async fn a_multi_site_template_serves_both_sites_with_their_certificates() {
    let (shop, api) = (member("shop").await, member("api").await);
    let plan = Plan::to(shop);
    let values = json!({
        "httpsPort": plan.https, "apiPassword": "secret",
        "shopAddress": "127.0.0.1", "shopPort": shop.port(),
        "apiAddress": "127.0.0.1", "apiPort": api.port(),
    });
    let served = Served::of("multi-site", plan, values).await;
    // curl judges each certificate by its chain and name.
    let got = served.get("https", "shop.example.com", "/a?b=c").await;
    assert_eq!((got.status(), got.body()), (200, "shop /a?b=c"));
    assert!(got.0.contains("\r\nset-cookie: shop="), "{}", got.0);
    let got = served.get("https", "api.example.com", "/").await;
    assert_eq!((got.status(), got.body()), (200, "api /"));
    assert_eq!(got.header("set-cookie"), "");
}

#[tokio::test]
async fn an_end_to_end_template_judges_its_members_by_the_root_that_it_holds() {
    let (chain, key) = peers::certificate(&["members.internal"]);
    let acceptor = tokio_rustls::TlsAcceptor::from(peers::server_config(&(chain.clone(), key)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else { return };
                let service = hyper::service::service_fn(async |_| {
                    Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from(
                        "member",
                    )))
                });
                let io = hyper_util::rt::TokioIo::new(tls);
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
    let pem: String = chain.lines().filter(|line| !line.starts_with("-----")).collect();
    let plan = Plan::to(address);
    let values = json!({
        "httpsPort": plan.https, "address": "127.0.0.1", "port": address.port(),
        "rootCertificate": pem,
    });
    let served = Served::of("end-to-end-tls", plan, values).await;
    let got = served.get("https", "shop.example.com", "/").await;
    assert_eq!((got.status(), got.body()), (200, "member"));
}

#[tokio::test]
async fn a_template_with_paths_serves_each_by_its_pool() {
    let (main, images, video) =
        (member("main").await, member("images").await, member("video").await);
    let plan = Plan::to(main);
    let values = json!({
        "frontendPort": plan.http,
        "defaultAddress": "127.0.0.1", "defaultPort": main.port(),
        "imagesAddress": "127.0.0.1", "imagesPort": images.port(),
        "videoAddress": "127.0.0.1", "videoPort": video.port(),
    });
    let served = Served::of("paths", plan, values).await;
    for (path, expected) in [
        ("/", "main /"),
        ("/images/a.png?b", "images /static/a.png?b"),
        ("/video/1", "video /video/1"),
        ("/films", "video /films"),
        ("/other", "main /other"),
    ] {
        let got = served.get("http", "any.example.com", path).await;
        assert_eq!((got.status(), got.body()), (200, expected), "{path}");
    }
}

#[tokio::test]
async fn a_template_with_redirects_sends_clients_where_it_says() {
    let app = member("app").await;
    let plan = Plan::to(app);
    let values = json!({
        "httpPort": plan.http, "httpsPort": plan.https,
        "address": "127.0.0.1", "port": app.port(),
    });
    let served = Served::of("redirect", plan, values).await;
    let got = served.get("http", "shop.example.com", "/a?b=c").await;
    let https = served.gateway.https().port();
    let expected = format!("https://shop.example.com:{https}/a?b=c");
    assert_eq!((got.status(), got.header("location")), (301, &*expected), "{}", got.0);
    let got = served.get("http", "old.example.com", "/a?b=c").await;
    assert_eq!((got.status(), got.header("location")), (302, "https://new.example.com/moved?b=c"));
    let got = served.get("https", "shop.example.com", "/a?b=c").await;
    assert_eq!((got.status(), got.body()), (200, "app /a?b=c"));
}

#[tokio::test]
async fn a_template_with_rewrites_changes_what_members_and_clients_see() {
    let app = member("app").await;
    let plan = Plan::to(app);
    let values = json!({"httpPort": plan.http, "address": "127.0.0.1", "port": app.port()});
    let served = Served::of("rewrite", plan, values).await;
    let got = served.get("http", "shop.example.com", "/Article/42/title?x=y").await;
    assert_eq!((got.status(), got.body()), (200, "app /article?id=42"));
    assert_eq!(got.header("strict-transport-security"), "max-age=31536000");
    assert_eq!(got.header("server"), "", "{}", got.0);
    let got = served.get("http", "shop.example.com", "/other?x=y").await;
    assert_eq!((got.status(), got.body()), (200, "app /other?x=y"));
}
