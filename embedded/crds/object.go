package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// object is a CustomResourceDefinition, or a schema or any other map inside one. Kubernetes' own types
// would be nicer to handle but lose what they don't know.
type object = map[string]any

func child(o object, path ...string) object {
	for _, key := range path {
		o, _ = o[key].(object)
	}
	return o
}

func children(o object, key string) []object {
	items, _ := o[key].([]any)
	var objects []object
	for _, item := range items {
		if m, ok := item.(object); ok {
			objects = append(objects, m)
		}
	}
	return objects
}

func nameOf(crd object) string {
	name, _ := child(crd, "metadata")["name"].(string)
	return name
}

// parse reads CRDs from YAML documents, leaving out empty ones.
func parse(content []byte) ([]object, error) {
	var crds []object
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return crds, nil
		}
		if err != nil {
			return nil, err
		}
		var crd object
		if err := yaml.Unmarshal(document, &crd, exactNumbers); err != nil {
			return nil, err
		}
		if len(crd) == 0 {
			continue
		}
		if crd["kind"] != "CustomResourceDefinition" || nameOf(crd) == "" || child(crd, "spec") == nil {
			return nil, fmt.Errorf("not a CRD: %.200s", document)
		}
		crds = append(crds, crd)
	}
}

// exactNumbers keeps 64-bit limits from being rounded to floating point.
func exactNumbers(d *json.Decoder) *json.Decoder {
	d.UseNumber()
	return d
}

// finish gives the CRD what platctl adds to every one and turns it into the content of its file.
func finish(crd object, chart, origin string) ([]byte, error) {
	dropDescriptions(crd)
	delete(crd, "status")
	meta := child(crd, "metadata")
	delete(meta, "creationTimestamp")
	meta["labels"] = merged(child(meta, "labels"), object{"platctl.dev/component": chart})
	// With a CRD go all objects of its kind, so neither Argo CD nor Helm may delete it.
	meta["annotations"] = merged(child(meta, "annotations"), object{
		"argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
		"helm.sh/resource-policy":         "keep",
	})
	// JSON is YAML too, and a renderer reads it ten times as fast. It sorts the keys; the indent is for reviews.
	var content bytes.Buffer
	encoder := json.NewEncoder(&content)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err := encoder.Encode(crd)
	header := fmt.Sprintf("# Written by embedded/crds from %s (Apache-2.0). Do not edit.\n", origin)
	return append([]byte(header), content.Bytes()...), err
}

func merged(a, b object) object {
	m := object{}
	maps.Copy(m, a)
	maps.Copy(m, b)
	return m
}

// dropDescriptions takes the documentation out: it is most of a CRD's size and nothing to the API server.
func dropDescriptions(crd object) {
	for _, version := range children(child(crd, "spec"), "versions") {
		for _, column := range children(version, "additionalPrinterColumns") {
			delete(column, "description")
		}
		undescribe(child(version, "schema", "openAPIV3Schema"))
	}
}

// undescribe walks by the schema's keywords, as a property may itself be called "description".
func undescribe(schema object) {
	if schema == nil {
		return
	}
	delete(schema, "description")
	for _, key := range []string{"items", "additionalProperties", "not"} {
		undescribe(child(schema, key))
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		for _, s := range children(schema, key) {
			undescribe(s)
		}
	}
	properties := child(schema, "properties")
	for name := range properties {
		undescribe(child(properties, name))
	}
}

// difference tells one place where ours and theirs differ, "" when they are the same.
func difference(path string, ours, theirs any) string {
	switch a := ours.(type) {
	case object:
		b, ok := theirs.(object)
		for _, key := range slices.Sorted(maps.Keys(merged(a, b))) {
			_, inA := a[key]
			_, inB := b[key]
			if !ok || inA != inB {
				return fmt.Sprintf("%s.%s (here: %t, upstream: %t)", path, key, inA, inB)
			}
			if at := difference(path+"."+key, a[key], b[key]); at != "" {
				return at
			}
		}
		if ok {
			return ""
		}
	case []any:
		if b, ok := theirs.([]any); ok && len(a) == len(b) {
			for i := range a {
				if at := difference(fmt.Sprintf("%s[%d]", path, i), a[i], b[i]); at != "" {
					return at
				}
			}
			return ""
		}
	default:
		if _, ok := theirs.(object); ok {
			break
		}
		if _, ok := theirs.([]any); !ok && ours == theirs {
			return ""
		}
	}
	return fmt.Sprintf("%s (here: %v, upstream: %v)", path, ours, theirs)
}
