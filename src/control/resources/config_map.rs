//! ConfigMaps, as far as error pages need them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;

/// What a ConfigMap holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigMap(BTreeMap<String, Arc<[u8]>>);

impl ConfigMap {
    /// Reads `data` and `binaryData`.
    pub(crate) fn read(source: &core::ConfigMap) -> Self {
        let text = source.data.iter().flatten().map(|(k, v)| (k.clone(), Arc::from(v.as_bytes())));
        let bytes = source.binary_data.iter().flatten();
        let bytes = bytes.map(|(k, v)| (k.clone(), Arc::from(v.0.as_slice())));
        Self(text.chain(bytes).collect())
    }

    /// What is at a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Arc<[u8]>> {
        self.0.get(key)
    }
}
