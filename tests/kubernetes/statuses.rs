//! What the resource says of itself, and what it refuses.

use serde_json::{Value, json};

use crate::cluster::{self, PEACE, Space};
use crate::fixture::{self, HOST};
use crate::gateway::until;
use crate::peers;
use crate::replica::Installation;

/// A condition's status and reason.
fn condition<'a>(gateway: &'a Value, kind: &str) -> (&'a str, &'a str) {
    let conditions = gateway["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.map_or(("", ""), |its| (its["status"].as_str().unwrap(), its["reason"].as_str().unwrap()))
}

fn item<'a>(gateway: &'a Value, list: &str, name: &str) -> &'a Value {
    let items = gateway["status"][list].as_array();
    items.into_iter().flatten().find(|item| item["name"] == name).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_status_says_what_serves_and_what_does_not_and_is_written_once() {
    let _peace = PEACE.read().await;
    let space = Space::new("status").await;
    let installation = Installation::new("status").await;
    let back_end = peers::echo().await;
    space.apply(fixture::service("echo")).await;
    space.apply(fixture::slice("echo", back_end.port(), &[HOST.to_owned()])).await;
    let mut gateway = fixture::gateway(&installation.class, "g", "echo");
    space.apply(gateway.clone()).await;
    // Another class, and one that another installation would take.
    space.apply(fixture::gateway("somebody-elses", "not-ours", "echo")).await;
    let replica = installation.replica("one", &[]).await;
    let address = replica.listener(&space.name, "g", "web").await;
    until("it is programmed and its member up", async || {
        let gateway = space.gateway("g").await;
        condition(&gateway, "Programmed").0 == "True" && gateway["status"]["healthy"] == "1/1"
    })
    .await;
    assert_eq!(peers::get(address, "/").await.unwrap().status, 200);
    let now = space.gateway("g").await;
    assert_eq!(condition(&now, "Accepted"), ("True", "Accepted"));
    assert_eq!(condition(&now, "ResolvedRefs"), ("True", "ResolvedRefs"));
    assert_eq!(item(&now, "listeners", "web")["programmed"], "True");
    assert_eq!(item(&now, "rules", "r")["programmed"], "True");
    assert_eq!(item(&now, "pools", "p")["healthy"], "1/1");
    let expected: Vec<Value> = vec![now["status"]["addresses"][0].clone()];
    assert!(expected[0].as_str().is_some_and(|address| address.starts_with("10.200.")));
    for condition in now["status"]["conditions"].as_array().unwrap() {
        assert_eq!(condition["observedGeneration"], now["metadata"]["generation"]);
    }
    let table = cluster::run("kubectl", &["get", "appgw", "g", "-n", &space.name]);
    let words: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(words[..5], ["NAME", "CLASS", "ADDRESS", "PROGRAMMED", "HEALTHY"], "{table}");
    assert!(words.contains(&"1/1") && words.contains(&"True"), "{table}");

    // A bad rule is refused alone, and a person is told.
    let rules = gateway["spec"]["requestRoutingRules"].as_array_mut().unwrap();
    rules.push(json!({
        "name": "bad", "ruleType": "Basic", "priority": 20, "httpListener": "nowhere",
        "backendAddressPool": "p", "backendHttpSettings": "s",
    }));
    let applied = space.apply(gateway.clone()).await;
    until("the new generation is judged", async || {
        let gateway = space.gateway("g").await;
        gateway["status"]["conditions"][0]["observedGeneration"]
            == json!(applied.metadata.generation)
    })
    .await;
    let now = space.gateway("g").await;
    assert_eq!(condition(&now, "Accepted"), ("False", "PartlyRefused"));
    assert_eq!(condition(&now, "ResolvedRefs"), ("False", "RefNotFound"));
    assert_eq!(condition(&now, "Programmed").0, "True");
    let bad = item(&now, "rules", "bad");
    assert_eq!((&bad["programmed"], &bad["reason"]), (&json!("False"), &json!("Refused")));
    assert!(bad["message"].as_str().unwrap().contains("there is no \"nowhere\" in httpListeners"));
    assert_eq!(peers::get(address, "/").await.unwrap().status, 200);
    let about = "involvedObject.name=g";
    until("an event tells of it", async || {
        let events = ["get", "events", "-n", &space.name, "--field-selector", about];
        cluster::run("kubectl", &events).contains("spec.requestRoutingRules[1].httpListener")
    })
    .await;

    // With nothing to say nothing is written, also when other things change.
    let version = space.gateway("g").await["metadata"]["resourceVersion"].clone();
    for number in 0..20 {
        let address = format!("10.200.0.{}", 10 + number);
        space.apply(fixture::slice("unrelated", 80, &[address])).await;
    }
    let settled = replica.status().await["revision"].clone();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(space.gateway("g").await["metadata"]["resourceVersion"], version);
    assert_eq!(replica.status().await["revision"], settled);

    assert!(space.gateway("not-ours").await.get("status").is_none());
    assert!(replica.try_listener(&space.name, "not-ours", "web").await.is_none());
}

