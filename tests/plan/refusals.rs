//! What the plan refuses before anything is written, and that the words name the chart, the file and the line. The charts here are small
//! and broken on purpose.

use std::collections::BTreeMap;

use platctl::embedded;
use platctl::plan::build;
use platctl::plan::catalog::Catalog;
use platctl::plan::profile::{Base, Layers, Profile};
use platctl::plan::render::{Chart, Files, Release, render};
use serde_json::json;

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: it\n";

/// What is said of a chart with these files beside its `Chart.yaml`.
fn error(files: &[(&str, &str)]) -> String {
    let own = [("Chart.yaml", "apiVersion: v2\nname: broken\nversion: 0.1.0\n")];
    let bytes = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec().into());
    let files: Files = own.iter().chain(files).map(bytes).collect();
    let release = Release { name: "broken", namespace: "nowhere" };
    let rendered = Chart::new(files).and_then(|chart| render(&chart, &release, &json!({})));
    format!("{:#}", rendered.expect_err("it is broken"))
}

#[test]
fn a_template_that_does_not_parse() {
    let text = format!("{CONFIG_MAP}data:\n  {{{{- if .Values.on }}}}\n  key: value\n");
    insta::assert_snapshot!(error(&[("templates/config.yaml", &text)]), @"render chart `broken`: templates/config.yaml:6: this block has no `{{ end }}`");
}

#[test]
fn a_function_that_does_not_exist() {
    let text = format!("{CONFIG_MAP}data:\n  key: {{{{ lookup \"v1\" \"Secret\" \"\" \"\" }}}}\n");
    insta::assert_snapshot!(error(&[("templates/config.yaml", &text)]), @"render chart `broken`: templates/config.yaml:6: there is no function `lookup`");
}

#[test]
fn a_value_that_is_required() {
    let text = format!("{CONFIG_MAP}data:\n  key: {{{{ required \"`domain` is needed\" .Values.domain }}}}\n");
    insta::assert_snapshot!(error(&[("templates/config.yaml", &text)]), @"render chart `broken`: templates/config.yaml:6: `domain` is needed");
}

#[test]
fn a_mistake_in_a_helper_names_both_places() {
    let helper = "{{- define \"broken.name\" }}\n{{- .Values.name.first }}\n{{- end }}\n";
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include \"broken.name\" . }}\n";
    insta::assert_snapshot!(error(&[("templates/_helpers.tpl", helper), ("templates/config.yaml", text)]), @"render chart `broken`: templates/_helpers.tpl:2 (included at templates/config.yaml:4): nil pointer: `.Values.name` is not set, so there is no `.Values.name.first`");
}

#[test]
fn a_template_that_renders_to_no_yaml() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: it\n   namespace: there\n";
    insta::assert_snapshot!(error(&[("templates/config.yaml", text)]), @"render chart `broken`: templates/config.yaml: line 5 of the rendered text, `namespace: there`: mapping values are not allowed in this context");
}

#[test]
fn a_document_that_is_no_object() {
    let text = format!("{CONFIG_MAP}---\napiVersion: v1\nkind: Secret\nmetadata: {{}}\n");
    insta::assert_snapshot!(error(&[("templates/config.yaml", &text)]), @"render chart `broken`: templates/config.yaml: the document at line 6 of the rendered text: `metadata.name` is missing");
}

/// The embedded charts with one change, as a plan of `dev`.
fn refused(change: impl FnOnce(&mut BTreeMap<String, BTreeMap<String, Vec<u8>>>), set: &[&str]) -> String {
    let mut charts = embedded::charts();
    change(&mut charts);
    let set: Vec<String> = set.iter().map(|one| (*one).to_owned()).collect();
    let built = Catalog::new(charts).and_then(|catalog| {
        let layers = Layers { built_in: &embedded::profiles(), base: Base::Name("dev"), values: &[], set: &set };
        build(&Profile::load(&layers, &catalog)?, &catalog)
    });
    format!("{:#}", built.err().expect("it is refused"))
}

fn write(
    chart: &'static str,
    path: &'static str,
    text: &'static str,
) -> impl FnOnce(&mut BTreeMap<String, BTreeMap<String, Vec<u8>>>) {
    move |charts| drop(charts.entry(chart.to_owned()).or_default().insert(path.to_owned(), text.as_bytes().to_vec()))
}

#[test]
fn a_component_that_others_need_cannot_be_disabled() {
    insta::assert_snapshot!(refused(|_| {}, &["components.postgres.enabled=false"]), @"component `keycloak` needs `postgres`, which the profile disables");
}

#[test]
fn an_object_without_owner() {
    let change = write("loki", "templates/more.yaml", CONFIG_MAP);
    insta::assert_snapshot!(refused(change, &[]), @"chart `loki`: ConfigMap it lacks the label `platctl.dev/component: loki`");
}

#[test]
fn an_object_that_two_charts_claim() {
    const OTHERS: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: loki\n  namespace: observability\n  labels: {platctl.dev/component: promtail}\n";
    insta::assert_snapshot!(refused(write("promtail", "templates/more.yaml", OTHERS), &[]), @"Service observability/loki is rendered by both `loki` and `promtail`");
}

/// An API server without the CRD could not tell before the wave that brings it.
#[test]
fn a_custom_resource_that_its_own_definition_refuses() {
    const WRONG: &str = "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata:\n  name: more\n  namespace: iam-system\n  labels: {platctl.dev/component: postgres}\nspec:\n  instances: three\n  storrage: {size: 1Gi}\n";
    insta::assert_snapshot!(refused(write("postgres", "templates/more.yaml", WRONG), &[]), @"
    rendered objects do not fit their CRDs:
    Cluster iam-system/more: `spec.instances` is not of type integer
    Cluster iam-system/more: `spec.storrage` is no field of it
    ");
}

#[test]
fn a_component_of_an_unknown_wave() {
    const LATE: &str = "name: late\nnamespace: argocd\nwave: 6\nversion: \"1\"\ndescription: Too late\n";
    insta::assert_snapshot!(refused(write("late", "component.yaml", LATE), &[]), @"late/component.yaml: wave 6 is not one of 1 to 5");
}

#[test]
fn a_need_of_a_later_wave() {
    const EARLY: &str =
        "name: loki\nnamespace: observability\nwave: 4\nversion: \"1\"\ndescription: Early\nneeds: [argocd]\n";
    insta::assert_snapshot!(refused(write("loki", "component.yaml", EARLY), &[]), @"loki/component.yaml needs `argocd` of a later wave");
}

#[test]
fn a_chart_without_its_description() {
    const BARE: &str = "name: bare\nnamespace: argocd\nwave: 4\nversion: \"1\"\ndescription: Bare\n";
    insta::assert_snapshot!(refused(write("bare", "component.yaml", BARE), &[]), @"read chart `bare`: the chart has no file `Chart.yaml`");
}

#[test]
fn a_key_that_component_yaml_does_not_have() {
    const ODD: &str = "name: odd\nnamespace: argocd\nwave: 4\nversion: \"1\"\ndescription: Odd\nneed: [loki]\n";
    insta::assert_snapshot!(refused(write("odd", "component.yaml", ODD), &[]), @"odd/component.yaml: unknown field `need`, expected one of name, namespace, wave, version, description, needs, secrets, data, probes, waits, routes, leftovers, exceptions at line 6, column 1");
}
