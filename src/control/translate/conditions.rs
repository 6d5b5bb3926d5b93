//! What became of a gateway, in the words of its status.

use serde::Serialize;
use tidegate_model::{Gateway, ObjectName};

use crate::problem::Severity;
use crate::translate::Finding;

/// The conditions of one gateway, as far as its resources decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayConditions {
    /// The gateway.
    pub name: ObjectName,
    /// `Accepted`: nothing of it was refused; warnings are told with it. `ResolvedRefs`: everything it names is there.
    /// `Programmed`: at least one of its rules is served.
    pub conditions: Vec<GatewayCondition>,
}

/// One statement about a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it holds.
    pub status: bool,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in full.
    pub message: String,
}

impl GatewayConditions {
    pub(crate) fn of(name: &ObjectName, gateway: Option<&Gateway>, findings: &[Finding]) -> Self {
        let told = |wanted: &dyn Fn(&Finding) -> bool| {
            let mut lines: Vec<String> = Vec::new();
            for finding in findings.iter().filter(|f| f.severity == Severity::Error && wanted(f)) {
                lines.push(format!("{}: {}", finding.path, finding.why));
            }
            lines.join("\n")
        };
        let warnings = findings.iter().filter(|finding| finding.severity == Severity::Warning);
        let warnings = warnings.map(|its| format!("\nwarning: {}: {}", its.path, its.why));
        let warnings: String = warnings.collect();
        let refused = told(&|_| true);
        let unresolved = told(&|finding| finding.unresolved);
        let rules: usize = gateway
            .iter()
            .flat_map(|gateway| &gateway.frontends)
            .flat_map(|frontend| frontend.listeners())
            .filter(|listener| listener.rule.action.serves())
            .count();
        let conditions = vec![
            GatewayCondition {
                kind: "Accepted",
                status: refused.is_empty(),
                reason: if refused.is_empty() { "Accepted" } else { "PartlyRefused" },
                message: format!("{refused}{warnings}").trim_start().to_owned(),
            },
            GatewayCondition {
                kind: "ResolvedRefs",
                status: unresolved.is_empty(),
                reason: if unresolved.is_empty() { "ResolvedRefs" } else { "RefNotFound" },
                message: unresolved,
            },
            GatewayCondition {
                kind: "Programmed",
                status: rules > 0,
                reason: if rules > 0 { "Programmed" } else { "NoRule" },
                message: format!("{rules} rules are served"),
            },
        ];
        Self { name: name.clone(), conditions }
    }
}
