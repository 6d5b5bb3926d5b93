//! Small templates, whole. Those of the shape that people have are in tests/product/convert.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::arm::{ConvertOptions, Converted, convert};
use crate::internals::check_template;
use crate::problem::Severity;

fn converted(text: &str) -> Converted {
    let options = ConvertOptions { file: "t.json".into(), ..Default::default() };
    convert(text, &options).unwrap()
}

/// The spec of the first gateway.
fn spec(converted: &Converted) -> Value {
    let first = converted.yaml.split("---\n").next().unwrap();
    let document: Value = serde_yaml::from_str(first).unwrap();
    document["spec"].clone()
}

fn told(converted: &Converted) -> Vec<String> {
    converted.notes.iter().map(ToString::to_string).collect()
}

/// A template with one gateway whose only pool has this name.
fn pool_named(expression: &str) -> String {
    json!({
        "parameters": {
            "given": {"type": "string", "defaultValue": "north"},
            "list": {"defaultValue": ["a", {"b": "c"}]},
            "none": {"type": "string"},
        },
        "variables": {
            "upper": "[toUpper(parameters('given'))]",
            "again": "[variables('again')]",
            "copy": [{"name": "made", "count": 3, "input": "[concat('m', copyIndex('made', 1))]"}],
        },
        "resources": [{
            "type": "Microsoft.Network/applicationGateways",
            "name": "g",
            "properties": {"backendAddressPools": [{"name": expression}]},
        }],
    })
    .to_string()
}

#[test]
fn expressions_stand_for_what_they_would_in_the_cloud() {
    for (expression, expected) in [
        ("[parameters('GIVEN')]", "north"),
        ("[variables('upper')]", "NORTH"),
        ("[concat(parameters('given'), '-', 7)]", "north-7"),
        ("[format('{0}-{1:D3}{{}}', 'a', 5)]", "a-005{}"),
        ("[parameters('list')[1].b]", "c"),
        ("[last(createArray('x', 'y'))]", "y"),
        ("[variables('made')[2]]", "m3"),
        ("[if(equals(toLower('A'), 'a'), 'yes', parameters('none'))]", "yes"),
        ("[if(and(not(contains('abc', 'd')), greater(2, 1)), 'yes', 'no')]", "yes"),
        ("[join(split('a,b;c', createArray(',', ';')), '+')]", "a+b+c"),
        ("[substring('abcdef', 2, 3)]", "cde"),
        ("[replace(trim(' a b '), ' ', '_')]", "a_b"),
        ("[string(add(mul(4, 5), int('2')))]", "22"),
        ("[padLeft(string(length('abc')), 3, '0')]", "003"),
        ("[first(skip(range(5, 3), 1))]", "6"),
        ("[string(max(1, 5, 3))]", "5"),
        ("[coalesce(null(), 'x')]", "x"),
        ("[base64ToString(base64('text'))]", "text"),
        ("[json('{\"a\": [\"b\"]}').a[0]]", "b"),
        ("[union(createObject('a', 'x'), createObject('a', 'y')).a]", "y"),
        ("[string(empty(intersection(createArray(1, 2), createArray(3))))]", "True"),
        (
            "[last(split(resourceId('Microsoft.Network/applicationGateways/probes', 'g', 'p'), '/'))]",
            "p",
        ),
        ("[[literal]", "[literal]"),
    ] {
        let converted = converted(&pool_named(expression));
        let name = &spec(&converted)["backendAddressPools"][0]["name"];
        assert_eq!(name, expected, "{expression}: {:?}", told(&converted));
        assert_eq!(told(&converted), [""; 0], "{expression}");
    }
}

#[test]
fn what_only_the_cloud_knows_is_told_of_with_its_path_and_a_remedy() {
    for (expression, why) in [
        ("[parameters('none')]", "\"none\" has no value: give it in a file with --parameters"),
        ("[parameters('nobody')]", "there is no parameter \"nobody\""),
        ("[variables('nobody')]", "there is no variable \"nobody\""),
        ("[variables('again')]", "refers to itself"),
        ("[reference('x').name]", "reference() is known only in the cloud"),
        ("[listKeys('x', '1').a]", "listKeys() is known only in the cloud"),
        ("[ns.own('x')]", "ns.own() with 1 arguments is not known here"),
        ("[concat('a', reference('x'))]", "reference() is known only in the cloud"),
        ("[copyIndex()]", "outside of the copy"),
        ("[parameters('list')[7]]", "shorter"),
        ("[div(1, 0)]", "no number"),
        ("[concat(]", "cannot be read"),
    ] {
        let told = told(&converted(&pool_named(expression)));
        let path = "t.json:1: resources[0].properties.backendAddressPools[0].name: ";
        assert!(told[0].starts_with(path) && told[0].contains(why), "{expression}: {told:?}");
        // The pool without a name goes, too.
        assert!(told.iter().any(|line| line.contains("missing field `name`")), "{told:?}");
    }
    for expression in
        ["[uniqueString(resourceGroup().id)]", "[guid('a')]", "[resourceGroup().name]"]
    {
        let converted = converted(&pool_named(expression));
        let name = spec(&converted)["backendAddressPools"][0]["name"].clone();
        let told = told(&converted);
        assert!(told.len() == 1 && told[0].contains("stands in its place"), "{told:?}");
        assert!(told[0].contains(name.as_str().unwrap()), "{told:?}");
    }
}

