//! What was made, as YAML: in the order of the resource's own type, with what was written and no more.

use serde_json::{Map, Value};
use serde_yaml::{Mapping, Value as Yaml};

use crate::api::ApplicationGatewaySpec;
use crate::arm::secrets::Secret;

/// A gateway with its Secrets.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) spec: ApplicationGatewaySpec,
    /// What was written of it: the type adds defaults.
    pub(super) written: Map<String, Value>,
    pub(super) secrets: Vec<Secret>,
}

/// All documents.
pub(super) fn yaml(all: &[Made], namespace: Option<&str>) -> String {
    let mut documents = Vec::new();
    for made in all {
        let spec = serde_yaml::to_value(&made.spec).unwrap_or_default();
        let spec = pruned(spec, &Value::Object(made.written.clone()));
        let gateway = head("tidegate.dev/v1alpha1", "ApplicationGateway", &made.name, namespace);
        documents.push(with(gateway, [("spec", spec)]));
        for secret in &made.secrets {
            let fields = secret.fields.iter().map(|(key, text)| (*key, text.as_str().into()));
            let fields = Yaml::Mapping(with(Mapping::new(), fields));
            let secret_head = head("v1", "Secret", &secret.name, namespace);
            documents
                .push(with(secret_head, [("type", secret.kind.into()), ("stringData", fields)]));
        }
    }
    // Mappings of texts, numbers and lists always serialise.
    let texts =
        documents.iter().map(|document| serde_yaml::to_string(document).unwrap_or_default());
    texts.collect::<Vec<String>>().join("---\n")
}

fn with<'a>(mut mapping: Mapping, fields: impl IntoIterator<Item = (&'a str, Yaml)>) -> Mapping {
    for (name, value) in fields {
        mapping.insert(name.into(), value);
    }
    mapping
}

fn head(version: &str, kind: &str, name: &str, namespace: Option<&str>) -> Mapping {
    let mut metadata = with(Mapping::new(), [("name", name.into())]);
    if let Some(namespace) = namespace {
        metadata = with(metadata, [("namespace", namespace.into())]);
    }
    let fields = [
        ("apiVersion", version.into()),
        ("kind", kind.into()),
        ("metadata", Yaml::Mapping(metadata)),
    ];
    with(Mapping::new(), fields)
}

/// What is in both, in the order of the first.
fn pruned(yaml: Yaml, written: &Value) -> Yaml {
    match (yaml, written) {
        (Yaml::Mapping(fields), Value::Object(written)) => {
            let kept = fields.into_iter().filter_map(|(name, field)| {
                let its = written.get(name.as_str()?)?;
                Some((name, pruned(field, its)))
            });
            Yaml::Mapping(kept.collect())
        }
        (Yaml::Sequence(items), Value::Array(written)) => {
            let items = items.into_iter().zip(written);
            Yaml::Sequence(items.map(|(item, its)| pruned(item, its)).collect())
        }
        (other, _) => other,
    }
}
