//! The platform of each built-in profile as the tests look at it: its plan, its objects by kind and name, its pods.

use std::sync::LazyLock;

use platctl::embedded;
use platctl::object::Object;
use platctl::plan::catalog::Component;
use platctl::plan::profile::{Base, Layers, Profile};
use platctl::plan::{Plan, build};
use serde_json::Value;

/// What `--repo-url` says.
pub(crate) const REPOSITORY: &str = "https://git.example.org/platform.git";
/// The namespaces whose pods are in the mesh.
pub(crate) const MESHED: [&str; 2] = ["iam-system", "observability"];

pub(crate) struct Platform {
    pub(crate) name: &'static str,
    pub(crate) plan: Plan,
}

/// Rendered once for all tests.
static PLATFORMS: LazyLock<[Platform; 2]> = LazyLock::new(|| {
    let url = format!("repository.url={REPOSITORY}");
    [Platform::load("dev", &[]), Platform::load("prod", &[url])]
});

pub(crate) fn platforms() -> &'static [Platform; 2] {
    &PLATFORMS
}

pub(crate) fn dev() -> &'static Platform {
    &PLATFORMS[0]
}

pub(crate) fn prod() -> &'static Platform {
    &PLATFORMS[1]
}

impl Platform {
    pub(crate) fn load(name: &'static str, set: &[String]) -> Self {
        let catalog = embedded::catalog().unwrap();
        let built_in = embedded::profiles();
        let layers = Layers { built_in: &built_in, base: Base::Name(name), values: &[], set };
        let profile = Profile::load(&layers, &catalog).unwrap();
        Self { name, plan: build(&profile, &catalog).unwrap() }
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.plan.objects().map(|(_, object)| object)
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Object> {
        self.objects().filter(|object| object.kind() == kind).collect()
    }

    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.objects().find(|object| {
            object.kind() == kind && object.namespace().unwrap_or_default() == namespace && object.name() == name
        })
    }

    /// The object that must be there.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> &Object {
        self.find(kind, namespace, name).unwrap_or_else(|| panic!("{}: no {kind} {namespace}/{name}", self.name))
    }

    /// The namespaces that the platform makes.
    pub(crate) fn namespaces(&self) -> Vec<&str> {
        self.of_kind("Namespace").into_iter().map(Object::name).collect()
    }

    pub(crate) fn component(&self, name: &str) -> &Component {
        &self.plan.component(name).unwrap().component
    }

    /// Everything that makes pods by a template of its own.
    pub(crate) fn workloads(&self) -> Vec<Workload<'_>> {
        self.plan.objects().filter_map(|(planned, object)| Workload::of(&planned.component, object)).collect()
    }

    pub(crate) fn workload(&self, kind: &str, name: &str) -> Workload<'_> {
        let wanted = |workload: &Workload| workload.object.kind() == kind && workload.object.name() == name;
        self.workloads().into_iter().find(wanted).unwrap_or_else(|| panic!("{}: no {kind} {name}", self.name))
    }
}

/// A workload and the template of its pods.
pub(crate) struct Workload<'a> {
    pub(crate) component: &'a Component,
    pub(crate) object: &'a Object,
    /// What the template says of its pods.
    pub(crate) metadata: &'a Value,
    pub(crate) spec: &'a Value,
}

impl<'a> Workload<'a> {
    fn of(component: &'a Component, object: &'a Object) -> Option<Self> {
        let template = match object.kind() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => object.value().pointer("/spec/template")?,
            "CronJob" => object.value().pointer("/spec/jobTemplate/spec/template")?,
            "Pod" => object.value(),
            _ => return None,
        };
        Some(Self { component, object, metadata: &template["metadata"], spec: &template["spec"] })
    }

    pub(crate) fn replicas(&self) -> i64 {
        self.object.number("/spec/replicas").unwrap_or(1)
    }

    pub(crate) fn namespace(&self) -> &'a str {
        self.object.namespace().unwrap_or_default()
    }

    pub(crate) fn labels(&self) -> &'a Value {
        &self.metadata["labels"]
    }

    pub(crate) fn account(&self) -> &'a str {
        self.spec["serviceAccountName"].as_str().unwrap_or_default()
    }

    /// Init containers first.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &'a Value> {
        ["initContainers", "containers"].into_iter().flat_map(|list| items(&self.spec[list]))
    }

    pub(crate) fn container(&self, name: &str) -> &'a Value {
        let found = self.containers().find(|container| container["name"] == name);
        found.unwrap_or_else(|| panic!("{} has no container {name}", self.object.id()))
    }
}

/// The items of a list; none where there is no list.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The items of a list of text.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    items(value).iter().filter_map(Value::as_str).collect()
}

/// The value of a variable in a container's environment.
pub(crate) fn env<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    items(&container["env"]).iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

/// Whether a selector of labels, as in `matchLabels`, finds these labels.
pub(crate) fn selects(match_labels: &Value, labels: &Value) -> bool {
    match_labels.as_object().is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// A key of a `ConfigMap`, read as YAML (which JSON is too).
pub(crate) fn document(map: &Object, key: &str) -> Value {
    let text = map.value()["data"][key].as_str().unwrap_or_else(|| panic!("{} has no key {key}", map.id()));
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{}: {key}: {error}", map.id()))
}

/// Fails with everything that is wrong, in both profiles.
pub(crate) fn assert_none(violations: impl IntoIterator<Item = String>) {
    let violations: Vec<String> = violations.into_iter().collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// Fails with everything that a rule finds in the platform of any profile.
pub(crate) fn assert_none_in_any(rule: impl Fn(&Platform) -> Vec<String>) {
    let named = |platform: &'static Platform| {
        rule(platform).into_iter().map(move |violation| format!("{}: {violation}", platform.name))
    };
    assert_none(platforms().iter().flat_map(named));
}
