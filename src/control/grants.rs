//! Gateway API's ReferenceGrant: who may refer to what in another namespace.

use serde::Deserialize;

/// What one ReferenceGrant allows to refer to in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Grant {
    from: Vec<From>,
    to: Vec<To>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct From {
    group: String,
    kind: String,
    namespace: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct To {
    group: String,
    kind: String,
    name: Option<String>,
}

impl Grant {
    /// Whether an ApplicationGateway of `namespace` may refer to a core object.
    pub(crate) fn allows(&self, namespace: &str, kind: &str, name: &str) -> bool {
        let from = self.from.iter().any(|from| {
            from.group == "tidegate.dev"
                && from.kind == "ApplicationGateway"
                && from.namespace == namespace
        });
        let to = self.to.iter().any(|to| {
            to.group.is_empty()
                && to.kind == kind
                && to.name.as_deref().is_none_or(|only| only.is_empty() || only == name)
        });
        from && to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_names_who_may_refer_and_to_what() {
        let grant: Grant = serde_json::from_value(serde_json::json!({
            "from": [{"group": "tidegate.dev", "kind": "ApplicationGateway", "namespace": "web"}],
            "to": [{"group": "", "kind": "Service"}, {"group": "", "kind": "Secret", "name": "tls"}],
        }))
        .unwrap();
        for (namespace, kind, name, expected) in [
            ("web", "Service", "any", true),
            ("web", "Secret", "tls", true),
            ("web", "Secret", "other", false),
            ("web", "ConfigMap", "tls", false),
            ("elsewhere", "Service", "any", false),
        ] {
            assert_eq!(grant.allows(namespace, kind, name), expected, "{namespace} {kind} {name}");
        }
        assert!(!Grant::default().allows("web", "Service", "any"));
    }
}
