//! What a fragment leaves to the rest of its template: the least that makes it whole is put in, and told
//! of.

use serde_json::{Map, Value, json};

use crate::arm::notes::Notes;
use crate::arm::secrets::{Secrets, remedy};
use crate::arm::walk::Wanted;

/// Adds items that are referred to and of whose collections the text has nothing.
pub(super) fn complete(
    spec: &mut Map<String, Value>,
    wanted: &[Wanted],
    secrets: &mut Secrets<'_>,
    notes: &mut Notes,
) {
    let mut added: Vec<(&str, &str)> = Vec::new();
    for Wanted { collection, name, line, path } in wanted {
        if added.contains(&(collection, name)) {
            continue;
        }
        added.push((collection, name));
        let not_here = format!("{name:?} is not in here");
        let item = match *collection {
            "frontendIPConfigurations" => {
                notes.tell(*line, path, format!("{not_here}: an address of the cluster is put in"));
                json!({ "name": name })
            }
            "frontendPorts" => {
                let (port, why) = port(name, spec);
                notes.tell(*line, path, format!("{not_here}: port {port} is put in, {why}"));
                json!({ "name": name, "port": port })
            }
            "sslCertificates" => {
                let secret = secrets.name(name);
                let remedy = remedy(true, &secret);
                notes.left_out(*line, path, format!("{not_here}: {remedy}"));
                json!({ "name": name, "secretName": secret })
            }
            "trustedRootCertificates" | "authenticationCertificates" => {
                let secret = secrets.name(name);
                let remedy = remedy(false, &secret);
                notes.left_out(*line, path, format!("{not_here}: {remedy}"));
                json!({ "name": name, "secretName": secret })
            }
            "backendAddressPools" => {
                let why = "an empty pool, which answers 502, is put in: add its backendAddresses";
                notes.left_out(*line, path, format!("{not_here}: {why}"));
                json!({ "name": name, "backendAddresses": [] })
            }
            "backendHttpSettingsCollection" => {
                let why =
                    "settings with port 80 and protocol Http are put in: see whether they fit";
                notes.left_out(*line, path, format!("{not_here}: {why}"));
                json!({ "name": name, "port": 80, "protocol": "Http" })
            }
            _ => {
                notes.left_out(*line, path, format!("{not_here}: add it to {collection}"));
                continue;
            }
        };
        let items = spec.entry(*collection).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(items) = items.as_array_mut() {
            items.push(item);
        }
    }
}

/// The port that a name tells of, or that goes with the protocol of its listener.
fn port(name: &str, spec: &Map<String, Value>) -> (u16, &'static str) {
    let digits = name.rfind(|c: char| !c.is_ascii_digit()).map_or(name, |at| {
        let after = name[at..].chars().next().map_or(1, char::len_utf8);
        &name[at + after..]
    });
    if let Some(port) = digits.parse::<u16>().ok().filter(|port| *port > 0) {
        return (port, "as its name says");
    }
    let listeners = spec.get("httpListeners").and_then(Value::as_array);
    let https =
        |listener: &Value| listener["frontendPort"] == name && listener["protocol"] == "Https";
    match listeners.is_some_and(|all| all.iter().any(https)) {
        true => (443, "since its listener speaks Https"),
        false => (80, "since its listener speaks Http"),
    }
}
