// Command crds writes the CustomResourceDefinitions that platctl's charts carry in crds/, generated
// from the Go modules pinned in upstream/*/go.mod and proven there against upstream's own manifests.
//
//	go run . ../charts           # writes them
//	go run . -check ../charts    # compares only; names the files that differ and exits 1
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
)

// chart is one chart whose crds/ belongs to this program.
type chart struct {
	name   string
	kinds  int                                         // how many CRDs it must have
	source func() (origin string, _ []object, _ error) // finished but for what finish adds
}

var charts = []chart{
	{"istio-base", 15, istio},
	{"cnpg-operator", 11, cnpg},
	{"argocd", 3, argocd},
}

func main() {
	log.SetFlags(0)
	check := flag.Bool("check", false, "write nothing, exit 1 when a file differs")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: crds [-check] <charts dir>")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}

	different := false
	for _, c := range charts {
		files, err := c.files()
		if err != nil {
			log.Fatalf("%s: %v", c.name, err)
		}
		changed, err := c.sync(filepath.Join(flag.Arg(0), c.name, "crds"), files, *check)
		if err != nil {
			log.Fatalf("%s: %v", c.name, err)
		}
		for _, name := range changed {
			fmt.Println(filepath.Join(c.name, "crds", name))
		}
		different = different || len(changed) > 0
	}
	if *check && different {
		os.Exit(1)
	}
}

// files gives the content of the chart's crds/ by file name.
func (c chart) files() (map[string][]byte, error) {
	origin, crds, err := c.source()
	if err != nil {
		return nil, err
	}
	if len(crds) != c.kinds {
		return nil, fmt.Errorf("%d CRDs instead of %d", len(crds), c.kinds)
	}
	files := map[string][]byte{}
	for _, crd := range crds {
		content, err := finish(crd, c.name, origin)
		if err != nil {
			return nil, err
		}
		files[nameOf(crd)+".yaml"] = content // a CRD's name is <plural>.<group>
	}
	return files, nil
}

// sync makes dir hold exactly these files, unless only checking, and names those that were different.
func (c chart) sync(dir string, files map[string][]byte, check bool) ([]string, error) {
	var changed []string
	existing, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range existing {
		if _, wanted := files[filepath.Base(path)]; wanted {
			continue
		}
		changed = append(changed, filepath.Base(path))
		if !check {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
		}
	}
	if !check {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
			continue
		}
		changed = append(changed, name)
		if !check {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(changed)
	return changed, nil
}