#[tokio::test]
async fn two_installations_and_two_gateways_of_one_name_leave_each_other_alone() {
    let _peace = PEACE.read().await;
    let (one, two) = (Space::new("two").await, Space::new("two").await);
    let (ours, theirs) = (Installation::new("two").await, Installation::new("two").await);
    for (space, installation, text) in [(&one, &ours, "one"), (&two, &theirs, "two")] {
        let back_end =
            peers::serve(move |_, _| http::Response::new(http_body_util::Full::from(text))).await;
        space.apply(fixture::service("echo")).await;
        space.apply(fixture::slice("echo", back_end.port(), &[HOST.to_owned()])).await;
        space.apply(fixture::gateway(&installation.class, "g", "echo")).await;
    }
    // The same name in the other namespace, of the first installation.
    let third = peers::serve(|_, _| http::Response::new(http_body_util::Full::from("three"))).await;
    let three = Space::new("two").await;
    three.apply(fixture::service("echo")).await;
    three.apply(fixture::slice("echo", third.port(), &[HOST.to_owned()])).await;
    three.apply(fixture::gateway(&ours.class, "g", "echo")).await;
    let (first, second) = (ours.replica("a", &[]).await, theirs.replica("b", &[]).await);
    for (replica, space, text) in
        [(&first, &one, "one"), (&second, &two, "two"), (&first, &three, "three")]
    {
        let address = replica.listener(&space.name, "g", "web").await;
        until("it answers", async || {
            peers::get(address, "/").await.is_some_and(|answer| answer.body == text.as_bytes())
        })
        .await;
    }
    assert!(first.try_listener(&two.name, "g", "web").await.is_none());
    assert!(second.try_listener(&one.name, "g", "web").await.is_none());
    for (installation, count) in [(&ours, 2), (&theirs, 1)] {
        let services = cluster::run(
            "kubectl",
            &[
                "get",
                "services",
                "-n",
                &installation.namespace,
                "-l",
                "tidegate.dev/class",
                "-o",
                "name",
            ],
        );
        assert_eq!(services.lines().count(), count, "{services}");
    }
    // What is deleted takes its Service and its socket with it.
    three.delete(&fixture::gateway(&ours.class, "g", "echo")).await;
    until("its Service is gone", async || {
        let asked =
            ["get", "services", "-n", &ours.namespace, "-l", "tidegate.dev/class", "-o", "name"];
        cluster::run("kubectl", &asked).lines().count() == 1
    })
    .await;
    assert!(first.try_listener(&three.name, "g", "web").await.is_none());
}

#[tokio::test]
async fn a_thousand_gateways_at_once_are_all_served() {
    let _peace = PEACE.read().await;
    let space = Space::new("thousand").await;
    let installation = Installation::new("thousand").await;
    let back_end = peers::echo().await;
    space.apply(fixture::service("echo")).await;
    space.apply(fixture::slice("echo", back_end.port(), &[HOST.to_owned()])).await;
    let replica = installation.replica("one", &[]).await;
    let started = std::time::Instant::now();
    let (its, class) = (&space, &installation.class);
    use futures_util::StreamExt;
    futures_util::stream::iter(0..1000)
        .for_each_concurrent(16, |n| async move {
            its.apply(fixture::gateway(class, &format!("g{n}"), "echo")).await;
        })
        .await;
    println!("applied after {:.1?}", started.elapsed());
    let mut last = 0;
    let mut progress = std::time::Instant::now();
    loop {
        let frontends = replica.status().await["frontends"].as_array().unwrap().len();
        if frontends == 1000 {
            break;
        }
        if frontends > last {
            (last, progress) = (frontends, std::time::Instant::now());
        }
        assert!(progress.elapsed().as_secs() < 30, "stuck at {frontends}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    println!("1,000 gateways serve after {:.1?}", started.elapsed());
    let address = replica.listener(&space.name, "g999", "web").await;
    until("the last one answers", async || {
        peers::get(address, "/").await.is_some_and(|answer| answer.status == 200)
    })
    .await;
    let mut written = 0;
    let mut progress = std::time::Instant::now();
    while written < 1000 {
        let now = cluster::run(
            "kubectl",
            &[
                "get",
                "appgw",
                "-n",
                &space.name,
                "-o",
                "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Programmed\")].status}{\"\\n\"}{end}",
            ],
        );
        let now = now.lines().filter(|line| *line == "True").count();
        if now > written {
            (written, progress) = (now, std::time::Instant::now());
        }
        assert!(progress.elapsed().as_secs() < 30, "stuck at {written} statuses");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    println!("1,000 statuses are written after {:.1?}", started.elapsed());
}
