//! References that lead nowhere, or where they may not.

use serde_json::{Value, json};

use crate::clients;
use crate::cluster::{PEACE, Space};
use crate::fixture::{self, HOST};
use crate::gateway::until;
use crate::peers;
use crate::replica::Installation;

/// A gateway with a TLS listener beside the plain one.
fn with_tls(class: &str, secret: &str) -> Value {
    let mut gateway = fixture::gateway(class, "g", "echo");
    let spec = &mut gateway["spec"];
    spec["sslCertificates"] = json!([{"name": "c", "secretName": secret}]);
    spec["frontendPorts"] = json!([{"name": "http", "port": 80}, {"name": "https", "port": 443}]);
    let listener = json!({
        "name": "tls", "frontendPort": "https", "protocol": "Https", "sslCertificate": "c",
    });
    spec["httpListeners"].as_array_mut().unwrap().push(listener);
    let rule = json!({
        "name": "r2", "ruleType": "Basic", "priority": 20, "httpListener": "tls",
        "backendAddressPool": "p", "backendHttpSettings": "s",
    });
    spec["requestRoutingRules"].as_array_mut().unwrap().push(rule);
    gateway
}

async fn says(space: &Space, text: &str) {
    until(&format!("the status says {text:?}"), async || {
        space.gateway("g").await["status"].to_string().replace("\\\"", "'").contains(text)
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_is_wrong_or_gone_costs_its_listener_alone() {
    let _peace = PEACE.read().await;
    let space = Space::new("secret").await;
    let installation = Installation::new("secret").await;
    let back_end = peers::echo().await;
    space.apply(fixture::service("echo")).await;
    space.apply(fixture::slice("echo", back_end.port(), &[HOST.to_owned()])).await;
    let certificate = peers::certificate(&["a.example"]);
    let other = peers::certificate(&["a.example"]);
    let secret = fixture::secret("app", &certificate);
    space.apply(with_tls(&installation.class, "app")).await;
    let replica = installation.replica("one", &[]).await;
    let plain = replica.listener(&space.name, "g", "web").await;
    says(&space, &format!("there is no Secret {}/app", space.name)).await;
    until("the plain listener serves", async || {
        peers::get(plain, "/").await.is_some_and(|answer| answer.status == 200)
    })
    .await;
    // It comes.
    space.apply(secret.clone()).await;
    let tls = replica.listener(&space.name, "g", "tls").await;
    until("it shows the certificate", async || {
        clients::shows(tls, &certificate.0, "a.example").await
    })
    .await;
    let mut socket = peers::open(plain).await;
    // It breaks: what was good goes on.
    let broken = fixture::secret("app", &(certificate.0.clone(), other.1.clone()));
    space.apply(broken).await;
    says(&space, "tls.key does not belong to tls.crt; the last good one goes on serving").await;
    assert!(clients::shows(tls, &certificate.0, "a.example").await);
    let nonsense = ("no certificate".to_owned(), other.1.clone());
    space.apply(fixture::secret("app", &nonsense)).await;
    says(&space, "its certificate cannot be read").await;
    assert!(clients::shows(tls, &certificate.0, "a.example").await);
    // It goes, and its listener with it.
    space.delete(&secret).await;
    says(&space, &format!("there is no Secret {}/app", space.name)).await;
    assert!(replica.try_listener(&space.name, "g", "tls").await.is_none());
    let status = space.gateway("g").await["status"].clone();
    let listeners = status["listeners"].as_array().unwrap();
    let refused = listeners.iter().find(|listener| listener["name"] == "tls").unwrap();
    assert_eq!(refused["reason"], "Refused", "{refused}");
    assert_eq!(peers::get(plain, "/").await.unwrap().status, 200);
    // It comes back as another.
    space.apply(fixture::secret("app", &other)).await;
    until("it shows the other certificate", async || {
        clients::shows(tls, &other.0, "a.example").await
    })
    .await;
    clients::echoes(&mut socket, "through all of it").await;
}

#[tokio::test]
async fn another_namespace_is_out_of_reach_without_a_grant() {
    let _peace = PEACE.read().await;
    let (space, other) = (Space::new("grant").await, Space::new("grant").await);
    let installation = Installation::new("grant").await;
    let back_end = peers::echo().await;
    other.apply(fixture::service("echo")).await;
    other.apply(fixture::slice("echo", back_end.port(), &[HOST.to_owned()])).await;
    let certificate = peers::certificate(&["a.example"]);
    other.apply(fixture::secret("app", &certificate)).await;
    let mut gateway = with_tls(&installation.class, "app");
    gateway["spec"]["sslCertificates"][0]["secretNamespace"] = json!(other.name);
    gateway["spec"]["backendAddressPools"][0]["backendAddresses"][0]["service"]["namespace"] =
        json!(other.name);
    space.apply(gateway).await;
    let replica = installation.replica("one", &[]).await;
    let plain = replica.listener(&space.name, "g", "web").await;
    says(&space, &format!("no ReferenceGrant of namespace {}", other.name)).await;
    assert_eq!(peers::get(plain, "/").await.unwrap().status, 502);
    assert!(replica.try_listener(&space.name, "g", "tls").await.is_none());
    let grant = json!({
        "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
        "metadata": {"name": "g"},
        "spec": {
            "from": [{"group": "tidegate.dev", "kind": "ApplicationGateway", "namespace": space.name}],
            "to": [{"group": "", "kind": "Service"}, {"group": "", "kind": "Secret", "name": "app"}],
        },
    });
    other.apply(grant.clone()).await;
    let tls = replica.listener(&space.name, "g", "tls").await;
    until("both are served", async || {
        peers::get(plain, "/").await.is_some_and(|answer| answer.status == 200)
            && clients::shows(tls, &certificate.0, "a.example").await
    })
    .await;
    other.delete(&grant).await;
    until("the grant is taken back", async || {
        peers::get(plain, "/").await.is_some_and(|answer| answer.status == 502)
    })
    .await;
}

#[tokio::test]
async fn what_the_schema_forbids_the_api_server_refuses_and_the_rest_is_refused_alone() {
    let _peace = PEACE.read().await;
    let space = Space::new("wrong").await;
    let installation = Installation::new("wrong").await;
    let class = &installation.class;
    let back_end = peers::echo().await;
    space.apply(fixture::service("echo")).await;
    space.apply(fixture::slice("echo", back_end.port(), &[HOST.to_owned()])).await;
    let right = fixture::gateway(class, "g", "echo");
    type Change = fn(&mut Value);
    let refused: [(&str, Change); 5] = [
        ("frontendPorts", |spec| spec["frontendPorts"][0]["port"] = json!(70000)),
        ("protocol", |spec| spec["httpListeners"][0]["protocol"] = json!("Gopher")),
        ("sslCertificate", |spec| spec["httpListeners"][0]["protocol"] = json!("Https")),
        ("hostName", |spec| {
            spec["httpListeners"][0]["hostName"] = json!("a");
            spec["httpListeners"][0]["hostNames"] = json!(["b"]);
        }),
        ("priority", |spec| spec["requestRoutingRules"][0]["priority"] = json!(0)),
    ];
    for (field, change) in refused {
        let mut gateway = right.clone();
        change(&mut gateway["spec"]);
        let error = space.try_apply(gateway).await.unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
    }

    space.apply(right.clone()).await;
    let replica = installation.replica("one", &[]).await;
    let address = replica.listener(&space.name, "g", "web").await;
    let ok = async || peers::get(address, "/").await.is_some_and(|answer| answer.status == 200);
    until("it serves", ok).await;
    let wrong: [(&str, Change); 6] = [
        ("there is no 'nowhere' in backendAddressPools", |spec| {
            spec["requestRoutingRules"][0]["backendAddressPool"] = json!("nowhere");
        }),
        ("there is no 'nowhere' in backendHttpSettingsCollection", |spec| {
            spec["requestRoutingRules"][0]["backendHttpSettings"] = json!("nowhere");
        }),
        ("there is no 'nowhere' in frontendPorts", |spec| {
            spec["httpListeners"][0]["frontendPort"] = json!("nowhere");
        }),
        ("there is no 'nowhere' in frontendIPConfigurations", |spec| {
            spec["httpListeners"][0]["frontendIPConfiguration"] = json!("nowhere");
        }),
        ("there is no Service", |spec| {
            spec["backendAddressPools"][0]["backendAddresses"][0]["service"]["name"] =
                json!("none");
        }),
        ("has no such port", |spec| {
            spec["backendAddressPools"][0]["backendAddresses"][0]["service"]["port"] =
                json!("none");
        }),
    ];
    for (text, change) in wrong {
        let mut gateway = right.clone();
        change(&mut gateway["spec"]);
        space.apply(gateway).await;
        says(&space, text).await;
        space.apply(right.clone()).await;
        until(&format!("it serves again after {text:?}"), ok).await;
    }

    // An ExternalName leads anywhere its owner likes.
    let external = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "outside"},
        "spec": {"type": "ExternalName", "externalName": "example.com"},
    });
    space.apply(external).await;
    space.apply(fixture::gateway(class, "g", "outside")).await;
    says(&space, "is an ExternalName").await;

    // As large as the API server takes: a megabyte and more in pools.
    let mut large = right.clone();
    let pools = (0..90).map(|pool| {
        let addresses = (0..600).map(|n| json!({"ipAddress": format!("10.77.{pool}.{}", n % 250)}));
        json!({"name": format!("big{pool}"), "backendAddresses": addresses.collect::<Vec<_>>()})
    });
    large["spec"]["backendAddressPools"].as_array_mut().unwrap().extend(pools);
    let bytes = large.to_string().len();
    assert!(bytes > 1_000_000, "{bytes}");
    space.try_apply(large.clone()).await.unwrap();
    until("the large one is judged", async || {
        let gateway = space.gateway("g").await;
        gateway["status"]["conditions"][0]["observedGeneration"]
            == gateway["metadata"]["generation"]
            && gateway["status"]["pools"].as_array().map(Vec::len) == Some(91)
    })
    .await;
    assert!(ok().await);
}

