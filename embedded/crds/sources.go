package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// istio takes the CRDs as the module carries them: Istio's types are protobuf messages, which
// controller-gen cannot read, and upstream's generator has written the YAML into the module.
func istio() (string, []object, error) {
	m, err := findModule("istio", "istio.io/api")
	if err != nil {
		return "", nil, err
	}
	content, err := os.ReadFile(filepath.Join(m.Dir, "kubernetes/customresourcedefinitions.gen.yaml"))
	if err != nil {
		return "", nil, err
	}
	crds, err := parse(content)
	if err != nil {
		return "", nil, err
	}
	for _, crd := range crds {
		delete(child(crd, "metadata"), "labels") // they name the Helm release of upstream's own chart
	}
	return m.String(), crds, nil
}

func cnpg() (string, []object, error) {
	m, err := findModule("cnpg", "github.com/cloudnative-pg/cloudnative-pg")
	if err != nil {
		return "", nil, err
	}
	crds, err := generate(m, "api/v1")
	if err != nil {
		return "", nil, err
	}
	for _, crd := range crds {
		if nameOf(crd) == "clusters.postgresql.cnpg.io" {
			addBarmanField(crd)
		}
	}
	return m.String(), crds, sameAs(crds, filepath.Join(m.Dir, "config/crd/bases/*.yaml"))
}

// addBarmanField adds the one field by which the types of barman-cloud 0.6.0, which CloudNativePG uses,
// differ from those of 0.5.1, the newest that the module proxy serves (see upstream/cnpg/go.mod).
func addBarmanField(cluster object) {
	for _, version := range children(child(cluster, "spec"), "versions") {
		spec := child(version, "schema", "openAPIV3Schema", "properties", "spec", "properties")
		for _, parent := range []object{child(spec, "backup"), child(spec, "externalClusters", "items")} {
			data := child(parent, "properties", "barmanObjectStore", "properties", "data", "properties")
			data["restoreAdditionalCommandArgs"] = object{"type": "array", "items": object{"type": "string"}}
		}
	}
}

// argocd does what upstream's hack/gen-crd-spec does after controller-gen. That program also means to
// drop the schemas of metadata.creationTimestamp and of AppProject's status, but looks for them under
// the key "versions[*]", which does not exist: the published CRDs have them, and so do these.
func argocd() (string, []object, error) {
	m, err := findModule("argocd", "github.com/argoproj/argo-cd/v3")
	if err != nil {
		return "", nil, err
	}
	crds, err := generate(m, "pkg/apis/application/v1alpha1")
	if err != nil {
		return "", nil, err
	}
	for _, crd := range crds {
		child(crd, "spec")["scope"] = "Namespaced" // also the default of a type that does not say
		child(crd, "metadata")["labels"] = object{
			"app.kubernetes.io/name":    nameOf(crd),
			"app.kubernetes.io/part-of": "argocd",
		}
	}
	return m.String(), crds, sameAs(crds, filepath.Join(m.Dir, "manifests/crds/*-crd.yaml"))
}

// sameAs proves that generated CRDs are those that upstream publishes, apart from descriptions.
func sameAs(crds []object, pattern string) error {
	published := map[string]object{}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		parsed, err := parse(content)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, crd := range parsed {
			published[nameOf(crd)] = crd
		}
	}
	if len(crds) != len(published) {
		return fmt.Errorf("%d CRDs, upstream publishes %d", len(crds), len(published))
	}
	for _, crd := range crds {
		theirs := published[nameOf(crd)]
		if theirs == nil {
			return fmt.Errorf("%s: not among those that upstream publishes", nameOf(crd))
		}
		delete(child(theirs, "metadata"), "annotations") // the generator's version
		dropDescriptions(theirs)
		dropDescriptions(crd)
		if at := difference("", crd, theirs); at != "" {
			return fmt.Errorf("%s is not as upstream publishes it: %s", nameOf(crd), at)
		}
	}
	return nil
}
