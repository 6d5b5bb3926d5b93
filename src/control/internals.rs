//! Parts of the inside for fuzz targets and their tests. No part of the interface.

use serde_json::Value;

use crate::api::ApplicationGateway;
use crate::arm::{ConvertOptions, convert};

/// Pieces of templates, to be put together as they come.
const PIECES: [&str; 32] = [
    "\"httpListeners\": [",
    "\"backendAddressPools\": [",
    "\"probes\": [{",
    "\"sslCertificates\": [{\"name\": \"c\", \"properties\": {\"data\": \"MIIC\", \"password\": \"x\"}}]",
    "\"frontendPorts\": ",
    "\"requestRoutingRules\": [{\"name\": \"r\",",
    "\"urlPathMaps\": [{\"name\": \"m\", \"properties\": {\"pathRules\": [{",
    "\"properties\": {",
    "\"name\": \"a\",",
    "\"copy\": [{\"name\": \"probes\", \"count\": 3, \"input\": {\"name\": \"[concat('p', copyIndex())]\"}}],",
    "\"protocol\": \"Http\",",
    "\"port\": 80,",
    "\"port\": \"[add(1, 2)]\",",
    "\"match\": {\"statusCodes\": [200, \"300\"]},",
    "\"frontendPort\": {\"id\": \"/x/frontendPorts/a')]\"},",
    "\"httpListener\": {\"id\": \"[concat(reference('x'), '/a/b')]\"},",
    "\"ruleType\": \"Basic\",",
    "\"priority\": 1e3,",
    "\"sku\": {\"name\": \"WAF_v2\"},",
    "null",
    "[[",
    "'x'",
    "}",
    "]",
    "}]",
    ",",
    "{",
    "\"[parameters('x')]\"",
    "\"\u{e000}\u{e001}\u{e003}\"",
    "-1.5",
    "/* c */",
    "\"resources\": [{\"type\": \"Microsoft.Network/applicationGateways\",",
];

/// A template from bytes, as text or as pieces, is converted to what the resource takes, or to nothing.
pub fn check_template(data: &[u8]) {
    check(&String::from_utf8_lossy(data));
    let pieces: String = data
        .iter()
        .filter_map(|byte| PIECES.get(usize::from(*byte) % PIECES.len()))
        .copied()
        .collect();
    check(&pieces);
    check(&format!("{{\"properties\": {{{pieces}"));
    // An expression, as the name of a pool.
    let expression: String = String::from_utf8_lossy(data).escape_default().to_string();
    let expression = expression.replace('"', "'").replace('\\', "");
    check(&format!("{{\"backendAddressPools\": [{{\"name\": \"[{expression}]\"}}]}}"));
}

fn check(text: &str) {
    let Ok(converted) = convert(text, &ConvertOptions::default()) else { return };
    for document in converted.yaml.split("---\n").filter(|text| !text.is_empty()) {
        let document: Result<Value, _> = serde_yaml::from_str(document);
        let Ok(document) = document else { panic!("not YAML:\n{}", converted.yaml) };
        if document["kind"] == "ApplicationGateway" {
            let typed = serde_json::from_value::<ApplicationGateway>(document);
            assert!(typed.is_ok(), "{:?} in\n{}", typed.err(), converted.yaml);
        }
    }
}
