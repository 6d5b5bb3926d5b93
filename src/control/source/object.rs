//! From a YAML document to an object that a gateway knows.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_model::ObjectName;

use crate::api::ApplicationGateway;
use crate::grants::Grant;
use crate::problem::{ObjectRef, Problem, Severity};
use crate::resources::{ConfigMap, Ingress, IngressClass, Origin, Secret, Service, Slice};
use crate::yaml::{Document, Lines};

/// What is read.
const KINDS: [&str; 8] = [
    "ApplicationGateway",
    "Ingress",
    "IngressClass",
    "Secret",
    "ConfigMap",
    "Service",
    "EndpointSlice",
    "ReferenceGrant",
];

/// An object by kind, namespace and name.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) key: ObjectRef,
    pub(super) origin: Arc<Origin>,
    pub(super) content: Content,
}

/// What it is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Gateway(Arc<ApplicationGateway>),
    Ingress(Arc<Ingress>),
    IngressClass(Arc<IngressClass>),
    Grant(Grant),
    Secret(Arc<Secret>),
    ConfigMap(Arc<ConfigMap>),
    Service(Arc<Service>),
    Slice {
        service: ObjectName,
        slice: Arc<Slice>,
    },
    /// It is there, and wrong: its last good version holds, if there is one.
    Wrong,
}

impl Object {
    pub(super) fn name(&self) -> ObjectName {
        ObjectName::new(&*self.key.namespace, &*self.key.name)
    }
}

/// Reads a document, which may be a list of objects. What is wrong is told in `problems`.
pub(super) fn read(file: &Path, document: Document, problems: &mut Vec<Problem>) -> Vec<Object> {
    let Document { value, lines } = document;
    let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    if is_list && let Value::Object(mut list) = value {
        let Some(Value::Array(items)) = list.remove("items") else {
            return Vec::new();
        };
        let item = |(index, value)| {
            let lines = lines.below(&format!("items[{index}]"));
            read_one(file, value, lines, problems)
        };
        return items.into_iter().enumerate().filter_map(item).collect();
    }
    read_one(file, value, lines, problems).into_iter().collect()
}

fn read_one(
    file: &Path,
    value: Value,
    lines: Lines,
    problems: &mut Vec<Problem>,
) -> Option<Object> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, version) = (text(&value["kind"]), text(&value["apiVersion"]));
    let metadata = &value["metadata"];
    let namespace = match text(&metadata["namespace"]) {
        empty if empty.is_empty() => "default".to_owned(),
        namespace => namespace,
    };
    let key = ObjectRef { kind: kind.clone(), namespace, name: text(&metadata["name"]) };
    let mut tell = |severity, path: &str, why: String| {
        let line = lines.of(path);
        let (file, object) = (file.to_owned(), Some(key.clone()));
        problems.push(Problem { file, line, path: path.to_owned(), why, severity, object });
    };
    if kind.is_empty() || version.is_empty() {
        tell(Severity::Error, "", "not a Kubernetes object: apiVersion and kind are needed".into());
        return None;
    }
    let reader = match (version.as_str(), kind.as_str()) {
        ("tidegate.dev/v1alpha1", "ApplicationGateway") => gateway,
        ("networking.k8s.io/v1", "Ingress") => ingress,
        ("networking.k8s.io/v1", "IngressClass") => ingress_class,
        (
            "gateway.networking.k8s.io/v1" | "gateway.networking.k8s.io/v1beta1",
            "ReferenceGrant",
        ) => grant,
        ("v1", "Secret") => secret,
        ("v1", "ConfigMap") => config_map,
        ("v1", "Service") => service,
        ("discovery.k8s.io/v1", "EndpointSlice") => slice,
        (_, kind) if KINDS.contains(&kind) => {
            let why = format!("{kind} has no version {version:?}");
            tell(Severity::Error, "apiVersion", why);
            return None;
        }
        _ => {
            let known = KINDS.join(", ");
            tell(Severity::Warning, "kind", format!("{kind} is left out; what is read: {known}"));
            return None;
        }
    };
    if key.name.is_empty() {
        tell(Severity::Error, "metadata.name", format!("this {kind} needs a name"));
        return None;
    }
    let content = match reader(value, &key) {
        Ok(content) => content,
        Err((path, why)) => {
            tell(Severity::Error, &path, why);
            Content::Wrong
        }
    };
    if let Content::Secret(secret) = &content
        && let Some(why) = secret.fault()
    {
        tell(Severity::Error, "", format!("Secret {}/{}: {why}", key.namespace, key.name));
    }
    let origin = Arc::new(Origin { file: file.to_owned(), lines });
    Some(Object { key, origin, content })
}

type Read = Result<Content, (String, String)>;

fn gateway(value: Value, _: &ObjectRef) -> Read {
    typed(value).map(|gateway: ApplicationGateway| Content::Gateway(Arc::new(gateway)))
}

fn ingress(value: Value, key: &ObjectRef) -> Read {
    let ingress: networking::Ingress = typed(value)?;
    let name = ObjectName::new(&*key.namespace, &*key.name);
    Ok(Content::Ingress(Arc::new(Ingress::read(&name, &ingress))))
}

fn ingress_class(value: Value, key: &ObjectRef) -> Read {
    let class: networking::IngressClass = typed(value)?;
    Ok(Content::IngressClass(Arc::new(IngressClass::read(&key.name, &class))))
}

fn grant(mut value: Value, _: &ObjectRef) -> Read {
    let spec = value["spec"].take();
    match typed(spec) {
        Ok(grant) => Ok(Content::Grant(grant)),
        Err((path, why)) => Err((format!("spec.{path}"), why)),
    }
}

fn secret(value: Value, key: &ObjectRef) -> Read {
    let secret: core::Secret = typed(value)?;
    let name = ObjectName::new(&*key.namespace, &*key.name);
    Ok(Content::Secret(Arc::new(Secret::read(&name, &secret))))
}

fn config_map(value: Value, _: &ObjectRef) -> Read {
    let read = |found: core::ConfigMap| Content::ConfigMap(Arc::new(ConfigMap::read(&found)));
    typed(value).map(read)
}

fn service(value: Value, _: &ObjectRef) -> Read {
    typed(value).map(|service: core::Service| Content::Service(Arc::new(Service::read(&service))))
}

fn slice(value: Value, key: &ObjectRef) -> Read {
    let slice: discovery::EndpointSlice = typed(value)?;
    let Some(service) = Slice::service_of(&slice) else {
        let why =
            "the label kubernetes.io/service-name is needed: it says whose endpoints these are";
        return Err(("metadata.labels".into(), why.into()));
    };
    let service = ObjectName::new(&*key.namespace, service);
    Ok(Content::Slice { service, slice: Arc::new(Slice::read(&slice)) })
}

/// The typed object, or the field that is wrong and why.
pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner().to_string();
        let path = if path == "." { String::new() } else { path };
        (path, why)
    })
}
