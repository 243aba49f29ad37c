//! Uninstalled and installed again over the data that was kept; then uninstalled with its data, and nothing is left.

use crate::platform::{Platform, profile};

pub(crate) fn data_outlives_and_then_goes(platform: &Platform) {
    let lab = &platform.lab;
    let ours = || lab.kubectl(&["get", "namespaces", "-l", "platctl.dev/component", "-o", "name"]);
    let claims = || lab.kubectl(&["get", "pvc", "-A", "-o", "jsonpath={.items[*].metadata.uid}"]);
    let before = claims();
    lab.run(&["uninstall", "--yes"]).expect(0);
    assert_eq!(claims(), before, "claims were kept");
    lab.run(&["install", "--yes", "--profile", &profile()]).expect(0);
    assert_eq!(platform.status()["ready"], true);

    lab.run(&["uninstall", "--yes", "--delete-data"]).expect(0);
    assert_eq!((ours().as_str(), claims().as_str()), ("", ""));
}