#[test]
fn references_in_every_form_become_the_names_of_items() {
    let full =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/applicationGateways/g";
    for id in [
        format!("{full}/backendAddressPools/Members"),
        format!("{full}/BackendAddressPools/members'"),
        format!("{full}/backendAddressPools/MEMBERS')]"),
        "[resourceId('Microsoft.Network/applicationGateways/backendAddressPools', 'g', 'Members')]".into(),
        "[concat(parameters('none'), '/backendAddressPools/Members')]".into(),
        "[concat(resourceId('Microsoft.Network/applicationGateways', parameters('none')), '/backendAddressPools/members')]".into(),
        "[format('{0}/backendAddressPools/{1}', reference('x').id, 'members')]".into(),
        "Members".into(),
    ] {
        for reference in [json!({"id": id}), json!({"Id": id, "resourceGroup": "g"}), json!(id)] {
            let template = json!({
                "resources": [{
                    "type": "microsoft.network/ApplicationGateways", "name": "g",
                    "properties": {
                        "httpListeners": [{"name": "l", "properties": {"frontendPort": {"id": "p"}, "protocol": "http"}}],
                        "frontendPorts": [{"name": "p", "properties": {"port": "80"}}],
                        "backendAddressPools": [{"name": "Members"}],
                        "requestRoutingRules": [{"name": "r", "properties": {
                            "RuleType": "basic", "httpListener": {"id": "/x/l"}, "backendAddressPool": reference,
                        }}],
                    },
                }],
            });
            let converted = converted(&template.to_string());
            let rule = &spec(&converted)["requestRoutingRules"][0];
            assert_eq!(rule["backendAddressPool"], "Members", "{reference}: {:?}", told(&converted));
            assert_eq!((&rule["ruleType"], &rule["httpListener"]), (&json!("Basic"), &json!("l")));
            assert_eq!(told(&converted), [""; 0], "{reference}");
        }
    }
}

#[test]
fn a_reference_that_leads_nowhere_is_told_of_and_kept() {
    let text = r#"{"properties": {
        "probes": [],
        "backendHttpSettingsCollection": [
            {"name": "s", "properties": {"port": 1, "protocol": "Http", "probe": {"id": "/x/probes/h"}}}
        ]}}"#;
    let converted = converted(text);
    assert_eq!(spec(&converted)["backendHttpSettingsCollection"][0]["probe"], "h");
    assert_eq!(
        told(&converted),
        [
            "t.json:4: properties.backendHttpSettingsCollection[0].properties.probe: there is no \"h\" in probes"
        ]
    );
}

#[test]
fn items_that_the_resource_does_not_take_are_left_out_alone() {
    let text = r#"{"properties": {"frontendPorts": [
        {"properties": {"port": 1}},
        {"name": "a", "properties": {"port": 80}},
        {"name": "b", "properties": {"port": "many"}},
        {"name": "c", "properties": {"port": 443, "colour": "red"}}
    ], "probes": [{"name": "h", "properties": {"protocol": "Tcp"}}]}}"#;
    let converted = converted(text);
    let spec = spec(&converted);
    assert_eq!(
        spec,
        json!({"frontendPorts": [{"name": "a", "port": 80}, {"name": "c", "port": 443}]})
    );
    let expected = [
        "t.json:2: properties.frontendPorts[0]: left out: missing field `name`",
        "t.json:4: properties.frontendPorts[2].properties.port: left out: a number is needed in place of text",
        "t.json:4: properties.frontendPorts[2]: left out: missing field `port`",
        "t.json:5: properties.frontendPorts[3].properties.colour: left out: neither Application Gateway nor Tidegate is known to have it",
        "t.json:6: properties.probes[0].properties.protocol: \"Tcp\" is left out: there is Http, Https",
        "t.json:6: properties.probes[0]: left out: missing field `protocol`",
    ];
    assert_eq!(told(&converted), expected);
    assert!(converted.notes.iter().all(|note| note.severity == Severity::Error));
}

