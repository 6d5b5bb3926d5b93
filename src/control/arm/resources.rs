//! Gateways of a template: as resources, bare, in a list, or as a fragment.

use crate::arm::node::{Data, Node};
use crate::arm::notes::Notes;
use crate::arm::scope::{Budget, Scope, Template};

/// A gateway with its expressions evaluated, and where it stands.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) node: Node,
    pub(super) path: String,
}

/// How deep deployments may hold others.
const DEPTH: usize = 8;
/// How many gateways a template may make.
const GATEWAYS: usize = 100;

const GATEWAY: &str = "Microsoft.Network/applicationGateways";
const DEPLOYMENT: &str = "Microsoft.Resources/deployments";

/// Finds the gateways of a text, and tells of what is none.
pub(super) struct Finder<'n> {
    pub(super) notes: &'n mut Notes,
    pub(super) found: Vec<Found>,
    pub(super) budget: &'n Budget,
    pub(super) depth: usize,
}

impl Finder<'_> {
    /// All gateways below `root`; `given` has the values of parameters.
    pub(super) fn find(&mut self, root: &Node, given: &[(String, Node)]) {
        let bare = Template { parameters: None, given, variables: None, budget: self.budget };
        let scope = Scope::of(&bare);
        let list = root.list().or_else(|| match is_gateway(root) {
            true => None,
            false => root.get("value")?.list(),
        });
        if let Some(items) = list {
            let prefix = root.entry("value").map_or("", |(name, _)| name);
            for (index, item) in items.iter().enumerate().filter(|(_, item)| is_gateway(item)) {
                self.add(scope.node(item), format!("{prefix}[{index}]"));
            }
        } else if root.get("resources").is_some() && root.get("properties").is_none() {
            self.template(root, given, "");
        } else if is_gateway(root) {
            self.add(scope.node(root), String::new());
        }
    }

    fn add(&mut self, node: Node, path: String) {
        if self.found.len() < GATEWAYS {
            self.found.push(Found { node, path });
        } else {
            let why = format!("only the first {GATEWAYS} gateways are converted");
            self.notes.left_out(node.line, &path, why);
        }
    }

    /// A template of its own; `prefix` is its path, with a dot at the end unless it is empty.
    fn template(&mut self, node: &Node, given: &[(String, Node)], prefix: &str) {
        let (parameters, variables) = (node.get("parameters"), node.get("variables"));
        let template = Template { parameters, given, variables, budget: self.budget };
        self.resources(node, Scope::of(&template), prefix);
    }

    fn resources(&mut self, node: &Node, scope: Scope<'_>, prefix: &str) {
        let Some((name, all)) = node.entry("resources") else { return };
        let path = format!("{prefix}{name}");
        match &all.data {
            Data::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.resource(item, scope, &format!("{path}[{index}]"));
                }
            }
            // With symbolic names it is an object.
            Data::Map(fields) => {
                for (name, item) in fields {
                    self.resource(item, scope, &format!("{path}.{name}"));
                }
            }
            _ => self.notes.left_out(all.line, &path, "resources have to be a list or an object"),
        }
    }

    fn resource(&mut self, resource: &Node, scope: Scope<'_>, path: &str) {
        let kind = resource.get("type").map(|kind| scope.node(kind));
        let kind = kind.as_ref().and_then(Node::text).unwrap_or_default();
        let is_deployment = kind.eq_ignore_ascii_case(DEPLOYMENT);
        if !kind.eq_ignore_ascii_case(GATEWAY) && !is_deployment {
            let kind = if kind.is_empty() { "a resource without a type" } else { kind };
            let why = format!("{kind} is no application gateway: it is left out");
            self.notes.tell(resource.line, path, why);
            return;
        }
        let Some(copy) = resource.get("copy").filter(|copy| copy.map().is_some()) else {
            return self.one(resource, scope, is_deployment, path);
        };
        // A copy's own fields are no part of what it repeats.
        let input = ("input".to_owned(), resource.clone());
        let fields = copy.map().unwrap_or_default().iter().cloned().chain([input]).collect();
        let copy = Node::new(copy.line, Data::Map(fields));
        let made = scope.repeats(&copy, "input", |scope, input| {
            (!is_deployment).then(|| (is_wanted(input, scope), scope.node(input)))
        });
        match made {
            Ok(made) => {
                for (wanted, node) in made.into_iter().flatten() {
                    self.decide(wanted, node, path);
                }
                if is_deployment {
                    let why = "a deployment that is repeated is not looked into: convert its own \
                               template";
                    self.notes.left_out(resource.line, path, why);
                }
            }
            Err(why) => self.notes.left_out(copy.line, &format!("{path}.copy"), why),
        }
    }

    fn one(&mut self, resource: &Node, scope: Scope<'_>, is_deployment: bool, path: &str) {
        if is_deployment {
            return self.deployment(resource, scope, path);
        }
        self.decide(is_wanted(resource, scope), scope.node(resource), path);
    }

    fn decide(&mut self, wanted: Result<bool, String>, node: Node, path: &str) {
        match wanted {
            Ok(true) => {}
            Ok(false) => {
                self.notes.tell(node.line, path, "its condition is false: it is left out");
                return;
            }
            Err(why) => {
                let why = format!("it is converted, whatever its condition would be: {why}");
                self.notes.tell(node.line, &format!("{path}.condition"), why);
            }
        }
        self.add(node, path.to_owned());
    }

    /// The gateways of a deployment whose template stands in it.
    fn deployment(&mut self, resource: &Node, scope: Scope<'_>, path: &str) {
        let properties = resource.get("properties");
        let Some(template) = properties.and_then(|its| its.get("template")) else {
            let why = "its template is another file: convert that one";
            self.notes.left_out(resource.line, path, why);
            return;
        };
        if self.depth >= DEPTH {
            let why = format!("deployments inside of others are looked into {DEPTH} times");
            self.notes.left_out(resource.line, path, why);
            return;
        }
        self.depth += 1;
        let prefix = format!("{path}.properties.template.");
        let options = properties.and_then(|its| its.get("expressionEvaluationOptions"));
        let which = options.and_then(|options| options.get("scope")).and_then(Node::text);
        if which.is_some_and(|which| which.eq_ignore_ascii_case("inner")) {
            let parameters = properties.and_then(|its| its.get("parameters")).and_then(Node::map);
            let value = |(name, field): &(String, Node)| {
                Some((name.clone(), scope.node(field.get("value")?)))
            };
            let given: Vec<_> = parameters.unwrap_or_default().iter().filter_map(value).collect();
            self.template(template, &given, &prefix);
        } else {
            self.resources(template, scope, &prefix);
        }
        self.depth -= 1;
    }
}

