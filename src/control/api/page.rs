//! That docs/application-gateway.md tells of every field.

use std::collections::BTreeMap;

use kube::CustomResourceExt;
use serde_json::Value;

use crate::api::ApplicationGateway;

/// What the page says of a field.
const VERDICTS: [&str; 5] = ["works", "differs", "refused", "no meaning", "ours"];

/// The fields of the spec, by the collection or block that they belong to; those of the gateway itself
/// belong to none. `false` for those that are known only to be refused.
fn fields() -> BTreeMap<String, BTreeMap<String, bool>> {
    let crd = serde_json::to_value(ApplicationGateway::crd()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut found: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for (name, schema) in spec["properties"].as_object().unwrap() {
        let mut below = BTreeMap::new();
        collect(schema, "", &mut below);
        if below.is_empty() {
            let is_known = schema["x-kubernetes-preserve-unknown-fields"] != true;
            found.entry(String::new()).or_default().insert(name.clone(), is_known);
        } else {
            found.insert(name.clone(), below);
        }
    }
    found
}

fn collect(schema: &Value, prefix: &str, found: &mut BTreeMap<String, bool>) {
    let inner = if schema["type"] == "array" { &schema["items"] } else { schema };
    for (name, field) in inner["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        collect(field, &format!("{path}."), found);
        found.insert(path, field["x-kubernetes-preserve-unknown-fields"] != true);
    }
}

/// What the page says, by section and field.
fn page() -> BTreeMap<String, BTreeMap<String, String>> {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/application-gateway.md"
    ));
    let mut told: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut section = None;
    for line in text.unwrap().lines() {
        if let Some(title) = line.strip_prefix("### `") {
            section = Some(title.trim_end_matches('`').to_owned());
        } else if line == "## The gateway" {
            section = Some(String::new());
        } else if line.starts_with("## ") {
            section = None;
        }
        let Some(section) = &section else { continue };
        let cells: Vec<&str> = line.split(" | ").collect();
        let [names, verdict, ..] = cells[..] else { continue };
        for name in names.split('`').skip(1).step_by(2) {
            let verdict = verdict.trim_end_matches('|').trim();
            told.entry(section.clone()).or_default().insert(name.to_owned(), verdict.to_owned());
        }
    }
    told
}

#[test]
fn every_field_has_a_row_on_the_page() {
    let told = page();
    let mut missing = Vec::new();
    for (section, fields) in fields() {
        let rows = told.get(&section).cloned().unwrap_or_default();
        for (field, is_known) in fields {
            let around = (rows.iter()).find(|(row, _)| {
                row.strip_suffix('*').is_some_and(|around| field.starts_with(around))
            });
            match rows.get(&field).or(around.map(|(_, verdict)| verdict)) {
                None => missing.push(format!("### `{section}`: a row for `{field}`")),
                Some(verdict) if !VERDICTS.contains(&verdict.as_str()) => {
                    missing.push(format!("### `{section}`: `{field}` has {verdict:?}"));
                }
                Some(verdict)
                    if is_known && matches!(verdict.as_str(), "refused" | "no meaning") =>
                {
                    missing.push(format!("### `{section}`: `{field}` is not {verdict:?}"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(missing.is_empty(), "docs/application-gateway.md needs:\n{}", missing.join("\n"));
}