#[test]
fn templates_are_looked_through_for_their_gateways() {
    let gateway = |name: &str| {
        json!({"type": "Microsoft.Network/applicationGateways", "name": name, "properties": {
            "frontendPorts": [{"name": "p", "properties": {"port": 80}}],
        }})
    };
    let with = |fields: Value, mut gateway: Value| {
        gateway.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        gateway
    };
    let many =
        with(json!({"copy": {"name": "all", "count": 2}}), gateway("[concat('m', copyIndex())]"));
    let not = with(json!({"condition": "[parameters('wanted')]"}), gateway("no"));
    let inner = json!({
        "type": "Microsoft.Resources/deployments", "name": "d", "properties": {
            "expressionEvaluationOptions": {"scope": "inner"},
            "parameters": {"name": {"value": "[concat('in', 'ner')]"}},
            "template": {
                "parameters": {"name": {"type": "string"}},
                "resources": [gateway("[parameters('name')]")],
            },
        },
    });
    let outer = json!({
        "type": "Microsoft.Resources/deployments", "name": "d",
        "properties": {"template": {"resources": {"symbol": gateway("[parameters('outer')]")}}},
    });
    let linked = json!({
        "type": "Microsoft.Resources/deployments", "name": "d",
        "properties": {"templateLink": {"uri": "https://example.com/t.json"}},
    });
    let template = json!({
        "parameters": {"wanted": {"defaultValue": false}, "outer": {"defaultValue": "Outer_1"}},
        "resources": [many, not, inner, outer, linked, {"type": "Microsoft.Network/virtualNetworks"}],
    });
    let converted = converted(&template.to_string());
    let names: Vec<&str> =
        converted.yaml.lines().filter_map(|line| line.strip_prefix("  name: ")).collect();
    assert_eq!(names, ["m0", "m1", "inner", "outer-1"]);
    let told = told(&converted).join("\n");
    for part in [
        "resources[1]: warning: its condition is false",
        "\"outer-1\" stands for \"Outer_1\"",
        "resources[4]: its template is another file",
        "resources[5]: warning: Microsoft.Network/virtualNetworks is no application gateway",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn a_text_without_a_gateway_cannot_be_converted() {
    for (text, why) in [
        ("{}", "no application gateway"),
        ("[1, 2]", "no application gateway"),
        ("{\"a\": ", "t.json:1: not JSON"),
        ("", "nothing in it"),
    ] {
        let options = ConvertOptions { file: "t.json".into(), ..Default::default() };
        let error = convert(text, &options).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn parameters_of_files_go_before_defaults_and_later_files_before_earlier() {
    let file = |value: &str| json!({"parameters": {"given": {"value": value}}}).to_string();
    let options = ConvertOptions {
        parameters: vec![("1".into(), file("south")), ("2".into(), file("west"))],
        name: Some("mine".into()),
        namespace: Some("shop".into()),
        ..Default::default()
    };
    let converted = convert(&pool_named("[parameters('given')]"), &options).unwrap();
    assert_eq!(spec(&converted)["backendAddressPools"][0]["name"], "west");
    assert!(converted.yaml.contains("  name: mine\n  namespace: shop\n"), "{}", converted.yaml);
    let vault = json!({"parameters": {"given": {"reference": {"keyVault": {}}}}}).to_string();
    let options = ConvertOptions { parameters: vec![("1".into(), vault)], ..Default::default() };
    let converted = convert(&pool_named("[parameters('given')]"), &options).unwrap();
    assert!(told(&converted)[0].contains("is in a key vault"), "{:?}", told(&converted));
}

#[test]
fn a_short_text_cannot_ask_for_an_endless_value() {
    let mut variables = serde_json::Map::new();
    variables.insert("v0".into(), json!(["x", "y", "z"]));
    for index in 1..40 {
        let below = format!("variables('v{}')", index - 1);
        variables.insert(format!("v{index}"), json!(format!("[concat({below}, {below})]")));
    }
    let template = json!({
        "variables": variables,
        "resources": [{
            "type": "Microsoft.Network/applicationGateways", "name": "g",
            "properties": {"backendAddressPools": "[variables('v39')]"},
        }],
    });
    let told = told(&converted(&template.to_string())).join("\n");
    assert!(told.contains("64 MiB"), "{told}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_is_read_is_converted_to_what_the_resource_takes(
        data in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        check_template(&data);
    }
}