/// Whether a resource's condition holds.
fn is_wanted(resource: &Node, scope: Scope<'_>) -> Result<bool, String> {
    match resource.get("condition").map(|condition| scope.node(condition).data) {
        None | Some(Data::Null | Data::Bool(true)) => Ok(true),
        Some(Data::Bool(false)) => Ok(false),
        Some(Data::Text(text)) => Ok(!text.eq_ignore_ascii_case("false")),
        Some(Data::Unknown(why)) => Err(why),
        Some(_) => Err("it is neither true nor false".to_owned()),
    }
}

/// Whether an object is a gateway, or a fragment of one.
fn is_gateway(node: &Node) -> bool {
    const TELLING: [&str; 14] = [
        "httpListeners",
        "requestRoutingRules",
        "backendAddressPools",
        "backendHttpSettingsCollection",
        "frontendPorts",
        "frontendIPConfigurations",
        "probes",
        "urlPathMaps",
        "redirectConfigurations",
        "rewriteRuleSets",
        "sslCertificates",
        "sslProfiles",
        "trustedRootCertificates",
        "loadDistributionPolicies",
    ];
    let kind = node.get("type").and_then(Node::text);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(GATEWAY))
        || [Some(node), node.get("properties")]
            .into_iter()
            .flatten()
            .any(|inside| TELLING.iter().any(|name| inside.get(name).is_some()))
}