#[tokio::test]
async fn error_pages_come_change_and_go_with_their_config_map() {
    let _peace = PEACE.read().await;
    let space = Space::new("pages").await;
    let installation = Installation::new("pages").await;
    let mut gateway = fixture::gateway(&installation.class, "g", "nobody");
    gateway["spec"]["customErrorConfigurations"] = json!([
        {"statusCode": "HttpStatus502", "configMap": {"name": "pages", "key": "502.html"}},
    ]);
    space.apply(gateway).await;
    let replica = installation.replica("one", &[]).await;
    let listener = replica.listener(&space.name, "g", "web").await;
    let shows = async |page: &str| {
        let answer = peers::get(listener, "/").await.unwrap();
        answer.status == 502 && String::from_utf8_lossy(&answer.body) == page
    };
    says(&space, &format!("there is no ConfigMap {}/pages", space.name)).await;
    let page = |text: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pages"},
            "data": {"502.html": text},
        })
    };
    for text in ["<p>soon", "<p>later"] {
        space.apply(page(text)).await;
        until(&format!("the page is {text}"), async || shows(text).await).await;
    }
    space.delete(&page("")).await;
    says(&space, &format!("there is no ConfigMap {}/pages", space.name)).await;
    until("the gateway's own words are back", async || {
        let answer = peers::get(listener, "/").await.unwrap();
        answer.status == 502 && answer.body.starts_with(b"502 Bad Gateway")
    })
    .await;
}
