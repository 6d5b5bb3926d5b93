//! Functions on where a template is deployed: ids, and stand-ins for what only a deployment knows.

use std::fmt::Write;

use crate::arm::functions::{Outcome, text, written};
use crate::arm::marks::{self, guess};
use crate::arm::node::{Data, Node};

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

pub(super) fn apply(name: &str, arguments: &[Node]) -> Outcome {
    let group = || guess("resourceGroup().name", "resource-group");
    let subscription = || guess("subscription().subscriptionId", SUBSCRIPTION);
    match (name, arguments) {
        ("resourceid", [_, _, ..]) => {
            let place = format!("/subscriptions/{}/resourceGroups/{}", subscription(), group());
            resource_id(&place, arguments)
        }
        ("subscriptionresourceid", [_, _, ..]) => {
            resource_id(&format!("/subscriptions/{}", subscription()), arguments)
        }
        ("tenantresourceid", [_, _, ..]) => resource_id("", arguments),
        ("extensionresourceid", [base, rest @ ..]) if rest.len() > 1 => {
            resource_id(&written(base)?, rest)
        }
        ("resourcegroup", []) => object(&[
            ("id", format!("/subscriptions/{}/resourceGroups/{}", subscription(), group())),
            ("name", group()),
            ("location", guess("resourceGroup().location", "location")),
        ]),
        ("subscription", []) => object(&[
            ("id", format!("/subscriptions/{}", subscription())),
            ("subscriptionId", subscription()),
            ("tenantId", guess("subscription().tenantId", SUBSCRIPTION)),
            ("displayName", guess("subscription().displayName", "subscription")),
        ]),
        ("tenant", []) => object(&[("tenantId", guess("tenant().tenantId", SUBSCRIPTION))]),
        ("deployment", []) => object(&[("name", guess("deployment().name", "deployment"))]),
        ("uniquestring", [_, ..]) => {
            let (high, low) = hashes(arguments)?;
            let both = u128::from(high) << 64 | u128::from(low);
            // Thirteen of 32 letters and digits, as in the cloud.
            let digits = (0..13).map(|index| (both >> (5 * index)) as u8 & 31);
            let digit =
                |digit: u8| char::from(if digit < 26 { b'a' + digit } else { b'2' + digit - 26 });
            text(guess("uniqueString()", &digits.map(digit).collect::<String>()))
        }
        ("guid", [_, ..]) => {
            let (high, low) = hashes(arguments)?;
            let mut hex = format!("{high:016x}{low:016x}");
            for at in [20, 16, 12, 8] {
                hex.insert(at, '-');
            }
            text(guess("guid()", &hex))
        }
        ("newguid", []) => text(guess("newGuid()", SUBSCRIPTION)),
        _ => Ok(None),
    }
}

fn object(fields: &[(&str, String)]) -> Outcome {
    let field = |(name, value): &(&str, String)| ((*name).to_owned(), Node::text_of(0, value));
    Ok(Some(Data::Map(fields.iter().map(field).collect())))
}

/// An id out of a type and names. Before the type may stand a subscription and a group.
fn resource_id(place: &str, arguments: &[Node]) -> Outcome {
    let all: Result<Vec<String>, String> = arguments.iter().map(written).collect();
    let all = all?;
    let Some(at) = all.iter().position(|argument| argument.contains('/')) else {
        return Err("resourceId() needs a type, such as a/b".to_owned());
    };
    let mut types = all[at].split('/');
    let mut id = format!("{place}/providers/{}", types.next().unwrap_or_default());
    let mut names = all[at + 1..].iter();
    for its in types {
        let Some(name) = names.next() else {
            return Err("resourceId() has a name less than its type".to_owned());
        };
        // Writing to a text never fails.
        let _ = write!(id, "/{its}/{name}");
    }
    match names.next() {
        None => text(id),
        Some(name) => Err(format!("resourceId() has a name more than its type: {name:?}")),
    }
}

/// Two numbers that are the same for the same arguments (FNV-1a).
fn hashes(arguments: &[Node]) -> Result<(u64, u64), String> {
    let mut hashes = [0xcbf2_9ce4_8422_2325_u64, 0x8422_2325_cbf2_9ce4];
    for argument in arguments {
        let known = marks::clean(&written(argument)?)?.text;
        for byte in known.bytes().chain([0]) {
            for (hash, twist) in hashes.iter_mut().zip([0, 0x5a]) {
                *hash = (*hash ^ u64::from(byte ^ twist)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    Ok((hashes[0], hashes[1]))
}
