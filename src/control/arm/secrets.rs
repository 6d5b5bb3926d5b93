//! Certificates and addresses of a gateway: what takes more than another name.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::arm::marks;
use crate::arm::names::object_name;
use crate::arm::node::{Data, Node};
use crate::arm::pkcs12;
use crate::arm::walk::{Walk, flat};
use crate::pem;
use crate::resources::read_roots;

/// A Secret that is made of what a template holds.
#[derive(Debug)]
pub(super) struct Secret {
    pub(super) name: String,
    /// Its type.
    pub(super) kind: &'static str,
    pub(super) fields: Vec<(&'static str, String)>,
}

/// Collections whose items are certificates.
const CERTIFICATES: [&str; 3] =
    ["sslCertificates", "trustedRootCertificates", "authenticationCertificates"];

/// The Secrets of one gateway.
pub(super) struct Secrets<'a> {
    pub(super) gateway: &'a str,
    pub(super) names: BTreeSet<String>,
    pub(super) made: Vec<Secret>,
}

impl Secrets<'_> {
    /// Gives every certificate the name of a Secret, and makes those Secrets whose content is there.
    pub(super) fn add(
        &mut self,
        spec: &mut Map<String, Value>,
        fields: &[(&str, &Node, String)],
        walk: &mut Walk<'_>,
    ) {
        for collection in CERTIFICATES {
            let field = fields.iter().find(|(name, ..)| name.eq_ignore_ascii_case(collection));
            let Some((_, list, path)) = field else { continue };
            let made = spec.get_mut(collection).and_then(Value::as_array_mut);
            for item in made.into_iter().flatten().filter_map(Value::as_object_mut) {
                let name = item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                let is_it = |(_, node): &(usize, &Node)| {
                    let its = node.get("name").and_then(Node::text);
                    its.and_then(|its| marks::clean(its).ok()).is_some_and(|its| its.text == name)
                };
                let source = list.list().unwrap_or_default().iter().enumerate().find(is_it);
                if let (Some((index, node)), false) = (source, item.contains_key("secretName")) {
                    let secret = self.name(&name);
                    let path = format!("{path}[{index}]");
                    item.insert("secretName".into(), secret.clone().into());
                    self.fill(collection, secret, node, &path, walk);
                }
            }
        }
    }

    /// A name for a Secret that no other one has.
    pub(super) fn name(&mut self, item: &str) -> String {
        let name = object_name(&format!("{}-{item}", self.gateway));
        let mut unique = name.clone();
        let mut number = 2;
        while !self.names.insert(unique.clone()) {
            unique = format!("{name}-{number}");
            number += 1;
        }
        unique
    }

    /// Makes the Secret, or tells how it is to be made.
    fn fill(
        &mut self,
        collection: &str,
        secret: String,
        node: &Node,
        path: &str,
        walk: &mut Walk<'_>,
    ) {
        let fields = flat(node, path);
        let find = |name: &str| {
            let found = fields
                .iter()
                .find(|(its, node, _)| its.eq_ignore_ascii_case(name) && node.data != Data::Null);
            found.map(|(_, node, path)| (*node, path.as_str()))
        };
        let is_own = collection == "sslCertificates";
        let remedy = remedy(is_own, &secret);
        let (place, made) = match (find("data"), find("keyVaultSecretId")) {
            (Some((data, path)), _) if is_own => {
                let password = find("password").map(|(password, _)| password);
                ((data.line, path), tls(data, password))
            }
            (Some((data, path)), _) => ((data.line, path), authority(data)),
            (None, Some((id, path))) => {
                ((id.line, path), Err("its content is in a key vault".to_owned()))
            }
            (None, None) => ((node.line, path), Err("its content is not in here".to_owned())),
        };
        match made {
            Ok((kind, fields)) => self.made.push(Secret { name: secret, kind, fields }),
            Err(why) => walk.notes.left_out(place.0, place.1, format!("{why}: {remedy}")),
        }
    }
}

/// How somebody makes a Secret.
pub(super) fn remedy(is_own: bool, secret: &str) -> String {
    match is_own {
        true => format!(
            "make the Secret with `kubectl create secret tls {secret} --cert=FILE --key=FILE`"
        ),
        false => format!(
            "make the Secret with `kubectl create secret generic {secret} --from-file=ca.crt=FILE`"
        ),
    }
}

type Content = Result<(&'static str, Vec<(&'static str, String)>), String>;

fn known(node: &Node) -> Result<String, String> {
    match &node.data {
        Data::Text(text) => {
            let clean = marks::clean(text)?;
            match clean.guessed.first() {
                Some(guessed) => Err(format!("{guessed} is known only in the cloud")),
                None => Ok(clean.text),
            }
        }
        Data::Unknown(why) => Err(why.clone()),
        _ => Err(format!("text is needed in place of {}", node.kind())),
    }
}

fn tls(data: &Node, password: Option<&Node>) -> Content {
    let archive = pem::base64(&known(data)?).map_err(|_| "it is not Base64".to_owned())?;
    let password = password.map(known).transpose().map_err(|why| format!("its password: {why}"))?;
    let opened = pkcs12::open(&archive, password.as_deref().unwrap_or_default())?;
    Ok(("kubernetes.io/tls", vec![("tls.crt", opened.chain), ("tls.key", opened.key)]))
}

fn authority(data: &Node) -> Content {
    let text = pem::certificates(&known(data)?)?;
    read_roots(&text)?;
    let text = String::from_utf8(text).map_err(|_| "it is no certificate".to_owned())?;
    Ok(("Opaque", vec![("ca.crt", text)]))
}
