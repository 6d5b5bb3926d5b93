//! Ingresses and their classes, trimmed.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_model::ObjectName;

/// The prefix of Application Gateway's ingress controller, whose annotations are taken.
pub(crate) const AGIC_PREFIX: &str = "appgw.ingress.kubernetes.io/";
/// Our own prefix; where both are there, ours counts.
pub(crate) const OWN_PREFIX: &str = "tidegate.dev/";
/// How classes were written before `spec.ingressClassName`.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const DEFAULT_CLASS_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

/// What is read of an Ingress.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ingress {
    pub(crate) name: ObjectName,
    /// When it was made, in seconds since 1970; `None` in a file.
    pub(crate) created: Option<i64>,
    pub(crate) class: Option<String>,
    /// Those with one of our prefixes, by their full names.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) rules: Vec<IngressRule>,
    pub(crate) default_backend: Option<IngressBackend>,
    pub(crate) tls: Vec<IngressTls>,
}

/// Paths of a host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IngressRule {
    /// Empty for any host.
    pub(crate) host: String,
    pub(crate) paths: Vec<IngressPath>,
}

/// A path and where it leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IngressPath {
    /// Empty for all paths.
    pub(crate) path: String,
    /// `Exact`, `Prefix` or `ImplementationSpecific`; in files anything may stand here.
    pub(crate) path_type: String,
    pub(crate) backend: IngressBackend,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum IngressBackend {
    Service {
        name: String,
        port: Option<IntOrString>,
    },
    /// An object of this kind.
    Resource(String),
    Nothing,
}

/// A Secret and the hosts it is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IngressTls {
    /// Empty for all hosts of the Ingress.
    pub(crate) hosts: Vec<String>,
    pub(crate) secret: Option<String>,
}

/// What is read of an IngressClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IngressClass {
    pub(crate) name: String,
    pub(crate) controller: String,
    /// It is the class of Ingresses that name none.
    pub(crate) default: bool,
}

impl Ingress {
    pub(crate) fn read(name: &ObjectName, ingress: &networking::Ingress) -> Self {
        let metadata = &ingress.metadata;
        let annotations = metadata.annotations.clone().unwrap_or_default();
        let spec = ingress.spec.clone().unwrap_or_default();
        let rule = |rule: networking::IngressRule| IngressRule {
            host: rule.host.unwrap_or_default(),
            paths: rule.http.into_iter().flat_map(|http| http.paths).map(read_path).collect(),
        };
        let tls = |tls: networking::IngressTLS| IngressTls {
            hosts: tls.hosts.unwrap_or_default(),
            secret: tls.secret_name.filter(|name| !name.is_empty()),
        };
        Self {
            name: name.clone(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0.as_second()),
            class: spec.ingress_class_name.or_else(|| annotations.get(CLASS_ANNOTATION).cloned()),
            rules: spec.rules.into_iter().flatten().map(rule).collect(),
            default_backend: spec.default_backend.map(read_backend),
            tls: spec.tls.into_iter().flatten().map(tls).collect(),
            annotations: annotations
                .into_iter()
                .filter(|(name, _)| name.starts_with(AGIC_PREFIX) || name.starts_with(OWN_PREFIX))
                .collect(),
        }
    }

    /// All its backends.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &IngressBackend> {
        let paths = self.rules.iter().flat_map(|rule| &rule.paths).map(|path| &path.backend);
        paths.chain(&self.default_backend)
    }
}

fn read_path(path: networking::HTTPIngressPath) -> IngressPath {
    IngressPath {
        path: path.path.unwrap_or_default(),
        path_type: path.path_type,
        backend: read_backend(path.backend),
    }
}

fn read_backend(backend: networking::IngressBackend) -> IngressBackend {
    match (backend.service, backend.resource) {
        (Some(service), _) => {
            let port = service.port.unwrap_or_default();
            let named = port.name.filter(|name| !name.is_empty()).map(IntOrString::String);
            let port = named.or(port.number.map(IntOrString::Int));
            IngressBackend::Service { name: service.name, port }
        }
        (None, Some(resource)) => IngressBackend::Resource(resource.kind),
        (None, None) => IngressBackend::Nothing,
    }
}

impl IngressClass {
    pub(crate) fn read(name: &str, class: &networking::IngressClass) -> Self {
        let annotations = class.metadata.annotations.as_ref();
        let default = annotations.and_then(|all| all.get(DEFAULT_CLASS_ANNOTATION));
        Self {
            name: name.to_owned(),
            controller: class.spec.as_ref().and_then(|s| s.controller.clone()).unwrap_or_default(),
            default: default.is_some_and(|value| value == "true"),
        }
    }
}
