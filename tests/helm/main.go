// Command helm-parity renders charts and templates with real Helm, so that platctl's own renderer can
// be compared with it. It reads a JSON list from standard input or from the file named, and prints a
// JSON list with one entry for each:
//
//	helm-parity [FILE]            {"chart": "<dir>", "release": "r", "namespace": "n", "values": {...}}
//	                              -> [<object>, ...] in Helm's order, or {"error": "..."}
//	helm-parity functions [FILE]  {"template": "...", "values": {...}} -> {"text": "..."} or {"error": "..."}
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// job is one entry of either list. Its values stay text until Helm's own parser reads them.
type job struct {
	Chart, Release, Namespace string
	Template                  string
	Values                    json.RawMessage
}

func main() {
	log.SetFlags(0)
	args, run := os.Args[1:], render
	if len(args) > 0 && args[0] == "functions" {
		args, run = args[1:], execute
	}
	input := os.Stdin
	if len(args) > 0 {
		file, err := os.Open(args[0])
		if err != nil {
			log.Fatal(err)
		}
		input = file
	}
	decoder := json.NewDecoder(input)
	decoder.DisallowUnknownFields()
	var jobs []job
	if err := decoder.Decode(&jobs); err != nil {
		log.Fatal(err)
	}
	results := make([]any, len(jobs))
	for i, j := range jobs {
		result, err := run(j)
		if err != nil {
			result = map[string]string{"error": err.Error()}
		}
		results[i] = result
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(results); err != nil {
		log.Fatal(err)
	}
}

// values reads them as `-f values.yaml` does: all numbers become floating point.
func (j job) values() (map[string]any, error) {
	values := map[string]any{}
	err := yaml.Unmarshal(j.Values, &values)
	return values, err
}

// render does what `helm template RELEASE CHART -n NAMESPACE --include-crds -f VALUES` does.
func render(j job) (any, error) {
	values, err := j.values()
	if err != nil {
		return nil, err
	}
	loaded, err := loader.Load(j.Chart)
	if err != nil {
		return nil, err
	}
	install := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	install.DryRun = true
	install.DryRunOption = "true"
	install.ClientOnly = true
	install.Replace = true // skips the check of the release's name
	install.IncludeCRDs = true
	install.ReleaseName = j.Release
	install.Namespace = j.Namespace
	release, err := install.Run(loaded, values)
	if err != nil {
		return nil, err
	}
	manifest := bytes.NewBufferString(release.Manifest)
	for _, hook := range release.Hooks {
		manifest.WriteString("\n---\n" + hook.Manifest)
	}
	return objects(manifest)
}

// objects turns YAML documents into JSON as Kubernetes does, without the empty ones.
func objects(manifest io.Reader) ([]json.RawMessage, error) {
	list := []json.RawMessage{}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(manifest))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		object, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, err
		}
		if string(object) != "null" {
			list = append(list, object)
		}
	}
}

// execute runs the template as the only one of a chart without values of its own.
func execute(j job) (any, error) {
	values, err := j.values()
	if err != nil {
		return nil, err
	}
	const name = "template"
	c := &chart.Chart{
		Metadata:  &chart.Metadata{APIVersion: chart.APIVersionV2, Name: "functions", Version: "0.1.0", AppVersion: "1.0"},
		Templates: []*chart.File{{Name: name, Data: []byte(j.Template)}},
	}
	release := chartutil.ReleaseOptions{Name: "release", Namespace: "namespace", Revision: 1, IsInstall: true}
	top, err := chartutil.ToRenderValues(c, values, release, nil)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Render(c, top)
	if err != nil {
		return nil, err
	}
	return map[string]string{"text": texts[c.Name()+"/"+name]}, nil
}
