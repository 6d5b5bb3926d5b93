//! The whole way of one text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use kube::CustomResourceExt;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::api::ApplicationGateway;
use crate::arm::complete::complete;
use crate::arm::names::{Names, gateway_of, id_of, object_name};
use crate::arm::node::{Data, Node};
use crate::arm::notes::Notes;
use crate::arm::resources::{Finder, Found};
use crate::arm::scope::Budget;
use crate::arm::secrets::Secrets;
use crate::arm::valid::valid;
use crate::arm::walk::{Place, Walk, flat};
use crate::arm::write::{Made, yaml};
use crate::arm::{frontends, json, marks};
use crate::problem::Problem;

/// How a text is converted.
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// What the text is called in notes.
    pub file: PathBuf,
    /// The name of the gateway, in place of its own.
    pub name: Option<String>,
    /// The namespace of what is made.
    pub namespace: Option<String>,
    /// Parameter files by name, the later ones before the earlier.
    pub parameters: Vec<(PathBuf, String)>,
}

/// What became of a text.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The resources as YAML.
    pub yaml: String,
    /// What was left out (errors) and what is different (warnings), by line.
    pub notes: Vec<Problem>,
    /// How many gateways there are.
    pub gateways: usize,
    /// How many Secrets there are.
    pub secrets: usize,
}

/// Why a text cannot be converted at all.
#[derive(Debug, Error)]
#[error("{}:{line}: {why}", file.display())]
pub struct ConvertError {
    file: PathBuf,
    line: u32,
    why: String,
}

/// The schema of a gateway's spec.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(ApplicationGateway::crd()).unwrap_or_default();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
});

/// Converts a template, an exported gateway or a fragment of one.
///
/// # Errors
/// If it or a parameter file is not JSON, however leniently it is read, or has no gateway in it.
pub fn convert(text: &str, options: &ConvertOptions) -> Result<Converted, ConvertError> {
    let read = |file: &PathBuf, text: &str| {
        let wrong = |error: json::JsonError| ConvertError {
            file: file.clone(),
            line: error.line,
            why: format!("not JSON: {}", error.why),
        };
        json::parse(text).map_err(wrong)
    };
    let root = read(&options.file, text)?;
    let mut given = Vec::new();
    for (file, text) in options.parameters.iter().rev() {
        given.extend(parameters(&read(file, text)?));
    }
    let mut notes = Notes::of(options.file.clone());
    let budget = Budget::new();
    let mut finder = Finder { notes: &mut notes, found: Vec::new(), budget: &budget, depth: 0 };
    finder.find(&root, &given);
    let found = finder.found;
    if found.is_empty() && !has_resources(&root) {
        let why = "there is no application gateway in it, and no fragment of one".to_owned();
        return Err(ConvertError { file: options.file.clone(), line: 1, why });
    }
    let mut taken = BTreeSet::new();
    let made: Vec<Made> =
        found.iter().map(|found| gateway(found, options, &mut taken, &mut notes)).collect();
    Ok(Converted {
        yaml: yaml(&made, options.namespace.as_deref()),
        notes: notes.into_all(),
        gateways: made.len(),
        secrets: made.iter().map(|made| made.secrets.len()).sum(),
    })
}

/// A template whose gateways are all left out is read all the same.
fn has_resources(root: &Node) -> bool {
    root.get("resources").is_some()
}

/// The values of a parameter file, by name.
fn parameters(root: &Node) -> Vec<(String, Node)> {
    let fields = root.get("parameters").unwrap_or(root).map().unwrap_or_default();
    let value = |(name, field): &(String, Node)| {
        let value = match (field.get("value"), field.get("reference")) {
            (Some(value), _) => value.clone(),
            (None, Some(_)) => {
                let why = format!(
                    "the value of the parameter {name:?} is in a key vault: give it in a file with \
                     --parameters"
                );
                Node::new(field.line, Data::Unknown(why))
            }
            (None, None) => return None,
        };
        Some((name.clone(), value))
    };
    fields.iter().filter_map(value).collect()
}

fn gateway(
    found: &Found,
    options: &ConvertOptions,
    taken: &mut BTreeSet<String>,
    notes: &mut Notes,
) -> Made {
    let schema = &*SCHEMA;
    let fields = flat(&found.node, &found.path);
    let pairs: Vec<(&str, &Node)> = fields.iter().map(|(name, node, _)| (*name, *node)).collect();
    let names = Names::of(schema, &pairs);
    let name = unique(name(found, &fields, options, notes), taken);
    let (sources, idle) = (BTreeMap::new(), BTreeSet::new());
    let mut walk = Walk { notes, names: &names, sources, wanted: Vec::new(), idle };
    let mut spec: Map<String, Value> = walk.object(schema, &found.node, &Place::of(&found.path));
    let mut secrets = Secrets { gateway: &name, names: std::mem::take(taken), made: Vec::new() };
    secrets.add(&mut spec, &fields, &mut walk);
    let Walk { sources, wanted, idle, .. } = walk;
    complete(&mut spec, &wanted, &mut secrets, notes);
    frontends::tell(&fields, notes);
    if !idle.is_empty() {
        let all = idle.into_iter().collect::<Vec<String>>().join(", ");
        let why = format!("left out, since the cloud writes it or it changes nothing: {all}");
        notes.tell(found.node.line, &found.path, why);
    }
    let typed = valid(&mut spec, &sources, notes);
    let Secrets { names, made, .. } = secrets;
    *taken = names;
    Made { name, spec: typed, written: spec, secrets: made }
}

/// The gateway's name: the one that is wished for, its own, or the one that ids go through.
fn name(
    found: &Found,
    fields: &[(&str, &Node, String)],
    options: &ConvertOptions,
    notes: &mut Notes,
) -> String {
    if let Some(name) = &options.name {
        return name.clone();
    }
    let own = fields.iter().find(|(name, ..)| name.eq_ignore_ascii_case("name"));
    let Some((_, node, path)) = own else {
        return object_name(first_id(&found.node).and_then(gateway_of).unwrap_or("gateway"));
    };
    let clean = match &node.data {
        Data::Text(text) => marks::clean(text),
        Data::Unknown(why) => Err(why.clone()),
        _ => Err(format!("text is needed in place of {}", node.kind())),
    };
    match clean {
        Ok(clean) => {
            let made = object_name(&clean.text);
            for guessed in clean.guessed {
                let why = format!(
                    "{guessed} is known only in the cloud: {made:?} stands in its place; use --name"
                );
                notes.tell(node.line, path, why);
            }
            if made != clean.text {
                let why =
                    format!("{made:?} stands for {:?}, which Kubernetes does not take", clean.text);
                notes.tell(node.line, path, why);
            }
            made
        }
        Err(why) => {
            let why = format!("{why}; \"gateway\" stands in its place: use --name");
            notes.left_out(node.line, path, why);
            "gateway".to_owned()
        }
    }
}

/// The first id of a reference.
fn first_id(node: &Node) -> Option<&str> {
    match &node.data {
        Data::Map(fields) => {
            let own = id_of(node).and_then(Node::text).filter(|id| gateway_of(id).is_some());
            own.or_else(|| fields.iter().find_map(|(_, field)| first_id(field)))
        }
        Data::List(items) => items.iter().find_map(first_id),
        _ => None,
    }
}

/// A name that no other gateway of the text has.
fn unique(name: String, taken: &mut BTreeSet<String>) -> String {
    let mut unique = name.clone();
    let mut number = 2;
    while !taken.insert(unique.clone()) {
        unique = format!("{name}-{number}");
        number += 1;
    }
    unique
}
